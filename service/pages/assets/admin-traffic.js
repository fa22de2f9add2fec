// Submissions and reads of the last hours, and their latencies, as the server that answers has counted them.

import { api, card, count, el, figure, lasts, mark, reason, select, when } from "./admin-kit.js";

const WIDTH = 600, HEIGHT = 110;
const SPANS = [["15", "15 minutes"], ["60", "an hour"], ["360", "six hours"]];

const number = (value, digits = 0) => value.toLocaleString(undefined, { maximumFractionDigits: digits });
const rate = (value) => number(value, value < 10 ? 1 : 0);
const duration = (ms) => (ms >= 1_000 ? `${number(ms / 1_000, 1)} s` : `${number(ms, ms < 10 ? 1 : 0)} ms`);
const spread = (latency) => (latency ? `p50 ${duration(latency.p50Ms)}, p99 ${duration(latency.p99Ms)}` : "nothing was answered");

/** A round number that is not below. */
function ceiling(value) {
  if (!(value > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * unit >= value) * unit;
}

/** Lines over time. A line has a gap where its value is null. `series`: [name, value of a point]; `write` writes a value. */
function chart(title, points, minutes, series, write) {
  const end = Date.now();
  // A young server fills the width with what there is.
  const start = Math.max(end - 60_000 * minutes, Math.min(end - 60_000, Date.parse(points[0].at) - 1_000 * points[0].seconds));
  const most = ceiling(Math.max(0, ...points.flatMap((point) => series.map(([, value]) => value(point) ?? 0))));
  const lines = series.flatMap(([, value], at) => {
    const runs = [[]];
    for (const point of points) {
      const y = value(point);
      if (y === null) runs.push([]);
      else runs.at(-1).push(`${((WIDTH * (Date.parse(point.at) - start)) / (end - start)).toFixed(1)},${(HEIGHT - 2 - ((HEIGHT - 6) * y) / most).toFixed(1)}`);
    }
    return runs.filter((run) => run.length).map((run) => mark("polyline", { class: `line-${at}${run.length > 1 ? "" : " dot"}`, points: run.length > 1 ? run.join(" ") : `${run[0]} ${run[0]}` }));
  });
  const told = series.map(([name, value]) => {
    const known = points.map(value).filter((one) => one !== null);
    return known.length ? `${name}: now ${write(known.at(-1))}, at most ${write(Math.max(...known))}` : `${name}: nothing`;
  });
  const grid = [0, 0.5, 1].map((part) => mark("line", { x1: 0, x2: WIDTH, y1: 2 + part * (HEIGHT - 4), y2: 2 + part * (HEIGHT - 4) }));
  return el("figure", { class: "chart" },
    el("figcaption", {}, el("span", { class: "strong" }, title),
      series.map(([name], at) => el("span", { class: `key key-${at}` }, name)), el("span", { class: "most" }, `0 \u2013 ${write(most)}`)),
    mark("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}. ${told.join("; ")}` }, ...grid, ...lines),
    el("p", { class: "axis", "aria-hidden": "true" }, el("span", {}, `${lasts((end - start) / 1_000)} ago`), el("span", {}, "now")));
}

function shown(data, minutes) {
  const { latest, points } = data;
  const waits = data.longPolls ? " Reads that wait for a change count with the time that they waited." : "";
  const since = data.since && Date.now() - Date.parse(data.since) < 60_000 * minutes ? el("span", {}, " Counted since ", when(data.since), ".") : null;
  return [
    el("dl", { class: "figures-row" },
      figure("Submissions a second", latest ? rate(latest.submissionsPerS) : "–", latest ? spread(latest.submission) : "not known yet"),
      figure("Reads a second", latest ? rate(latest.readsPerS) : "–", latest ? spread(latest.read) : "not known yet"),
      figure("Failures a second", latest ? el("span", { class: latest.failuresPerS ? "wrong" : null }, rate(latest.failuresPerS)) : "–", "answers with a status from 500 on"),
      figure("Listeners", number(data.streams + data.longPolls), `${count(data.streams, "stream")}, ${count(data.longPolls, "long poll")}`)),
    points.length > 1 ? el("div", { class: "charts" },
      chart("A second", points, minutes, [["submissions", (one) => one.submissionsPerS], ["reads", (one) => one.readsPerS]], rate),
      chart("Latency, p99", points, minutes, [["submissions", (one) => one.submission?.p99Ms ?? null], ["reads", (one) => one.read?.p99Ms ?? null]], duration))
      : el("p", { class: "nothing" }, "The server counts since a moment ago: there is nothing to draw yet."),
    el("p", { class: "hint" }, `${count(data.workers, "worker")} of the server that answered; other hosts have figures of their own.${waits}`, since),
  ];
}

/** The card of the traffic, and what fills it: it is called again every few seconds. */
export function traffic() {
  const body = el("div", { class: "stack", id: "traffic" });
  let turn = 0;
  const span = select(SPANS, "60", { "aria-label": "How far back", onchange: () => look() });
  const place = card(null, el("div", { class: "top" }, el("h2", {}, "Traffic"), el("div", { class: "beside" }, span)), body);
  async function look(signal) {
    const mine = ++turn, minutes = Number(span.value);
    try {
      const { data } = await api("GET", `status/traffic?minutes=${minutes}`);
      if (mine === turn && !signal?.aborted) body.replaceChildren(...shown(data, minutes));
    } catch (error) {
      if (mine === turn && !signal?.aborted) body.replaceChildren(el("p", { class: "wrong" }, `Not known now: ${reason(error)}`));
    }
  }
  return { place, look };
}
