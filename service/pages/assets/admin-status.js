// The state of the system, again every few seconds.

import { api, badge, card, count, el, heading, lasts, name, reason, table, when } from "./admin-kit.js";

const EVERY_MS = 5_000;
const KEPT = 120;
const SVG = "http://www.w3.org/2000/svg";
const backlog = [];

function mark(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** The backlog since the page was opened. */
function curve() {
  const most = Math.max(1, ...backlog);
  const points = backlog.map((n, at) => `${(300 * at) / Math.max(1, backlog.length - 1)},${59 - (56 * n) / most}`);
  const line = backlog.length > 1 ? points.join(" ") : `0,${points[0].split(",")[1]} 300,${points[0].split(",")[1]}`;
  return mark("svg", { viewBox: "0 0 300 60", class: "curve", preserveAspectRatio: "none", role: "img",
    "aria-label": `Changes that wait, since this page was opened: now ${backlog.at(-1)}, at most ${Math.max(...backlog)}` },
  mark("polygon", { points: `0,60 ${line} 300,60` }), mark("polyline", { points: line }));
}

function figure(label, value, note = "") {
  return el("div", { class: "figure" }, el("dt", {}, label), el("dd", {}, value), note ? el("dd", { class: "hint" }, note) : null);
}

const STATES = {
  ok: "in step", behind: "Redis is behind", foreign: "Redis is of another PostgreSQL", unknown: "Redis does not answer",
};

function cells(partitions) {
  return el("ol", { class: "cells", "aria-label": "The partitions" }, partitions.map((one) => {
    const busy = one.pending ? Math.min(1, 0.25 + Math.log10(one.pending + 1) / 4) : 0;
    const text = `Partition ${one.partition}: ${STATES[one.state]}, ${count(one.seasons, "season")}, ${count(one.pending, "change")} waiting`;
    const cell = el("li", { title: text, "data-state": one.state, class: one.seasons ? "used" : null }, el("span", { class: "quiet" }, text));
    cell.style.setProperty("--busy", busy.toFixed(2));
    return cell;
  }));
}

function shown(state) {
  const wrong = state.findings.filter((one) => one.isWrong).length;
  return [
    el("section", { class: `card verdict ${wrong ? "bad" : "fine"}` },
      el("h2", {}, wrong ? (wrong === 1 ? "One thing needs you" : `${wrong} things need you`) : "All is well"),
      el("ul", { class: "findings" }, state.findings.map((one) => el("li", { class: one.isWrong ? "bad" : "fine" },
        el("span", { class: "quiet" }, one.isWrong ? "Wrong: " : "Fine: "), one.text[0].toUpperCase() + one.text.slice(1) + ".")))),
    el("dl", { class: "figures-row" },
      figure("Changes that wait", Number(state.pending).toLocaleString(), state.pending ? `the oldest for ${lasts(state.oldestS)}` : "every board is up to date"),
      figure("Seasons", Number(state.seasons).toLocaleString()),
      figure("Redis", state.redis === "ok" ? badge("answers", "good") : badge("does not answer", "bad")),
      figure("PostgreSQL", badge("answers", "good"))),
    card("Backlog since this page was opened", curve(), el("p", { class: "hint" }, backlog.length > 1
      ? `At most ${count(Math.max(...backlog), "change")} waited for their board, in the last ${lasts((backlog.length - 1) * EVERY_MS / 1_000)}.`
      : `It grows to the last ${lasts(KEPT * EVERY_MS / 1_000)}.`)),
    card("Partitions", cells(state.partitions),
      el("p", { class: "hint" }, "Filled: it has seasons. Darker: more changes wait. A frame in red: Redis does not have what PostgreSQL has."),
      el("details", {}, el("summary", {}, "All partitions as a table"), table("Partitions",
        ["#Partition", "#Seasons", "#Waiting", "#Oldest", "#Fence", "#In Redis", "State", "Last batch"],
        state.partitions.map((one) => [String(one.partition), String(one.seasons), String(one.pending), one.pending ? lasts(one.oldestS) : "–",
          String(one.fence), one.redisFence === null ? "–" : String(one.redisFence), badge(STATES[one.state], one.state === "ok" ? "" : "bad"), when(one.committedAt)])))),
    state.setAside.length ? card("Seasons set aside", el("p", { class: "hint" }, "Redis refuses their boards. Submissions are kept; the relay tries again by itself."),
      table("Seasons set aside", ["Season", "Reason", "#Tries", "Since", "Again"],
        state.setAside.map((one) => [name(one.seasonId), one.reason, String(one.tries), when(one.since), when(one.retryAt)]))) : null,
  ];
}

export function status(place, argument, { signal }) {
  const fresh = el("p", { class: "hint", id: "fresh" }, "Loading …");
  const body = el("div", { class: "stack", id: "status" });
  place.append(heading("Status", fresh), body);
  let timer;
  const look = async () => {
    try {
      const { data } = await api("GET", "status");
      if (signal.aborted) return;
      backlog.push(Number(data.pending));
      if (backlog.length > KEPT) backlog.shift();
      const open = body.querySelector("details")?.open;
      // Not under the hands of somebody who uses it.
      if (!body.contains(document.activeElement) || !body.children.length) body.replaceChildren(...shown(data).filter(Boolean));
      if (open) body.querySelector("details").open = true;
      fresh.className = "hint";
      fresh.textContent = `As of ${new Date().toLocaleTimeString()}`;
    } catch (error) {
      if (signal.aborted) return;
      fresh.className = "wrong";
      fresh.textContent = `Not known now: ${reason(error)}`;
    }
    timer = setTimeout(look, EVERY_MS);
  };
  signal.addEventListener("abort", () => clearTimeout(timer));
  look();
}
