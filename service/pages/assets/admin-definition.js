// The definition of a season as a form. The API checks it; what it says is shown as it is.

import { el, field, form, input, parse, select, write } from "./admin-kit.js";
import { preview } from "./admin-schedule.js";

const LOW = -(2n ** 63n), HIGH = 2n ** 63n - 1n;
const DEFAULTS = {
  operator: "sum", order: "desc", columns: [], ranking: "ordinal", bounds: { min: LOW, max: HIGH }, opensAt: null, schedule: null,
  graceS: 0, keepPeriods: null, feeds: [], segments: [], title: "", metadata: {}, display: { unit: "", decimals: 0, format: "number" }, visibility: "private",
};
const KINDS = { cron: ["cron", "timeZone"], every: ["every", "startsAt"], once: ["endsAt"] };
const LABELS = { cron: "Cron", timeZone: "Time zone", every: "Every", startsAt: "Counted from", endsAt: "The only end" };
const HINTS = {
  cron: "Minute, hour, day of month, month, day of week: 0 0 * * MON", timeZone: "Europe/Berlin", every: "An ISO 8601 duration: P7D, PT1H",
  startsAt: "An instant, which may be past: 2026-11-30T00:00:00Z", endsAt: "An instant: 2026-12-31T23:00:00Z",
};

class Wrong extends Error {}

/** A whole number of 64 bits. Beyond doubles a browser may have rounded it. */
function whole(value) {
  const number = BigInt(value);
  return number > HIGH ? HIGH : number < LOW ? LOW : number;
}

/** A merge patch (RFC 7396) that leads from one value to another; undefined where they are equal. */
export function difference(before, after) {
  const isObject = (one) => one !== null && typeof one === "object" && !Array.isArray(one);
  if (!isObject(after)) return String(JSON.stringify(before, big)) === JSON.stringify(after, big) ? undefined : after;
  const patch = {};
  const old = isObject(before) ? before : {};
  for (const key of Object.keys(old)) if (!Object.hasOwn(after, key)) patch[key] = null;
  for (const key of Object.keys(after)) {
    const one = difference(old[key], after[key]);
    if (one !== undefined) patch[key] = one;
  }
  return Object.keys(patch).length || !isObject(before) ? patch : undefined;
}

const big = (key, value) => (typeof value === "bigint" ? `${value}n` : typeof value === "number" && Number.isInteger(value) ? `${value}n` : value);

function kindOf(schedule) {
  if (!schedule) return "";
  return schedule.cron ? "cron" : schedule.every ? "every" : "once";
}

/** The rule and the ends of a season in words. */
export function inWords(season) {
  const counts = { sum: "Scores of a player add up", best: "The best run of a player counts", last: "The last run of a player counts" }[season.operator];
  const first = season.order === "desc" ? "the highest score is first" : "the lowest score is first";
  const { schedule } = season;
  const ends = {
    "": "Its period has no end.", cron: `Periods end by “${schedule?.cron}” in ${schedule?.timeZone}.`,
    every: `A period lasts ${schedule?.every}, counted from ${schedule?.startsAt}.`, once: `It ends once, at ${schedule?.endsAt}.`,
  }[kindOf(schedule)];
  return `${counts}; ${first}. ${ends}`;
}

function lines(value, props) {
  const made = el("textarea", { rows: 2, spellcheck: "false", dir: "auto", ...props });
  made.value = value.join("\n");
  return made;
}

const listed = (control) => control.value.split("\n").map((one) => one.trim()).filter(Boolean);

function integer(control, called) {
  const text = control.value.trim();
  if (!/^-?\d+$/.test(text)) throw new Wrong(`${called} must be a whole number.`);
  return BigInt(text);
}

const optional = (control) => control.value.trim() || null;

/** The controls of a definition, and what reads them. */
function controls(now) {
  const title = input({ value: now.title, dir: "auto", maxlength: 200, id: "d-title" });
  const operator = select([["sum", "sum: scores add up"], ["best", "best: the best run counts"], ["last", "last: the last run counts"]], now.operator, { id: "d-operator" });
  const order = select([["desc", "desc: the highest is first"], ["asc", "asc: the lowest is first"]], now.order, { id: "d-order" });
  const ranking = select([["ordinal", "ordinal: every rank once"], ["competition", "competition: equal scores share a rank"]], now.ranking, { id: "d-ranking" });
  const visibility = select([["private", "private: with a key"], ["public", "public: without"]], now.visibility, { id: "d-visibility" });
  const min = input({ value: String(whole(now.bounds.min)), inputmode: "numeric", id: "d-min" });
  const max = input({ value: String(whole(now.bounds.max)), inputmode: "numeric", id: "d-max" });
  const columns = lines(now.columns.map((one) => `${one.name} ${one.order}`), { id: "d-columns" });
  const opensAt = input({ value: now.opensAt ?? "", id: "d-opensAt" });
  const kind = select([["", "no end"], ["cron", "by a calendar (cron)"], ["every", "in equal steps"], ["once", "once"]], kindOf(now.schedule), { id: "d-schedule" });
  const parts = Object.fromEntries(Object.keys(LABELS).map((one) => [one, input({ value: now.schedule?.[one] ?? "", id: `d-${one}` })]));
  const rows = Object.entries(parts).map(([one, control]) => [one, field(LABELS[one], control, HINTS[one])]);
  const readSchedule = () => (kind.value ? Object.fromEntries(KINDS[kind.value].map((one) => [one, parts[one].value.trim()])) : null);
  const ends = preview(() => kind.value && { schedule: readSchedule(), opensAt: optional(opensAt) });
  const choose = () => { for (const [one, row] of rows) row.hidden = !(KINDS[kind.value] ?? []).includes(one); };
  kind.addEventListener("change", () => { choose(); ends.look(); });
  for (const control of [opensAt, ...Object.values(parts)]) control.addEventListener("input", ends.look);
  choose();
  const grace = input({ value: String(now.graceS), inputmode: "numeric", id: "d-grace" });
  const keep = input({ value: now.keepPeriods ?? "", inputmode: "numeric", id: "d-keep" });
  const feeds = lines(now.feeds, { id: "d-feeds" });
  const segments = lines(now.segments, { id: "d-segments" });
  const unit = input({ value: now.display.unit, maxlength: 32, dir: "auto", id: "d-unit" });
  const decimals = input({ value: String(now.display.decimals), inputmode: "numeric", id: "d-decimals" });
  const format = select([["number", "number"], ["time", "time, as 1:21.950"]], now.display.format, { id: "d-format" });
  const metadata = el("textarea", { rows: 3, spellcheck: "false", dir: "ltr", id: "d-metadata" });
  metadata.value = write(now.metadata, 2);
  const groups = [
    ["What people see", [field("Title", title), field("Reads", visibility, "Public: boards of this season need no credential."),
      field("Unit", unit, "Behind each score: pts, m"), field("Digits behind the point", decimals), field("Scores are shown as", format)]],
    ["How scores count", [field("Operator", operator), field("Order", order), field("Equal scores", ranking),
      field("Least score", min), field("Greatest score", max), field("Columns", columns, "Up to three further numbers of a run, compared after the score. One a line: time asc")]],
    ["Periods", [field("Opens at", opensAt, "Empty: it is open. Else an instant: 2026-12-01T00:00:00Z"), field("Periods end", kind), ...rows.map(([, row]) => row), ends.place,
      field("Seconds of grace", grace, "After the end, for late submissions of game servers."), field("Ended periods to keep", keep, "Empty: all.")]],
    ["For programs", [field("Segments", segments, "Attributes of players of which each value has a board. One a line: country"), field("Feeds", feeds, "Seasons in which each submission counts, too. One a line."), field("Metadata", metadata, "A JSON object for clients.")]],
  ];
  const read = () => {
    let object;
    try { object = parse(metadata.value || "{}"); } catch { throw new Wrong("Metadata is not JSON."); }
    return {
      title: title.value, operator: operator.value, order: order.value, ranking: ranking.value, visibility: visibility.value,
      bounds: { min: integer(min, "The least score"), max: integer(max, "The greatest score") },
      columns: listed(columns).map((line) => { const [, called, way] = /^(.*?)(?:\s+(asc|desc))?$/.exec(line); return { name: called, order: way ?? "desc" }; }),
      opensAt: optional(opensAt),
      schedule: readSchedule(),
      graceS: Number(integer(grace, "Grace")), keepPeriods: optional(keep) === null ? null : Number(integer(keep, "The number of periods")),
      feeds: listed(feeds), segments: listed(segments), metadata: object,
      display: { unit: unit.value, decimals: Number(integer(decimals, "The number of digits")), format: format.value },
    };
  };
  return { groups, read };
}

/** A form of a definition. `act` gets what differs from `season`; from the defaults, if that is null. */
export function definitionForm(season, button, act, before = []) {
  const known = season ? Object.fromEntries(Object.keys(DEFAULTS).map((key) => [key, season[key]])) : DEFAULTS;
  const { groups, read } = controls(known);
  const base = { ...known, bounds: { min: whole(known.bounds.min), max: whole(known.bounds.max) } };
  return form(button, () => act(difference(base, read()) ?? {}),
    [...before, ...groups.map(([title, fields]) => el("fieldset", { class: "group" }, el("legend", {}, title), el("div", { class: "fields" }, fields)))]);
}
