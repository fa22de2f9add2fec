// What a player submitted to a season, and the end of a player.

import { api, badge, card, count, el, field, form, hazard, input, name, reason, seg, table, when } from "./admin-kit.js";
import { plain } from "./show.js";

const PAGE = 50, LOOK_MS = 1_000, LOOKS = 60;
const STATES = { counted: ["counts", "good"], "not-best": ["not the best", ""], superseded: ["a later run counts", ""], void: ["void", "bad"] };

function rows(items) {
  return items.map((one) => [
    when(one.at), one.value.toLocaleString(), badge(...(STATES[one.state] ?? [one.state, ""])), String(one.period),
    one.keyId === null ? "–" : name(one.keyId), one.clientVersion === null ? "–" : name(one.clientVersion),
  ]);
}

async function page(user, season, cursor = "") {
  const query = new URLSearchParams({ limit: PAGE, ...(cursor ? { cursor } : {}) });
  const { data } = await api("GET", `seasons/${seg(season)}/players/${seg(user)}/submissions?${query}`);
  const nothing = data.nextCursor ? "None in this part of the ledger." : cursor ? "There are no earlier ones." : "Nothing was submitted, or it is older than the ledger.";
  const said = el("p", { class: "said", role: "status" });
  const more = el("button", {
    type: "button", class: "quiet-button",
    async onclick() {
      more.disabled = true;
      try {
        more.replaceWith(...(await page(user, season, data.nextCursor)));
        said.remove();
      } catch (error) {
        more.disabled = false;
        said.textContent = reason(error);
        said.className = "said wrong";
      }
    },
  }, "Show earlier ones");
  return [
    table(`Submissions to ${plain(season)}`, ["When", "#Value", "Counts?", "#Period", "Key", "Client"], rows(data.items), nothing),
    ...(data.nextCursor ? [more, said] : []),
  ];
}

/** A card that asks for a season, and shows what the player submitted to it. */
export function history(user, seasons) {
  const body = el("div", { class: "stack", id: "history" });
  const season = input({ dir: "auto", maxlength: 64, required: true, value: seasons[0] ?? "", list: "their-seasons", id: "history-season" });
  return card("What the player submitted",
    form("Show", async () => { body.replaceChildren(...(await page(user, season.value))); },
      [el("a", { href: `#/corrections/${seg(user)}` }, "Correct what was submitted"), field("Season", season, "For a key with the scope moderate."), el("datalist", { id: "their-seasons" }, seasons.map((one) => el("option", { value: one })))]),
    body);
}

/** Delete the player, and wait for the job that follows. */
async function erase(user, why) {
  const headers = why ? { "X-Audit-Log-Reason": encodeURIComponent(why) } : {};
  let { data } = await api("DELETE", `players/${seg(user)}`, undefined, headers);
  for (let look = 0; data.state !== "done" && look < LOOKS; look += 1) {
    await new Promise((go) => { setTimeout(go, LOOK_MS); });
    ({ data } = await api("GET", `erasures/${data.id}`));
  }
  return data.state === "done" ? `Erased, with ${count(data.erased.submissions, "submission")}.` : `No board shows the player. A job deletes the rest: erasure ${data.id}.`;
}

/** The control that erases a player. */
export function erasure(user) {
  const why = input({ maxlength: 512, id: "erase-reason" });
  return hazard("Erase the player",
    "Everything of the player is deleted in all seasons and periods: scores, ranks, submissions, names. Ranks of others close up. It cannot be undone. The audit keeps that it was done, by whom and why, and not the name.",
    user, "Erase", () => erase(user, why.value.trim()), [field("Reason, for the audit", why, "Without the player’s name: it stays for good.")]);
}
