// The stream of a board, read with fetch: EventSource cannot send a credential.

/** An answer that is not good: its status, the code and the text of the problem, and seconds to wait. */
export class Refused extends Error {
  constructor(status, problem, retryAfter) {
    super(problem.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.code = problem.code ?? "";
    this.retryAfter = retryAfter;
  }
}

/** Ask the API; `key` may be empty. Throws Refused, or TypeError where the server does not answer. */
export async function ask(path, key, options = {}) {
  const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  const answer = await fetch(`../v1/${path}`, { ...options, headers, cache: "no-store", credentials: "omit" });
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new Refused(answer.status, problem, Number(answer.headers.get("Retry-After")) || 0);
  }
  return answer;
}

/** Yield the events of an answer: {name, data, id, retry}. Beats come as events without a name. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const event = { name: "", data: "", id: null, retry: null };
      for (const line of text.slice(0, end).split("\n")) {
        const at = line.indexOf(": ");
        const [field, rest] = at < 0 ? [line, ""] : [line.slice(0, at), line.slice(at + 2)];
        if (field === "event") event.name = rest;
        else if (field === "data") event.data += rest;
        else if (field === "id") event.id = rest;
        else if (field === "retry") event.retry = Number(rest);
      }
      yield event;
    }
  }
}

const SILENT_MS = 40_000;

/** The list after a change: rows that did not change keep their places. */
export function change(items, { rows, left }) {
  const gone = new Set([...left, ...rows.map((row) => row.userId)]);
  const places = [];
  items.forEach((row, at) => { if (!gone.has(row.userId)) places[at] = row; });
  for (const row of rows) places[row.position - 1] = row;
  return places.filter(Boolean);
}

/**
 * Follow a board until `signal` is aborted. `tell` gets {live}, {items, total, whole}, {around}, {unavailable} and {refused}.
 * A refusal that waiting does not mend ends it.
 */
export async function follow(season, { limit, user, segment, key, signal, tell }) {
  let items = [], id = "", retry = 1_000, failures = 0;
  while (!signal.aborted) {
    // A stream that is silent for longer than its heartbeats is dead: a laptop that slept, a network that changed.
    const dead = new AbortController();
    let timer;
    const alive = () => { clearTimeout(timer); timer = setTimeout(() => dead.abort(), SILENT_MS); };
    try {
      alive();
      // Scores as strings: a number of JavaScript has 53 bits.
      const query = new URLSearchParams({ limit, int64: "string", ...(user ? { userId: user } : {}), ...(segment ? { segment } : {}) });
      const answer = await ask(`seasons/${encodeURIComponent(season)}/leaderboard/stream?${query}`, key, {
        signal: AbortSignal.any([signal, dead.signal]),
        headers: id ? { "Last-Event-ID": id } : {},
      });
      for await (const event of events(answer.body)) {
        alive();
        failures = 0;
        if (event.retry) retry = event.retry;
        if (event.id !== null) id = event.id;
        if (!event.data) continue;
        const data = JSON.parse(event.data);
        if (event.name === "around") tell({ around: data });
        else if (event.name === "unavailable") tell({ unavailable: data.code });
        else {
          const whole = event.name === "snapshot";
          items = whole ? data.items : change(items, data);
          tell({ items, total: data.total, whole });
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused) {
        tell({ refused: error });
        if (error.status < 500 && error.status !== 429) return;
        retry = Math.max(retry, 1_000 * error.retryAfter);
      }
    } finally {
      clearTimeout(timer);
    }
    if (signal.aborted) return;
    tell({ live: false });
    failures += 1;
    const wait = Math.min(10_000, retry * Math.min(failures, 4) * (0.5 + Math.random() / 2));
    await new Promise((done) => { setTimeout(done, wait); signal.addEventListener("abort", done, { once: true }); });
  }
}
