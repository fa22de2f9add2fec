// The same back end in JavaScript: Node.js 18 or later, without packages.
import { readFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

const URL_ = process.env.LEADERBOARD_URL ?? "http://127.0.0.1:8080";
const SEASON = `/v1/seasons/${encodeURIComponent(process.env.GAME_SEASON ?? "spring")}`;

class LeaderboardError extends Error {
  constructor(status, code) {
    super(`${status} ${code}`);
    Object.assign(this, { status, code });
  }
}

// Scores and versions have 64 bits; a Number of JavaScript is exact up to 2^53 only. So they become BigInt.
// Inside a string every quote is escaped: `"score":` before digits is always a member.
const LONG = new Set(["score", "version", "points"]);

function decode(text) {
  const quoted = text.replace(/"(score|version|points)":\s*(-?\d+)(?=[\s,}])/g, '"$1":"$2"');
  return JSON.parse(quoted, (name, value) => (LONG.has(name) && typeof value === "string" ? BigInt(value) : value));
}

// JSON.stringify refuses a BigInt, so the number is written by hand and the strings by JSON.stringify.
function encode({ player, points, id }) {
  const [userId, submissionId] = [player, id].map((text) => JSON.stringify(text));
  return `{"userId":${userId},"delta":${BigInt(points)},"submissionId":${submissionId}}`;
}

async function send(method, path, body, key = "GAME_KEY") {
  const headers = { Authorization: `Bearer ${process.env[key]}`, "Content-Type": "application/json" };
  try {
    const answer = await fetch(URL_ + path, { method, headers, body, signal: AbortSignal.timeout(5_000) });
    const json = /^application\/(problem\+)?json/.test(answer.headers.get("Content-Type") ?? "");
    const text = await answer.text();
    const retryAfter = Number(answer.headers.get("Retry-After") ?? 0);
    return [answer.status, retryAfter, json ? decode(text) : { code: "not-from-the-leaderboard" }];
  } catch {
    return [0, 0, { code: "no-answer" }];
  }
}

const NOTHING_DONE = [429, 503];
const OUTCOME_UNKNOWN = [0, 502, 504];
const backoff = (attempt) => Math.random() * Math.min(5_000, 100 * 2 ** attempt);

async function ask(method, path, { body, repeatable = false, key } = {}) {
  let status, retryAfter, answer;
  for (let attempt = 0; attempt < 8; attempt++) {
    [status, retryAfter, answer] = await send(method, path, body, key);
    if (status >= 200 && status < 300) return answer;
    if (!NOTHING_DONE.includes(status) && !(repeatable && OUTCOME_UNKNOWN.includes(status))) break;
    await sleep(1_000 * retryAfter + backoff(attempt));
  }
  throw new LeaderboardError(status, answer.code);
}

const matches = (file) => readFileSync(file, "utf8").split("\n").filter(Boolean).map(decode);

async function play(file) {
  for (const match of matches(file)) {
    const accepted = await ask("POST", `${SEASON}/scores`, { body: encode(match), repeatable: true });
    console.log(`${match.id}: ${accepted.userId} has ${accepted.score}`);
  }
}

async function importMatches(file) {
  const all = matches(file);
  for (let at = 0; at < all.length; at += 1_000) {
    const items = all.slice(at, at + 1_000);
    const body = `{"submissions":[${items.map(encode).join()}]}`;
    let results;
    for (let attempt = 0; attempt < 8; attempt++) {
      ({ results } = await ask("POST", `${SEASON}/scores/batch`, { body, repeatable: true }));
      if (!results.some(({ status }) => [...NOTHING_DONE, ...OUTCOME_UNKNOWN].includes(status))) break;
      await sleep(backoff(attempt));
    }
    results.forEach(({ status, score, code }, i) => console.log(`${items[i].id}: ${status === 202 ? score : code}`));
  }
}

function line(rank, { userId, score }) {
  return `${String(rank).padStart(3)} ${userId.padEnd(12)} ${String(score).padStart(20)}`;
}

async function screen(player) {
  const board = `${SEASON}/leaderboard`;
  const top = await ask("GET", `${board}/top?limit=3`, { repeatable: true });
  top.items.forEach((item, i) => console.log(line(i + 1, item)));
  let around;
  try {
    const query = new URLSearchParams({ userId: player, range: 1 });
    around = await ask("GET", `${board}/around?${query}`, { repeatable: true });
  } catch (error) {
    if (!["season-not-found", "player-not-found"].includes(error.code)) throw error;
    console.log(`${player} has not played yet`);
    return;
  }
  console.log("    --");
  for (const item of around.items) console.log(line(item.rank, item) + (item.userId === player ? " <" : ""));
}

async function waitFor(player, version) {
  const query = new URLSearchParams({ userId: player });
  for (let turn = 0; turn < 500; turn++) {
    try {
      const shown = await ask("GET", `${SEASON}/leaderboard/rank?${query}`, { repeatable: true });
      if (shown.version >= version) return;
    } catch (error) {
      if (error.status !== 404) throw error;
    }
    await sleep(10);
  }
  throw new Error(`the board does not show version ${version} of ${player}`);
}

async function bonus(player, points) {
  const body = encode({ player, points, id: `bonus-${randomUUID()}` });
  const accepted = await ask("POST", `${SEASON}/scores`, { body, repeatable: true });
  await waitFor(player, accepted.version);
  await screen(player);
}

async function newSeason() {
  await ask("DELETE", SEASON, { key: "ADMIN_KEY" });
  console.log("a new season has begun");
}

const commands = { play, import: importMatches, screen, bonus, "new-season": newSeason };
const [command, ...words] = process.argv.slice(2);
try {
  await commands[command](...words);
} catch (error) {
  if (!(error instanceof LeaderboardError)) throw error;
  console.error(`the leaderboard answered ${error.message}`);
  process.exitCode = 1;
}
