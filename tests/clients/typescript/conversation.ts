// The conversation of README.md through a client made by openapi-typescript and openapi-fetch; then the numbers of
// docs/api.md that JSON.parse would round.
// node conversation.js URL KEY SEASON
import assert from "node:assert/strict";
import { parse, parseNumberAndBigInt, stringify } from "lossless-json";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const [url, key, season] = process.argv.slice(2) as [string, string, string];
const client = createClient<paths, "application/json" | "application/problem+json">({ baseUrl: url, headers: { Authorization: `Bearer ${key}` } });
const sid = { sid: season };
const board = "/v1/seasons/{sid}/leaderboard";

async function submit(userId: string, delta: number): Promise<components["schemas"]["Accepted"]> {
  const { data, response } = await client.POST("/v1/seasons/{sid}/scores", {
    params: { path: sid },
    body: { userId, delta },
  });
  assert.equal(response.status, 202);
  assert.ok(data);
  // With "Prefer: wait" it could be shown already.
  if (!data.queued) throw new Error("it is not queued");
  return data;
}

async function rankOf(userId: string, version: number): Promise<components["schemas"]["PlayerRank"]> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const { data } = await client.GET(`${board}/rank`, { params: { path: sid, query: { userId } } });
    if (data && data.version >= version) return data;
    assert.ok(Date.now() < deadline, "the board does not show the submission");
  }
}

const ada = await submit("ada", 120);
assert.deepEqual([ada.seasonId, ada.userId, ada.score], [season, "ada", 120]);
const grace = await submit("grace", 300);
await rankOf("grace", grace.version);
const rank = await rankOf("ada", ada.version);
assert.deepEqual([rank.rank, rank.score, rank.version], [2, 120, ada.version]);

const top = await client.GET(`${board}/top`, { params: { path: sid, query: { limit: 3 } } });
assert.deepEqual(top.data?.items, [
  { rank: 1, userId: "grace", score: 300 },
  { rank: 2, userId: "ada", score: 120 },
]);
const best = await client.GET(`${board}/top`, { params: { path: sid } });
assert.deepEqual(best.data, top.data);
const around = await client.GET(`${board}/around`, { params: { path: sid, query: { userId: "ada", range: 1 } } });
assert.deepEqual(around.data?.items.map((item) => [item.rank, item.userId]), [[1, "grace"], [2, "ada"]]);

const refused = await client.POST("/v1/seasons/{sid}/scores", { params: { path: sid }, body: { userId: "ada", delta: 0 } });
assert.equal(refused.error?.code, "invalid-delta");

const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };
const answer = await fetch(`${url}/v1/seasons/${encodeURIComponent(season)}/scores`, {
  method: "POST",
  headers,
  body: stringify({ userId: "big", delta: 9223372036854775807n }) ?? "",
});
const { score } = parse(await answer.text(), undefined, parseNumberAndBigInt) as { score: bigint };
assert.equal(score, 9223372036854775807n);

const named = { userId: "ada", delta: 1, submissionId: "m-1" };
const batch = await client.POST("/v1/seasons/{sid}/scores/batch", {
  params: { path: sid },
  body: { submissions: [named, named, { userId: "ada", delta: 0 }] },
});
assert.deepEqual(batch.data?.results.map((one) => [one.status, one.score, one.code]), [
  [202, 121, undefined],
  [202, 121, undefined],
  [400, undefined, "invalid-delta"],
]);

const made = await client.POST("/v1/keys", { body: { name: "website", scopes: ["read"] } });
assert.ok(made.data);
assert.ok(made.data.key.startsWith("lb_"));
const id = made.data.made.id;
const rotated = await client.POST("/v1/keys/{id}/rotate", { params: { path: { id } }, body: {} });
assert.deepEqual(rotated.data?.made.scopes, ["read"]);
const revoked = await client.DELETE("/v1/keys/{id}", { params: { path: { id } } });
assert.ok(revoked.data?.revokedAt);

const reset = await client.DELETE("/v1/seasons/{sid}", { params: { path: sid } });
assert.deepEqual(reset.data, { seasonId: season, deleted: true });
const ready = await client.GET("/readyz");
assert.equal(ready.data?.status, "ready");
