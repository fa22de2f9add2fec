// Shared by the scripts. BASE, SEASON, PLAYERS, VUS, DURATION, RATE and P99 come from the environment
// (k6 run -e NAME=value); so does LEADERBOARD_KEY, the key with the scopes read and submit, as for python -m bench.
import { check } from "k6";
import http from "k6/http";

export const base = __ENV.BASE || "http://127.0.0.1:8080";
export const season = __ENV.SEASON || "k6";
export const players = Number(__ENV.PLAYERS || 1000);
export const vus = Number(__ENV.VUS || 16);
export const duration = __ENV.DURATION || "30s";
export const rate = Number(__ENV.RATE || 500);
const headers = { "Content-Type": "application/json" };
if (__ENV.LEADERBOARD_KEY) headers.Authorization = `Bearer ${__ENV.LEADERBOARD_KEY}`;

export const thresholds = {
  // No wrong answer, and none that takes longer than a player would wait.
  checks: ["rate==1.0"],
  http_req_failed: ["rate==0.0"],
  http_req_duration: [`p(99)<${__ENV.P99 || 500}`],
};

export function player() {
  return `player-${Math.floor(Math.random() * players)}`;
}

export function submit() {
  const body = JSON.stringify({ userId: player(), delta: 1 + Math.floor(Math.random() * 100) });
  const answer = http.post(`${base}/v1/seasons/${season}/scores`, body, { headers, tags: { name: "submit" } });
  check(answer, { "accepted": (r) => r.status === 202 && r.json("queued") === true });
}

export function top() {
  const answer = http.get(`${base}/v1/seasons/${season}/leaderboard/top?limit=10`, { headers, tags: { name: "top" } });
  check(answer, {
    "top is in order": (r) => {
      const scores = r.status === 200 ? r.json("items").map((item) => item.score) : null;
      return scores !== null && scores.every((score, n) => n === 0 || scores[n - 1] >= score);
    },
  });
}

export function rank() {
  const user = player();
  const address = `${base}/v1/seasons/${season}/leaderboard/rank?userId=${user}`;
  const answer = http.get(address, { headers, tags: { name: "rank" }, responseCallback: http.expectedStatuses(200, 404) });
  check(answer, {
    "rank is the player's": (r) => r.status === 404 || (r.status === 200 && r.json("userId") === user && r.json("rank") >= 1),
  });
}
