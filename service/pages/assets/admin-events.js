// What has happened to periods and leaders, the newest first.

import { api, badge, count, el, fill, heading, name, seg, select, table, when } from "./admin-kit.js";

const PAGE = 1_000, PAGES = 20, SHOWN = 200;
const KINDS = [["", "All kinds"], ["period.ended", "Periods that ended"], ["period.closed", "Final ranks"], ["leader.changed", "Changes of the leader"]];

function words({ kind, data }) {
  if (kind === "period.closed") {
    const [first] = data.top ?? [];
    return first ? [`Final: ${count(data.players, "player")}, won by `, name(first.userId), ` with ${first.score.toLocaleString()}.`] : ["Final, without a player."];
  }
  if (kind === "leader.changed") {
    if (data.userId === undefined) return ["Nobody leads any more."];
    return [name(data.userId), ` leads with ${data.score?.toLocaleString()}`, ...(data.previousUserId ? [", before it was ", name(data.previousUserId)] : []), "."];
  }
  return ["The period ended."];
}

/** The last events of a kind. The feed begins with the oldest: it is read to its end, and the newest are kept. */
async function newest(kind) {
  let after = "", items = [], whole = false;
  for (let page = 0; page < PAGES && !whole; page += 1) {
    const query = new URLSearchParams({ limit: PAGE, ...(after ? { after } : {}), ...(kind ? { kind } : {}) });
    const { data } = await api("GET", `events?${query}`);
    items = [...items, ...data.items].slice(-SHOWN);
    after = data.nextCursor ?? "";
    whole = data.items.length < PAGE;
  }
  return { items: items.reverse(), whole };
}

export function events(place) {
  const body = el("div", { class: "stack", id: "events" });
  const load = () => fill(body, async () => {
    const { items, whole } = await newest(kind.value);
    return [
      whole ? null : el("p", { class: "hint" }, `These are the newest of the first ${(PAGE * PAGES).toLocaleString()} events. Choose a kind to see later ones.`),
      el("section", { class: "card" }, table("Events", ["When", "What", "Season", "#Period"], items.map((one) => [
        when(one.at), el("span", {}, badge(one.kind, one.kind === "leader.changed" ? "" : "good"), " ", words(one)),
        el("a", { href: `#/season/${seg(one.seasonId)}` }, name(one.seasonId)), String(one.period),
      ]), "Nothing has happened yet. Periods that end and changes of the leader are told here.")),
    ];
  });
  const kind = select(KINDS, "", { "aria-label": "Kind", onchange: load });
  const again = el("button", { type: "button", class: "quiet-button", onclick: load }, "Look again");
  place.append(heading("Events", kind, again), body);
  load();
}
