// Rows on the page: keyed by player, so that a row that moves is the same element, and moves.

const still = matchMedia("(prefers-reduced-motion: reduce)");
const EASE = "cubic-bezier(.2, .8, .2, 1)";

/** A name as it is shown. Without characters that only steer the text around them, it cannot reorder the page. */
export function plain(name) {
  const shown = name.replace(/[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e0fff}]/gu, "")
    // At most four marks upon one letter: more reach into other rows.
    .replace(/(\p{M}{4})\p{M}+/gu, "$1");
  if (/[^\s\u115f\u1160\u2800\u3164\uffa0\p{M}\u200c\u200d]/u.test(shown)) return shown;
  return [...name].slice(0, 12).map((one) => `U+${one.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`).join(" ");
}

const segments = typeof Intl.Segmenter === "function" ? new Intl.Segmenter() : null;

function initial(name) {
  const [first] = segments ? segments.segment(name) : [{ segment: [...name][0] }];
  return (first?.segment ?? "?").toLocaleUpperCase();
}

function hue(text) {
  let hash = 2166136261;
  for (const one of text) hash = Math.imul(hash ^ one.codePointAt(0), 16777619);
  // Without the hues that look like mud at this lightness.
  return 125 + ((hash >>> 0) % 290);
}

/** Write scores of a season as its `display` says. */
export function scores(display = {}) {
  const { decimals = 0, unit = "", format = "number" } = display;
  const whole = new Intl.NumberFormat();
  const point = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1 }).formatToParts(0.5)
    .find((part) => part.type === "decimal")?.value ?? ".";
  return (score) => {
    const number = BigInt(score), size = number < 0n ? -number : number, unitOf = 10n ** BigInt(decimals);
    const sign = number < 0n ? "\u2212" : "";
    const rest = decimals ? point + String(size % unitOf).padStart(decimals, "0") : "";
    const units = size / unitOf;
    if (format === "time") {
      const two = (n) => String(n).padStart(2, "0");
      const [h, m, s] = [units / 3600n, units / 60n % 60n, units % 60n];
      return { text: sign + (h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`) + rest, unit: "" };
    }
    return { text: sign + whole.format(units) + rest, unit };
  };
}

function make(tag, name, parent) {
  const element = document.createElement(tag);
  element.className = name;
  parent.append(element);
  return element;
}

export class Rows {
  constructor(list) {
    this.list = list;
    this.shown = new Map();
  }

  /** Show these rows, best first. `write` writes scores; `marked` is the id of the player who is looked for. */
  show(items, { write, marked = null, bars = false, moves = true }) {
    const visible = document.visibilityState === "visible" && !still.matches && moves;
    const before = new Map();
    if (visible) for (const [id, row] of this.shown) before.set(id, row.element.getBoundingClientRect().top);
    for (const skeleton of this.list.querySelectorAll(".skeleton")) skeleton.remove();
    const first = this.shown.size === 0;
    const best = items.length ? Number(items[0].score) : 0;
    const next = new Map();
    items.forEach((item, at) => {
      const row = this.shown.get(item.userId) ?? this.make(item);
      next.set(item.userId, row);
      this.write(row, item, { write, marked, share: bars && best > 0 ? Math.max(0, Number(item.score) / best) : 0, visible });
      if (this.list.children[at] !== row.element) this.list.insertBefore(row.element, this.list.children[at] ?? null);
    });
    for (const [id, row] of this.shown) if (!next.has(id)) row.element.remove();
    this.shown = next;
    if (visible) this.animate(before, first);
  }

  make(item) {
    const element = document.createElement("li");
    element.className = "row";
    const rank = make("span", "rank", element);
    const chip = make("span", "chip", element);
    const who = make("span", "who", element);
    const name = make("bdi", "name", who);
    const moved = make("span", "moved", who);
    const score = make("span", "score", element);
    chip.setAttribute("aria-hidden", "true");
    moved.setAttribute("aria-hidden", "true");
    chip.style.setProperty("--hue", hue(item.userId));
    return { element, rank, chip, name, moved, score, item: null };
  }

  write(row, item, { write, marked, share, visible }) {
    const old = row.item;
    row.item = item;
    const label = plain(item.displayName ?? item.userId);
    if (row.name.textContent !== label) {
      row.name.textContent = label;
      row.name.title = label;
      row.chip.textContent = initial(label);
    }
    if (old?.rank !== item.rank) {
      row.rank.textContent = item.rank.toLocaleString();
      if (item.rank <= 3) row.element.dataset.medal = item.rank;
      else delete row.element.dataset.medal;
    }
    if (old === null || old.score !== item.score || row.write !== write) {
      const { text, unit } = write(item.score);
      row.score.textContent = text;
      if (unit) make("span", "unit", row.score).textContent = unit;
      if (old !== null && visible && row.write === write) {
        row.score.animate([{ color: "var(--accent)", transform: "scale(1.08)" }, {}], { duration: 900, easing: "ease-out" });
      }
      row.write = write;
    }
    row.element.style.setProperty("--share", share.toFixed(4));
    if (item.userId === marked) row.element.setAttribute("aria-current", "true");
    else row.element.removeAttribute("aria-current");
    if (old !== null && visible && old.rank !== item.rank) {
      const up = item.rank < old.rank;
      row.moved.className = `moved ${up ? "up" : "down"}`;
      row.moved.textContent = `${up ? "\u25b2" : "\u25bc"} ${Math.abs(old.rank - item.rank).toLocaleString()}`;
      row.moved.animate([{ opacity: 1 }, { opacity: 1, offset: 0.7 }, { opacity: 0 }], { duration: 3_000 });
    }
  }

  /** First, last, invert, play: each row begins where it was, and glides to where it is. */
  animate(before, first) {
    let at = 0;
    const tops = [...this.shown].map(([id, row]) => [id, row, row.element.getBoundingClientRect().top - glide(row)]);
    for (const [id, row, top] of tops) {
      const was = before.get(id);
      if (was === undefined) {
        row.element.animate([{ opacity: 0, transform: "translateY(1rem)" }, {}], {
          duration: 420, easing: EASE, delay: first ? 24 * at : 0, fill: "backwards",
        });
      } else if (Math.abs(was - top) > 0.5) {
        row.glide?.cancel();
        row.element.style.zIndex = was > top ? 2 : 1;
        row.glide = row.element.animate([{ transform: `translateY(${was - top}px)` }, { transform: "none" }], {
          duration: 620, easing: EASE,
        });
        row.glide.onfinish = () => { row.element.style.zIndex = ""; row.glide = null; };
      }
      at += 1;
    }
  }
}

/** How far from its place a row is drawn now. */
function glide(row) {
  return row.glide ? new DOMMatrixReadOnly(getComputedStyle(row.element).transform).m42 : 0;
}
