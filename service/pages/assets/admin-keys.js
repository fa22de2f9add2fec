// Keys: who may use the API. A secret is shown once, in the answer that makes it.

import { api, badge, card, count, el, field, fill, form, hazard, heading, input, name, table, tell, when } from "./admin-kit.js";
import { plain } from "./show.js";

const SCOPES = [["read", "reads boards, seasons and players"], ["submit", "submits scores, writes profiles"], ["moderate", "reads what players submitted, bans and hides players"], ["admin", "changes seasons and keys, and signs in here"]];

function stateOf(key) {
  const now = Date.now();
  if (key.revokedAt) return badge("revoked", "bad");
  if (key.expiresAt && Date.parse(key.expiresAt) <= now) return badge("expired", "bad");
  if (key.successor) return badge("being replaced", "warn");
  return badge("valid", "good");
}

const isValid = (key) => !key.revokedAt && !(key.expiresAt && Date.parse(key.expiresAt) <= Date.now());

function secret(place, text, title) {
  const shown = input({ readonly: true, value: text, id: "secret", "aria-label": "The key", onfocus: (event) => event.target.select() });
  const copied = el("span", { class: "hint", role: "status" });
  place.replaceChildren(el("section", { class: "card secret" }, el("h2", {}, title),
    el("p", {}, "Store it now. It cannot be shown again: the server keeps a hash of it only."),
    el("div", { class: "copy" }, shown, el("button", {
      type: "button",
      async onclick() {
        try { await navigator.clipboard.writeText(text); copied.textContent = "Copied."; } catch { shown.focus(); copied.textContent = "Press Ctrl+C."; }
      },
    }, "Copy")), copied,
    el("button", { type: "button", class: "quiet-button", onclick: () => place.replaceChildren() }, "I have stored it")));
  shown.focus();
}

function creation(told, again) {
  const called = input({ required: true, maxlength: 100, dir: "auto", id: "key-name" });
  const boxes = SCOPES.map(([scope]) => el("input", { type: "checkbox", id: `scope-${scope}` }));
  const seasons = el("textarea", { rows: 2, dir: "auto", spellcheck: "false", id: "key-seasons" });
  const days = input({ inputmode: "numeric", pattern: "[0-9]*", id: "key-days" });
  return form("Make the key", async () => {
    const limited = seasons.value.split("\n").filter(Boolean);
    const { data } = await api("POST", "keys", {
      name: called.value, scopes: SCOPES.map(([scope]) => scope).filter((scope, at) => boxes[at].checked),
      ...(limited.length ? { seasons: limited } : {}), ...(days.value ? { lifeS: Number(days.value) * 86_400 } : {}),
    });
    secret(told, data.key, `The new key “${plain(data.made.name)}”`);
    again();
  }, [
    el("div", { class: "fields" }, field("Name", called, "For people: which program or person has it."), field("Days until it expires", days, "Empty: never.")),
    el("fieldset", {}, el("legend", {}, "Scopes"), SCOPES.map(([scope, means], at) => el("div", { class: "check" }, boxes[at],
      el("label", { for: `scope-${scope}` }, el("strong", {}, scope), ` ${means}`)))),
    field("Seasons", seasons, "One a line. Empty: all seasons."),
  ]);
}

function care(key, told, again, session) {
  const grace = input({ inputmode: "numeric", value: "24", pattern: "[0-9]+", required: true, id: "grace" });
  const title = plain(key.name);
  const own = key.id === session.keyId ? " You are signed in with this key: you will be signed out." : "";
  return el("section", { class: "card", id: "care" }, el("h2", {}, "Key ", name(key.name)),
    el("p", { class: "hint" }, `Id ${key.id}; scopes ${key.scopes.join(", ")}; ${key.seasons ? count(key.seasons.length, "season") : "all seasons"}.`),
    el("section", { class: "hazard" }, el("div", {}, el("h3", {}, "Rotate"),
      el("p", {}, `A successor with the same rights is made and shown once. Programs with “${title}” go on until the hours below are over; give them the successor before.`)),
    form("Rotate", async () => {
      const { data } = await api("POST", `keys/${key.id}/rotate`, { graceS: Math.round(Number(grace.value) * 3_600) });
      secret(told, data.key, `The successor of “${title}”`);
      again();
    }, [field("Hours for which the old key stays valid", grace)])),
    hazard("Revoke", `Every request with this key is refused, on every server within two seconds. It cannot be undone.${own}`, key.id, "Revoke", async () => {
      await api("DELETE", `keys/${key.id}`);
      tell(`Key ${title} is revoked.`);
      again();
    }));
}

export function keys(place, argument, { session }) {
  const told = el("div", { id: "told-secret" }), body = el("div", { class: "stack", id: "keys" }), chosen = el("div", { class: "stack" });
  const load = () => {
    chosen.replaceChildren();
    return fill(body, async () => {
      const { data } = await api("GET", "keys");
      const rows = data.keys.toReversed?.() ?? [...data.keys].reverse();
      rows.sort((a, b) => isValid(b) - isValid(a));
      return card(null, table("Keys", ["Name", "Id", "Scopes", "Seasons", "Made", "Expires", "State", "Change"], rows.map((key) => [
        name(key.name), el("code", {}, key.id), SCOPES.map(([scope]) => scope).filter((scope) => key.scopes.includes(scope)).join(", "), key.seasons ? el("span", { title: key.seasons.map(plain).join(", ") }, count(key.seasons.length, "season")) : "all",
        when(key.createdAt), key.expiresAt ? when(key.expiresAt) : "never", stateOf(key),
        isValid(key) ? el("button", {
          type: "button", class: "quiet-button", "aria-label": `Rotate or revoke ${plain(key.name)}`,
          onclick() { chosen.replaceChildren(care(key, told, load, session)); chosen.scrollIntoView({ block: "nearest" }); chosen.querySelector("input").focus({ preventScroll: true }); },
        }, "Rotate, revoke") : "",
      ])));
    });
  };
  place.append(heading("Keys"), told, body, chosen);
  if (!session.isOpen) place.append(card("A new key", creation(told, load)));
  load();
}
