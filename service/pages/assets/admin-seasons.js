// Seasons: the list; one with its standings, periods and definition; a new one; what empties a season.

import { api, badge, card, count, el, field, fill, form, hazard, heading, input, name, seg, select, table, tell, when } from "./admin-kit.js";
import { definitionForm, inWords } from "./admin-definition.js";
import { plain, scores } from "./show.js";

const STATES = { upcoming: "warn", open: "good", closing: "warn", closed: "", final: "" };
const stateOf = (period) => badge(period.state, STATES[period.state]);
const at = (id) => `seasons/${seg(id)}`;

export function seasons(place) {
  const body = el("div", { class: "stack", id: "seasons" });
  let cursors = [""];
  const load = () => fill(body, async () => {
    const query = new URLSearchParams({ limit: 50, ...(cursors.at(-1) ? { cursor: cursors.at(-1) } : {}), ...(state.value ? { state: state.value } : {}) });
    const { data } = await api("GET", `seasons?${query}`);
    const turn = (label, go, there) => el("button", { type: "button", class: "quiet-button", disabled: !there, onclick: () => { go(); load(); } }, label);
    return el("section", { class: "card" }, table("Seasons", ["Season", "Rule", "State", "#Period", "Ends", "Reads"], data.items.map((one) => [
      el("a", { href: `#/season/${seg(one.seasonId)}`, class: "strong" }, name(one.seasonId), one.title && one.title !== one.seasonId ? el("span", { class: "under", dir: "auto" }, plain(one.title)) : null),
      `${one.operator}, ${one.order === "desc" ? "highest" : "lowest"} first`, stateOf(one.period), one.period.number.toLocaleString(),
      one.period.endsAt ? when(one.period.endsAt) : "no end", one.visibility === "public" ? badge("public", "warn") : "private",
    ]), state.value ? "No season is in this state." : "There is no season yet. It begins with its definition, or with its first score."),
    el("div", { class: "turn" }, turn("Back", () => cursors.pop(), cursors.length > 1), turn("Next", () => cursors.push(data.nextCursor), data.nextCursor)));
  });
  const state = select([["", "All states"], ...Object.keys(STATES).map((one) => [one, one])], "", { "aria-label": "State", onchange: () => { cursors = [""]; load(); } });
  place.append(heading("Seasons", state, el("a", { class: "button", href: "#/new-season" }, "New season")), body);
  load();
}

function ranks(id, season, periods) {
  const size = 20;
  const body = el("div", { class: "stack", id: "standings" });
  const written = scores(season.display);
  let offset = 0;
  const load = () => fill(body, async () => {
    const query = new URLSearchParams({ limit: size, ...(chosen.value ? { period: chosen.value } : {}), ...(offset ? { offset } : {}) });
    const { data } = await api("GET", `${at(id)}/leaderboard/top?${query}`);
    const turn = (label, step, there) => el("button", { type: "button", class: "quiet-button", disabled: !there, onclick: () => { offset += step; load(); } }, label);
    return [table("Standings", ["#Rank", "Player", ...season.columns.map((one) => `#${plain(one.name)}`), "#Score"], data.items.map((row) => {
      const { text, unit } = written(row.score);
      return [row.rank.toLocaleString(), el("a", { href: `#/players/${seg(row.userId)}` }, name(row.displayName ?? row.userId)),
        ...season.columns.map((one) => String(row.columns?.[one.name] ?? "")), unit ? `${text} ${unit}` : text];
    }), "Nobody has a score here."),
    el("div", { class: "turn" }, turn("Back", -size, offset > 0), el("span", { class: "hint" }, count(data.total, "player")), turn("Next", size, offset + size < data.total && offset + size <= 10_000))];
  });
  const chosen = select([["", `Period ${season.period.number}, now`], ...periods.filter((one) => one.number !== season.period.number)
    .map((one) => [String(one.number), `Period ${one.number}, ended`])], "", { "aria-label": "Period", onchange: () => { offset = 0; load(); } });
  load();
  return el("section", { class: "card" }, el("div", { class: "top" }, el("h2", {}, "Standings"), el("div", { class: "beside" }, chosen,
    el("a", { href: `board/${seg(id)}`, target: "_blank", rel: "noopener" }, "Live board"))), body);
}

function hazards(id, season, again) {
  const next = season.schedule ? "The next one begins and ends as scheduled." : "The next one begins at once.";
  return el("section", { class: "card hazards" }, el("h2", {}, "What cannot be undone"),
    hazard("End the period now", `The ranks of period ${season.period.number} become final and stay readable. ${next} Players begin with nothing. Submissions for the old period are not accepted later.`, id, "End the period", async () => {
      const { data } = await api("POST", `${at(id)}/reset`);
      tell(`Period ${data.period.number} has begun.`);
      await again(`Period ${data.period.number} has begun.`);
    }),
    hazard("Empty the season", "The board is empty from now on. Ranks and scores of the present period are not kept: no earlier score is visible, and none comes back. The definition and earlier periods stay.", id, "Empty the season", async () => {
      await api("DELETE", at(id));
      tell("The season is empty.");
      await again("The season is empty.");
    }));
}

export function season(place, id) {
  const body = el("div", { class: "stack", id: "season" });
  place.append(el("p", { class: "back" }, el("a", { href: "#/seasons" }, "All seasons")), heading(plain(id)), body);
  const title = place.querySelector("h1");
  const load = (note = "") => fill(body, async () => {
    const [{ data, etag }, { data: periods }] = await Promise.all([api("GET", at(id)), api("GET", `${at(id)}/periods?limit=50`)]);
    const period = data.period;
    title.replaceChildren(plain(data.title || id));
    if (data.title && data.title !== id) title.append(el("span", { class: "under" }, name(id)));
    document.title = `${plain(data.title || id)} · Leaderboard`;
    return [
      note ? el("p", { class: "done", role: "status" }, note) : null,
      el("dl", { class: "figures-row" },
        ...[["State", stateOf(period)], ["Period", period.number.toLocaleString()], ["Began", when(period.startsAt)],
          ["Ends", period.endsAt ? when(period.endsAt) : "no end"], ["The next one ends", data.nextEndsAt ? when(data.nextEndsAt) : "–"]]
          .map(([label, value]) => el("div", { class: "figure small" }, el("dt", {}, label), el("dd", {}, value)))),
      ranks(id, data, periods.items),
      card("Periods", table("Periods", ["#Number", "Began", "Ended", "State", "#Players"], periods.items.map((one) => [
        one.number.toLocaleString(), when(one.startsAt), one.endsAt ? when(one.endsAt) : "–", stateOf(one), one.players === null ? "–" : one.players.toLocaleString(),
      ])), periods.nextCursor ? el("p", { class: "hint" }, "Earlier ones are not listed here.") : null),
      card("Definition", el("p", { class: "hint" }, inWords(data)), definitionForm(data, "Save", async (patch) => {
        if (!Object.keys(patch).length) return "Nothing was changed.";
        await api("PATCH", at(id), patch, { "If-Match": etag });
        tell("Saved.");
        await load("The definition is saved.");
        return "";
      })),
      hazards(id, data, load),
    ];
  });
  load();
}

export function newSeason(place) {
  const id = input({ required: true, maxlength: 64, dir: "auto", autocapitalize: "none", id: "season-id" });
  place.append(el("p", { class: "back" }, el("a", { href: "#/seasons" }, "All seasons")), heading("New season"),
    card(null, definitionForm(null, "Define the season", async (definition) => {
      const there = await api("GET", at(id.value)).then(() => true, (error) => { if (error.status === 404) return false; throw error; });
      if (there) return "There is a season of this name already. Change it on its own page.";
      await api("PUT", at(id.value), definition);
      tell("The season is defined.");
      location.hash = `#/season/${seg(id.value)}`;
      return "";
    }, [field("Name", id, "The id that programs use. It cannot be changed later.")])));
  id.focus();
}
