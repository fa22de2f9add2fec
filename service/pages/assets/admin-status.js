// The state of the system, again every few seconds.

import { api, badge, card, count, el, figure, heading, lasts, mark, name, reason, table, when } from "./admin-kit.js";
import { plain } from "./show.js";
import { traffic } from "./admin-traffic.js";

const EVERY_MS = 5_000;
const KEPT = 120;
const backlog = [];

/** The backlog since the page was opened. */
function curve() {
  const most = Math.max(1, ...backlog);
  const points = backlog.map((n, at) => `${(300 * at) / Math.max(1, backlog.length - 1)},${59 - (56 * n) / most}`);
  const line = backlog.length > 1 ? points.join(" ") : `0,${points[0].split(",")[1]} 300,${points[0].split(",")[1]}`;
  return mark("svg", { viewBox: "0 0 300 60", class: "curve", preserveAspectRatio: "none", role: "img",
    "aria-label": `Changes that wait, since this page was opened: now ${backlog.at(-1)}, at most ${Math.max(...backlog)}` },
  mark("polygon", { points: `0,60 ${line} 300,60` }), mark("polyline", { points: line }));
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

/** Numbers in order, as ranges: 1–3, 7. */
function ranges(numbers) {
  const runs = [];
  for (const one of numbers) {
    if (runs.length && one === runs.at(-1)[1] + 1) runs.at(-1)[1] = one;
    else runs.push([one, one]);
  }
  return runs.map(([first, last]) => (first === last ? String(first) : `${first}\u2013${last}`)).join(", ");
}

function relays(state) {
  const rows = state.relays.map((one) => [name(one.relay), ranges(one.partitions),
    one.held ? badge(`at work on ${one.held}`, "good") : `idle for ${lasts(one.idleS)}`]);
  return card("Relays", el("p", { class: "hint" }, `${count(state.relaysConnected, "relay is", "relays are")} connected. Each takes the partitions that have changes, for milliseconds at a time: these are those that it had last.`),
    table("Relays", ["Relay", "Partitions", "Now"], rows, "No relay had anything to do in the last ten minutes."));
}

const size = (bytes) => {
  if (bytes === null) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0, left = Number(bytes);
  for (; left >= 1024 && at < units.length - 1; at += 1) left /= 1024;
  return `${left.toLocaleString(undefined, { maximumFractionDigits: left < 10 && at ? 1 : 0 })} ${units[at]}`;
};

function servers(state) {
  const masters = state.masters.map((one) => [`Redis ${plain(one.address)}`, one.up ? badge("answers", "good") : badge("does not answer", "bad"),
    String(one.partitions), one.replicas === null ? "–" : String(one.replicas), one.replicas ? size(one.lagBytes) : "–",
    one.limitBytes ? `${size(one.usedBytes)} of ${size(one.limitBytes)}` : size(one.usedBytes)]);
  const standbys = state.standbys.map((one) => [`PostgreSQL standby ${plain(one.name)}`, `${plain(one.state)}, ${plain(one.sync)}`, "–", "–", size(one.lagBytes), "–"]);
  return card("Servers", table("Servers", ["Server", "State", "#Partitions", "#Replicas", "#Behind", "#Memory"], [...masters, ...standbys], "Redis does not answer, and PostgreSQL has no standby."));
}

function summary(state) {
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
  ];
}

function details(state) {
  const most = Math.max(...backlog);
  return [
    card("Backlog since this page was opened", curve(), el("p", { class: "hint" }, backlog.length > 1
      ? `At most ${count(most, "change")} waited for their board, in the last ${lasts((backlog.length - 1) * EVERY_MS / 1_000)}.`
      : `It grows to the last ${lasts(KEPT * EVERY_MS / 1_000)}.`)),
    relays(state), servers(state),
    card("Partitions", cells(state.partitions),
      el("p", { class: "hint" }, "Filled: it has seasons. Darker: more changes wait. A frame in red: Redis does not have what PostgreSQL has."),
      el("details", {}, el("summary", {}, "All partitions as a table"), table("Partitions",
        ["#Partition", "#Seasons", "#Waiting", "#Oldest", "#Fence", "#In Redis", "State", "Last batch", "Rebuilt"],
        state.partitions.map((one) => [String(one.partition), String(one.seasons), String(one.pending), one.pending ? lasts(one.oldestS) : "–",
          String(one.fence), one.redisFence === null ? "–" : String(one.redisFence), badge(STATES[one.state], one.state === "ok" ? "" : "bad"), when(one.committedAt), when(one.rebuiltAt)])))),
    state.setAside.length ? card("Seasons set aside", el("p", { class: "hint" }, "Redis refuses their boards. Submissions are kept; the relay tries again by itself."),
      table("Seasons set aside", ["Season", "Reason", "#Tries", "Since", "Again"],
        state.setAside.map((one) => [name(one.seasonId), one.reason, String(one.tries), when(one.since), when(one.retryAt)]))) : null,
  ];
}

/** Fill a part again; not under the hands of somebody who uses it. */
function renew(part, children) {
  if (part.contains(document.activeElement) && part.children.length) return;
  const open = part.querySelector("details")?.open;
  part.replaceChildren(...children.filter(Boolean));
  if (open) part.querySelector("details").open = true;
}

export function status(place, argument, { signal }) {
  const fresh = el("p", { class: "hint", id: "fresh" }, "Loading …");
  const [first, last] = [el("div", { class: "stack" }), el("div", { class: "stack" })];
  const counted = traffic();
  place.append(heading("Status", fresh), el("div", { class: "stack", id: "status" }, first, counted.place, last));
  let timer;
  const look = async () => {
    counted.look(signal);
    try {
      const { data } = await api("GET", "status");
      if (signal.aborted) return;
      backlog.push(Number(data.pending));
      if (backlog.length > KEPT) backlog.shift();
      renew(first, summary(data));
      renew(last, details(data));
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
