// Who did what, when and why: the administrative acts, the latest first.

import { api, badge, count, el, field, fill, heading, input, name, select, table, when, write } from "./admin-kit.js";
import { plain } from "./show.js";

const PAGE = 50;
const TYPES = [["", "All targets"], ["season", "Seasons"], ["key", "Keys"], ["player", "Players"]];
const HURTS = ["season.empty", "key.revoke", "player.erase", "player.ban"];

function who({ actor, requestId }) {
  const text = actor === null ? "a client of the open server" : `${actor.type} ${actor.id}`;
  return el("span", { title: requestId === null ? null : `Request ${plain(requestId)}` }, plain(text));
}

function whom({ target }) {
  return el("span", {}, `${target.type} `, target.id === undefined ? `no. ${target.number}, erased` : name(target.id));
}

/** What an act has changed, a line for each member that differs. */
function changes({ before, after }) {
  const members = new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})]);
  const text = (object, key) => (object?.[key] === undefined ? null : write(object[key]));
  const lines = [...members].map((key) => [key, text(before, key), text(after, key)]).filter(([, old, now]) => old !== now);
  if (!lines.length) return "–";
  const value = (one) => name(one ?? "–", "code");
  const both = before !== null && after !== null;
  return el("details", {}, el("summary", {}, both ? count(lines.length, "change") : before === null ? "As it was made" : "As it was before"),
    el("ul", { class: "changes" }, lines.map(([key, old, now]) => el("li", {}, `${plain(key)} `, both ? [value(old), " → ", value(now)] : value(old ?? now)))));
}

export function audit(place, target) {
  const body = el("div", { class: "stack", id: "audit" });
  const kind = select(TYPES, "", { "aria-label": "Kind of target", onchange: () => load() });
  const wanted = input({ type: "search", dir: "auto", maxlength: 128, value: target, autocapitalize: "none", id: "audit-target" });
  const actor = input({ type: "search", maxlength: 128, autocapitalize: "none", id: "audit-actor" });
  const again = el("button", { type: "button", class: "quiet-button", onclick: () => load() }, "Look again");

  async function read(cursor) {
    const given = { targetType: kind.value, target: wanted.value, actor: actor.value, cursor };
    const query = new URLSearchParams({ limit: PAGE, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value)) });
    return (await api("GET", `audit?${query}`)).data;
  }

  async function page(cursor = "") {
    const { items, nextCursor } = await read(cursor);
    const rows = items.map((one) => [
      when(one.at), who(one), badge(one.action, HURTS.includes(one.action) ? "warn" : ""), whom(one), one.reason === null ? "–" : plain(one.reason), changes(one),
    ]);
    const more = el("button", { type: "button", class: "quiet-button", async onclick() { more.replaceWith(...(await page(nextCursor))); } }, "Show earlier ones");
    return [
      el("section", { class: "card" }, table("Acts", ["When", "Who", "What", "Whom", "Why", "Before and after"], rows, cursor ? "There are no earlier ones." : "No such act yet.")),
      ...(nextCursor ? [more] : []),
    ];
  }

  const load = () => fill(body, () => page());
  place.append(heading("Audit", kind, again), el("form", {
    class: "search card", role: "search", onsubmit(event) { event.preventDefault(); load(); },
  }, field("Season, key or player", wanted), field("By key or account", actor), el("button", { type: "submit" }, "Filter")), body);
  load();
}
