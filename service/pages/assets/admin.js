// The operators' page: the session, and which part is shown. Every part asks the public API.

import { api, lasts, reason, tell, use } from "./admin-kit.js";
import { status } from "./admin-status.js";
import { newSeason, season, seasons } from "./admin-seasons.js";
import { players } from "./admin-players.js";
import { events } from "./admin-events.js";
import { keys } from "./admin-keys.js";
import { corrections } from "./admin-corrections.js";
import { audit } from "./admin-audit.js";

const $ = (id) => document.getElementById(id);
const PARTS = { status, seasons, season, "new-season": newSeason, players, corrections, events, keys, audit };
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;
const asked = new URLSearchParams(location.search);
if (["light", "dark"].includes(asked.get("theme"))) document.documentElement.dataset.theme = asked.get("theme");
if (asked.get("dir") === "rtl") document.documentElement.dir = "rtl";

let session = null, leave = new AbortController(), ending = 0;

/** Show the part that the address names. Its signal is aborted when another one comes. */
function show() {
  if (session === null) return;
  const [part, ...rest] = location.hash.replace(/^#\//, "").split("/");
  const known = Object.hasOwn(PARTS, part) ? part : "status";
  let argument = "";
  try { argument = decodeURIComponent(rest.join("/")); } catch { /* no part of ours has such an address */ }
  leave.abort();
  leave = new AbortController();
  for (const link of $("tabs").children) {
    const [to] = link.hash.slice(2).split("/");
    if (to === known || (to === "seasons" && known.includes("season"))) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const place = document.createElement("div");
  place.className = "part";
  $("main").replaceChildren(place);
  PARTS[known](place, argument, { signal: leave.signal, session });
  document.title = `${place.querySelector("h1")?.textContent ?? "Operators"} · Leaderboard`;
}

function enter(found) {
  session = found;
  use(found.token, () => close("The session has ended. Sign in again."));
  $("entry").hidden = true;
  $("shell").hidden = false;
  $("skip").hidden = false;
  $("sign-out").hidden = found.isOpen;
  clearTimeout(ending);
  if (found.isOpen) $("who").textContent = "Open server";
  else {
    const left = (Date.parse(found.expiresAt) - Date.now()) / 1_000;
    $("who").textContent = `Key ${found.keyId}, for ${lasts(left).replace(" ", "\u00a0")}`;
    ending = setTimeout(() => close("The session has ended. Sign in again."), Math.min(2 ** 31 - 1, 1_000 * Math.max(0, left)));
  }
  show();
}

function close(text = "") {
  session = null;
  clearTimeout(ending);
  leave.abort();
  use("");
  $("main").replaceChildren();
  $("shell").hidden = true;
  $("skip").hidden = true;
  $("entry").hidden = false;
  $("entry-wrong").textContent = text;
  $("plain").hidden = location.protocol !== "http:" || LOOPBACK.test(location.hostname);
  document.title = "Sign in · Leaderboard";
  $("key").focus();
}

$("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = $("key").value.trim();
  $("entry-wrong").textContent = "";
  try {
    const { data } = await api("POST", "admin/session", { key });
    $("key").value = "";
    enter(data);
  } catch (error) {
    $("entry-wrong").textContent = {
      "scope-missing": "This key lacks the scope admin.", "credential-malformed": "This is no key: it is cut short or mistyped.",
    }[error.code] ?? reason(error);
    $("key").select();
  }
});

$("sign-out").addEventListener("click", async () => {
  try {
    await api("DELETE", "admin/session");
    close();
  } catch (error) {
    tell(reason(error));
    $("who").textContent = `Not signed out: ${reason(error)}`;
  }
});

addEventListener("hashchange", () => { show(); $("main").focus({ preventScroll: true }); scrollTo(0, 0); });

try {
  const { data } = await api("GET", "admin/session");
  if (data.isOpen || data.token) enter(data);
  else close();
} catch (error) {
  close(reason(error));
}
