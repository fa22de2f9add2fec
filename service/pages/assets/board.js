import { Refused, ask, follow } from "./stream.js";
import { Rows, plain, scores } from "./show.js";

const $ = (id) => document.getElementById(id);
const asked = new URLSearchParams(location.search);
const embedded = document.body.classList.contains("embed");
const LIMIT = Math.min(100, Math.max(1, Math.trunc(Number(asked.get("limit"))) || (embedded ? 10 : 25)));
if (["light", "dark"].includes(asked.get("theme"))) document.documentElement.dataset.theme = asked.get("theme");
if (asked.get("dir") === "rtl") document.documentElement.dir = "rtl";

const NO_KEY = "This is no key: it is cut short or mistyped.";

function named() {
  try { return decodeURIComponent(location.pathname.split("/").pop()); } catch { return ""; }
}

const season = named();
/** The players with a value of an attribute, `country:KR`; null: all. */
const segment = asked.get("segment");
const at = `seasons/${encodeURIComponent(season)}`;
const list = new Rows($("rows")), nearby = new Rows($("window"));
let key = "", turnedAway = "", player = null, about = null, write = scores(), running = null, leader = null, past = null, totalShown = 0;
/** Whether a list was shown, and whether the definition is to be read again: it may be another one by now. */
let isShown = false, isStale = false;

for (let n = 0; n < Math.min(LIMIT, 8); n += 1) {
  const wait = document.createElement("li");
  wait.className = "skeleton";
  wait.setAttribute("aria-hidden", "true");
  $("rows").append(wait);
}

function state(name, text) {
  $("state").dataset.state = name;
  if ($("state-text").textContent !== text) $("state-text").textContent = text;
}

function empty(title, text) {
  $("empty").hidden = title === null;
  if (title !== null) { $("empty-title").textContent = title; $("empty-text").textContent = text; }
}

function count(total) {
  $("players").textContent = total === 1 ? "1 player" : `${total.toLocaleString()} players`;
}

function showList({ items, total }, moves = true) {
  list.show(items, { write, marked: player, bars: (about?.order ?? "desc") === "desc" && about?.display?.format !== "time", moves });
  count(total);
  totalShown = total;
  if (items.length) empty(null);
  else empty("Nobody is here yet", "The first score appears here the moment it is submitted.");
  const first = items[0];
  if (first && leader !== null && first.userId !== leader && moves) {
    $("told").textContent = `${plain(first.displayName ?? first.userId)} takes the lead with ${write(first.score).text}.`;
  }
  leader = first?.userId ?? "";
}

function showAround(around) {
  const mine = around.items.find((row) => row.userId === player);
  $("found").hidden = !mine;
  $("find-wrong").textContent = mine ? "" : "This player is not on the board.";
  if (!mine) return;
  $("found-rank").textContent = `${mine.rank.toLocaleString()} of ${around.total.toLocaleString()}`;
  // The share of players below; the board's `percentile` counts the player, too.
  const below = around.total > 1 ? Math.floor(1000 * (around.total - mine.rank) / (around.total - 1)) / 10 : 100;
  $("found-percentile").textContent = `${below.toLocaleString()} %`;
  nearby.show(around.items, { write, marked: player });
}

function refused(error) {
  if (error.status === 401 || error.status === 403) {
    document.body.classList.add("private");
    state("away", "Private");
    for (const one of document.querySelectorAll(".skeleton")) one.remove();
    list.show([], { write });
    $("players").textContent = "";
    $("key-form").hidden = false;
    $("find").hidden = true;
    $("key-wrong").textContent = !key ? turnedAway : error.code === "credential-malformed" ? NO_KEY : error.message;
    empty("This board is private", "Its ranks are shown to those who have a key.");
  } else if (error.code === "invalid-user-id") {
    forget();
    $("find-wrong").textContent = error.message;
    listen();
  } else if (error.status === 400 || error.status === 404) {
    for (const one of document.querySelectorAll(".skeleton")) one.remove();
    state("away", "Not found");
    empty("There is no such board", error.message);
  } else {
    state("away", error.code === "too-many-streams" ? "Busy, trying again" : "Reconnecting");
  }
}

function tell(news) {
  if (news.refused) refused(news.refused);
  else if (news.unavailable) state("away", news.unavailable === "board-rebuilding" ? "The board is being rebuilt" : "Ranks are delayed");
  else if (news.live === false) { isStale = true; if ($("state-text").textContent !== "Busy, trying again") state("away", "Reconnecting"); }
  else if (news.around) showAround(news.around);
  else {
    state("live", "Live");
    $("key-form").hidden = true;
    document.body.classList.remove("private");
    $("find").hidden = false;
    showList(news);
    // A whole list: another period has begun, perhaps, or the server was away.
    if (news.whole && isShown) isStale = true;
    isShown = true;
  }
}

function listen() {
  running?.abort();
  running = new AbortController();
  follow(season, { limit: LIMIT, user: player, segment, key, signal: running.signal, tell });
}

// --- the season: its title, its period, and the time until its end

const AGAIN_MS = 120_000;
let ends = null, looked = 0;

/** Exchange the ticket in the fragment, which no server sees, for a pass, and forget it. */
async function enter() {
  const ticket = new URLSearchParams(location.hash.slice(1)).get("ticket");
  if (!ticket) return;
  history.replaceState(null, "", location.pathname + location.search);
  try {
    const answer = await ask(`${at}/passes`, "", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ticket }),
    });
    key = (await answer.json()).credential;
  } catch (error) {
    turnedAway = error.message;
  }
}

/** The heading: the name, and of a segment the value. */
function entitle(name) {
  const text = [name, ...(segment === null ? [] : [segment.slice(segment.indexOf(":") + 1)])].map(plain).join(" · ");
  $("title").textContent = text;
  document.title = `${text} · Leaderboard`;
}

async function learn() {
  looked = Date.now();
  try {
    about = await (await ask(at, key)).json();
  } catch (error) {
    // The stream tells what is wrong; a season without a score has no definition (404).
    isStale = !(error instanceof Refused) || error.status >= 500;
    return;
  }
  entitle(about.title || season);
  write = scores(about.display);
  ends = about.period.endsAt ? Date.parse(about.period.endsAt) : null;
  $("period").textContent = about.schedule || about.period.number > 1 ? `Period ${about.period.number.toLocaleString()}` : "";
  if (list.shown.size && past === null) showList({ items: [...list.shown.values()].map((row) => row.item), total: totalShown }, false);
  if (about.period.number > 1 && !embedded && segment === null) periods();
  tick();
}

function tick() {
  // The stream does not tell that an operator has changed the title.
  if ($("state").dataset.state === "live" && Date.now() - looked > (isStale ? 5_000 : AGAIN_MS)) {
    isStale = false;
    learn();
  }
  $("clock").hidden = ends === null || past !== null;
  $("period").hidden = past !== null;
  if (ends === null) return;
  const left = Math.max(0, Math.ceil((ends - Date.now()) / 1000));
  const two = (n) => String(n).padStart(2, "0");
  const [d, h, m, s] = [Math.floor(left / 86400), Math.floor(left / 3600) % 24, Math.floor(left / 60) % 60, left % 60];
  const text = d ? `${d} d ${two(h)} h ${two(m)} m` : `${two(h)}:${two(m)}:${two(s)}`;
  if ($("time").textContent !== text) $("time").textContent = text;
  $("clock-label").textContent = left ? "Ends in" : "The period has ended";
  if (!left && about.period.state !== "final" && Date.now() - looked > 5_000) learn();
}
setInterval(tick, 500);

// --- periods that have ended

async function periods() {
  try {
    const { items } = await (await ask(`${at}/periods`, key)).json();
    const chosen = $("periods").value;
    $("periods").replaceChildren(...items.map((one, n) => {
      const option = document.createElement("option");
      option.value = n ? one.number : "";
      const day = (text) => new Date(text).toLocaleDateString(undefined, { dateStyle: "medium" });
      option.textContent = n ? `${one.number.toLocaleString()} · until ${one.endsAt ? day(one.endsAt) : ""}` : "now, live";
      return option;
    }));
    $("periods").value = chosen;
    if ($("periods").selectedIndex < 0) $("periods").selectedIndex = 0;
    $("periods-card").hidden = items.length < 2;
  } catch {
    $("periods-card").hidden = true;
  }
}

$("periods").addEventListener("change", async () => {
  past = $("periods").value || null;
  leader = null;
  if (past === null) { state("loading", "Loading"); listen(); tick(); return; }
  running?.abort();
  state("away", "Loading");
  try {
    const shown = await (await ask(`${at}/leaderboard/top?limit=${LIMIT}&period=${past}&int64=string`, key)).json();
    state("final", `Final ranks of period ${past}`);
    showList(shown, false);
  } catch (error) {
    state("away", "Not available");
    list.show([], { write });
    empty("This period cannot be shown", error.message);
  }
  tick();
});

// --- a player, and the key of a private board

$("find").addEventListener("submit", async (event) => {
  event.preventDefault();
  player = $("player").value.trim();
  if (past !== null) {
    try {
      const query = new URLSearchParams({ userId: player, range: 3, fill: true, period: past, int64: "string" });
      showAround(await (await ask(`${at}/leaderboard/around?${query}`, key)).json());
    } catch (error) {
      $("found").hidden = true;
      $("find-wrong").textContent = error.message;
    }
    return;
  }
  listen();
});

function forget() {
  player = null;
  $("found").hidden = true;
}

$("forget").addEventListener("click", () => {
  forget();
  $("player").value = "";
  if (past === null) listen();
  $("player").focus();
});

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const entered = $("key").value.trim();
  // A header cannot hold it: the browser would ask nothing.
  if (/[^\x21-\x7e]/.test(entered)) {
    $("key-wrong").textContent = NO_KEY;
    return;
  }
  key = entered;
  $("key").value = "";
  listen();
  learn();
});

addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName) && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    $("player").focus();
  }
});

if (embedded && parent !== window) {
  // The page around an iframe may fit it to its content. The height is no secret. That of the document would be no less
  // than that of the frame, which then could not shrink.
  const height = () => Math.ceil(document.body.getBoundingClientRect().height);
  new ResizeObserver(() => parent.postMessage({ leaderboard: season, height: height() }, "*")).observe(document.body);
}

entitle(season);
$("foot").textContent = "Ranks as the server has them, live.";
addEventListener("pageshow", (event) => { if (event.persisted && past === null) listen(); });
await enter();
learn();
listen();
