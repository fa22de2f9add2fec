// A player: profile, name, where the player stands, what was submitted, and fair play.

import { api, card, el, field, fill, form, heading, input, name, seg, table, tell } from "./admin-kit.js";
import { erasure, history } from "./admin-history.js";
import { fairPlay, moderationOf } from "./admin-moderation.js";
import { plain } from "./show.js";

async function profileOf(user) {
  try {
    return await api("GET", `players/${seg(user)}`);
  } catch (error) {
    if (error.code !== "profile-not-found") throw error;
    return { data: { userId: user, displayName: null, attributes: {} }, etag: null };
  }
}

async function standings(user, cursor = "") {
  const query = new URLSearchParams({ limit: 100, ...(cursor ? { cursor } : {}) });
  return (await api("GET", `players/${seg(user)}/standings?${query}`)).data;
}

async function shown(user, again) {
  const path = `players/${seg(user)}`;
  const [{ data: profile, etag }, { items, nextCursor }, state] = await Promise.all([profileOf(user), standings(user), moderationOf(path)]);
  const display = input({ value: profile.displayName ?? "", dir: "auto", maxlength: 128, id: "display-name" });
  const attributes = Object.entries(profile.attributes);
  const rename = form("Rename", async () => {
    const wanted = display.value.trim() || null;
    if (etag === null) await api("PUT", `players/${seg(user)}`, { displayName: wanted });
    else await api("PATCH", `players/${seg(user)}`, { displayName: wanted }, { "If-Match": etag });
    tell("Renamed.");
    again();
  }, [field("Display name", display, "Every board shows it within a second. Empty: boards show the id. Scores and ranks stay.")]);
  return [
    card(null, el("h2", { class: "player-title", dir: "auto" }, plain(profile.displayName ?? user)),
      el("p", { class: "hint" }, "Id ", name(user)), rename,
      attributes.length ? table("Attributes", ["Attribute", "Value"], attributes.map(([key, value]) => [key, name(value)])) : null),
    card("Where the player stands", table("Standings", ["Season", "#Rank", "#Of", "#Score"], items.map((one) => [
      el("a", { href: `#/season/${seg(one.seasonId)}` }, name(one.seasonId)), one.rank.toLocaleString(), (one.total ?? 0).toLocaleString(), one.score.toLocaleString(),
    ]), "On no board now."), nextCursor ? el("p", { class: "hint" }, "There are more seasons than these.") : null),
    history(user, items.map((one) => one.seasonId)),
    fairPlay(state, path, again),
    el("section", { class: "card hazards" }, el("h2", {}, "What cannot be undone"), erasure(user)),
  ];
}

export function players(place, user) {
  const wanted = input({ type: "search", dir: "auto", maxlength: 128, required: true, value: user, autocapitalize: "none", id: "player-id" });
  const body = el("div", { class: "stack", id: "player" });
  place.append(heading("Players"), el("form", {
    class: "search card", role: "search",
    onsubmit(event) { event.preventDefault(); location.hash = `#/players/${seg(wanted.value)}`; if (wanted.value === user) load(); },
  }, field("Player’s id", wanted), el("button", { type: "submit" }, "Look up")), body);
  const load = () => fill(body, () => shown(user, load));
  if (user) load();
  else wanted.focus();
}
