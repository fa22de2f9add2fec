// What the parts of the operators' page share: elements made of text, requests with the session's token, forms.

import { Refused } from "./stream.js";
import { plain } from "./show.js";

/** An element. Strings become text, never markup. `props`: attributes; `on…`: listeners; `class`; true for bare ones. */
export function el(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A name of a player or a season, which may be any text. */
export const name = (text, tag = "bdi") => el(tag, { class: "called", title: plain(text) }, plain(text));

// --- requests

let token = "", onEnd = () => {};

/** Use this token from now on; `ended` is called when the server says that the session has ended. */
export function use(newToken, ended) { token = newToken ?? ""; onEnd = ended ?? onEnd; }

/** JSON with whole numbers beyond doubles as BigInt, where the browser tells the text of a number. */
export function parse(text) {
  return JSON.parse(text, (key, value, context) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "") ? BigInt(context.source) : value);
}

/** The same way back. No text that the API takes begins with NUL. */
export function write(value, space = 0) {
  return JSON.stringify(value, (key, one) => (typeof one === "bigint" ? `\u0000${one}` : one), space).replace(/"\\u0000(-?\d+)"/g, "$1");
}

/** Ask the API: {data, etag}. Throws Refused with the problem's text, or TypeError where the server does not answer. */
export async function api(method, path, body, headers = {}) {
  const answer = await fetch(path.startsWith("admin/") ? path : `v1/${path}`, {
    method, cache: "no-store", credentials: "same-origin",
    headers: {
      ...headers,
      ...(token ? { Authorization: `Bearer ${token}` } : {}),
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    },
    body: body === undefined ? undefined : write(body),
  });
  const text = await answer.text();
  if (!answer.ok) {
    let problem = {};
    try { problem = JSON.parse(text); } catch { /* of a proxy, not of the API */ }
    if (problem.code === "session-ended") onEnd();
    throw new Refused(answer.status, problem, Number(answer.headers.get("Retry-After")) || 0);
  }
  return { data: parse(text), etag: answer.headers.get("ETag") };
}

export const seg = encodeURIComponent;

/** The text of an error for people. */
export function reason(error) {
  if (error instanceof TypeError) return "The server does not answer.";
  if (error.code === "scope-missing") return "The key you signed in with lacks the scope for this. Nothing was done.";
  return error.message;
}

// --- words and times

export const count = (n, one, many = `${one}s`) => `${Number(n).toLocaleString()} ${n === 1 ? one : many}`;

const instant = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** A time in the visitor's zone; the title has it in UTC. */
export function when(text) {
  return text ? el("time", { datetime: text, title: text }, instant.format(new Date(text))) : "–";
}

export function lasts(seconds) {
  const s = Math.round(seconds);
  if (s < 120) return `${s} s`;
  if (s < 7_200) return `${Math.round(s / 60)} min`;
  return s < 172_800 ? `${Math.round(s / 3_600)} h` : `${Math.round(s / 86_400)} days`;
}

export function tell(text) { document.getElementById("told").textContent = text; }

// --- parts of pages

/** A heading, with what stands beside it. */
export const heading = (text, ...beside) => el("div", { class: "top" }, el("h1", {}, text), el("div", { class: "beside" }, beside));

export const card = (title, ...children) => el("section", { class: "card" }, title ? el("h2", {}, title) : null, children);

/** A table that scrolls by itself where it is too wide. A column that begins with `#` has numbers. */
export function table(label, heads, rows, empty = "There is nothing yet.") {
  if (!rows.length) return el("p", { class: "nothing" }, empty);
  const is = heads.map((head) => (head.startsWith("#") ? "number" : null));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, el("table", {},
    el("thead", {}, el("tr", {}, heads.map((head, at) => el("th", { scope: "col", class: is[at] }, head.replace(/^#/, ""))))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, at) => el("td", { class: is[at] }, cell)))))));
}

/** A number with its name, in a row of them. */
export function figure(label, value, note = "", kind = "") {
  return el("div", { class: `figure ${kind}` }, el("dt", {}, label), el("dd", {}, value), note ? el("dd", { class: "hint" }, note) : null);
}

/** An element of a drawing. */
export function mark(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export const badge = (text, kind = "") => el("span", { class: `badge ${kind}` }, text);

let ids = 0;

/** A labelled control; `hint` tells what it means. */
export function field(label, control, hint = "") {
  ids += 1;
  control.id ||= `f${ids}`;
  const help = hint ? el("p", { class: "hint", id: `${control.id}-hint` }, hint) : null;
  if (help) control.setAttribute("aria-describedby", help.id);
  return el("div", { class: "row-field" }, el("label", { for: control.id }, label), control, help);
}

export const input = (props = {}) => el("input", { type: "text", autocomplete: "off", spellcheck: "false", ...props });

export function select(choices, value, props = {}) {
  const made = el("select", props, choices.map(([key, text]) => el("option", { value: key }, text)));
  made.value = value;
  return made;
}

/** A form. `act` may return the text of its success; what it throws is shown beside the button. */
export function form(button, act, fields, { danger = false, disabled = false } = {}) {
  const said = el("p", { class: "said", role: "status" });
  const press = el("button", { type: "submit", class: danger ? "danger" : null, disabled }, button);
  return el("form", {
    class: "form",
    async onsubmit(event) {
      event.preventDefault();
      press.disabled = true;
      said.className = "said";
      said.textContent = "";
      try {
        said.textContent = (await act()) ?? "";
        said.classList.add("good");
      } catch (error) {
        said.textContent = reason(error);
        said.classList.add("wrong");
      }
      press.disabled = false;
    },
  }, fields, el("div", { class: "act" }, press, said));
}

/**
 * A control that can hurt: its consequence in words, and a field for the name of what it is done to. Its button works
 * when the name has been typed.
 */
export function hazard(title, consequence, typed, button, act, fields = []) {
  const confirm = input({ dir: "auto", autocapitalize: "none" });
  const made = form(button, async () => { const done = await act(); confirm.value = ""; return done; },
    [...fields, field(`Type “${plain(typed)}” to confirm`, confirm)], { danger: true, disabled: true });
  const press = made.querySelector("button");
  const fits = () => confirm.value === typed || confirm.value === plain(typed);
  confirm.addEventListener("input", () => { press.disabled = !fits(); });
  made.addEventListener("submit", (event) => { if (!fits()) { event.preventDefault(); event.stopImmediatePropagation(); } }, true);
  return el("section", { class: "hazard" }, el("div", {}, el("h3", {}, title), el("p", {}, consequence)), made);
}

/** Fill a place with what `load` returns; until then it says so, and afterwards what went wrong. */
export async function fill(place, load) {
  place.replaceChildren(el("p", { class: "nothing" }, "Loading …"));
  try {
    place.replaceChildren(...[await load()].flat().filter(Boolean));
  } catch (error) {
    place.replaceChildren(el("p", { class: "failed", role: "alert" }, reason(error)));
  }
}
