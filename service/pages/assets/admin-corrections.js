// Corrections of past submissions: what one would do, its application, and its undoing.

import { api, badge, card, count, el, field, fill, form, heading, input, name, reason, select, table, tell, when } from "./admin-kit.js";
import { plain } from "./show.js";

const LOOK_MS = 1_000;
const ACTIONS = [["void", "Let them not count"], ["set", "Let each count with another value"]];
const STATES = { running: "warn", applied: "good", refused: "bad", undoing: "warn", undone: "" };
const place = (rank) => (rank === null ? "–" : rank.toLocaleString());

/** The fields of a correction, and what they say: the body of the request. */
function fields(user) {
  const text = (id, props = {}) => input({ dir: "auto", autocapitalize: "none", id: `c-${id}`, ...props });
  const time = (id) => input({ type: "datetime-local", step: "1", id: `c-${id}` });
  const season = text("season", { maxlength: 64, required: true }), why = text("reason", { maxlength: 512, required: true });
  const chosen = { userId: text("user", { maxlength: 128, value: user }), keyId: text("key", { maxlength: 64 }), clientVersion: text("client", { maxlength: 64 }), from: time("from"), to: time("to") };
  const value = text("value", { inputmode: "numeric", pattern: "-?[0-9]{1,19}", disabled: true });
  const action = select(ACTIONS, "void", { id: "c-action", onchange() { value.disabled = action.value === "void"; value.required = !value.disabled; } });
  const body = () => ({
    seasonId: season.value, reason: why.value, action: action.value,
    filter: Object.fromEntries(Object.entries(chosen).filter(([, one]) => one.value).map(([key, one]) => [key, one.type === "datetime-local" ? new Date(one.value).toISOString() : one.value])),
    ...(action.value === "set" ? { value: BigInt(value.value) } : {}),
  });
  const rows = el("div", { class: "fields" }, [
    field("Season", season), field("Player’s id", chosen.userId), field("Key", chosen.keyId, "Its id; “token” for players’ tokens."),
    field("Version of the client", chosen.clientVersion), field("From", chosen.from), field("Before", chosen.to),
    field("What becomes of them", action), field("Value", value), field("Reason of the correction", why, "It stays for good: leave out names of players."),
  ]);
  return { rows, body };
}

/** What a preview says, with the button that applies it. */
function shown(body, { affected, changes }, done) {
  const apply = form(`Apply to ${count(affected, "submission")}`, async () => {
    const { data } = await api("POST", "corrections", { ...body, confirm: affected });
    tell(`Correction ${data.id} is on its way.`);
    done();
  }, [el("p", {}, "Every board of the season shows it at once, ended periods too. It can be undone as a whole.")], { danger: true, disabled: affected === 0 });
  return card("What it would do", el("p", { id: "affected" }, affected === 0 ? "No submission is chosen." : `${count(affected, "submission")} of the season.`),
    changes.length ? table("Ranks before and after", ["Player", "#Period", "#Before", "#After"], changes.map((one) => [name(one.userId), String(one.period), place(one.rankBefore), place(one.rankAfter)])) : null,
    changes.length === 100 ? el("p", { class: "hint" }, "These are the first 100 players.") : null, apply);
}

function chosenBy({ filter }) {
  return el("span", {}, Object.entries(filter).flatMap(([key, one], nth) => [nth ? ", " : "", `${key} `, key === "from" || key === "to" ? when(one) : name(one)]));
}

function stateOf(one) {
  const part = one.state === "running" && one.progress.total ? ` ${Math.floor((100 * one.progress.done) / one.progress.total)} %` : "";
  return el("span", {}, badge(one.state + part, STATES[one.state]), one.problem ? ` ${one.problem}` : "",
    one.changed ? el("span", { class: "under" }, `${count(one.changed.length, "row")} had changed since, and ${one.changed.length === 1 ? "was" : "were"} made anew`) : null);
}

function undoing(one, done) {
  if (one.state !== "applied") return "–";
  return el("details", {}, el("summary", {}, "Undo"), form(`Undo correction ${one.id}`, async () => {
    await api("DELETE", `corrections/${one.id}`);
    done();
  }, [el("p", { class: "hint" }, "All of it counts as before. Rows that others have changed since are made anew.")]));
}

function list(items, done) {
  return card("Corrections", table("Corrections", ["#No.", "Asked", "Season", "What", "Which", "#Submissions", "State", "Why", "Undo"], items.map((one) => [
    String(one.id), when(one.askedAt), name(one.seasonId), badge(one.action === "set" ? `set ${one.value.toLocaleString()}` : "void"), chosenBy(one), one.affected.toLocaleString(),
    stateOf(one), plain(one.reason), undoing(one, done),
  ]), "No submission was ever corrected."));
}

export function corrections(root, user, { signal }) {
  const preview = el("div", { class: "stack", id: "preview" }), made = el("div", { class: "stack", id: "corrections" });
  const { rows, body } = fields(user);
  let timer = 0;
  async function look() {
    clearTimeout(timer);
    const { data } = await api("GET", "corrections?limit=50");
    if (data.items.some((one) => one.state === "running" || one.state === "undoing")) timer = setTimeout(again, LOOK_MS);
    return list(data.items, again);
  }
  /** Show the list anew; what stands there stays until then. */
  async function again() {
    if (signal.aborted) return;
    try {
      made.replaceChildren(await look());
    } catch (error) {
      made.replaceChildren(el("p", { class: "failed", role: "alert" }, reason(error)));
    }
  }
  signal.addEventListener("abort", () => clearTimeout(timer));
  const asked = form("Preview", async () => {
    preview.replaceChildren();
    const wanted = body();
    const { data } = await api("POST", "corrections?preview=true", wanted);
    preview.replaceChildren(shown(wanted, data, () => { preview.replaceChildren(); again(); }));
  }, rows);
  // What was shown is of other fields then.
  asked.addEventListener("input", () => preview.replaceChildren());
  root.append(heading("Corrections"), card("Choose submissions", el("p", { class: "hint" }, "All fields that are filled in have to fit. Nothing is written before it is applied."), asked), preview, made);
  fill(made, look);
}
