"""What a player submitted: each submission once, with its key and whether it counts, and no read without a bound."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from support.http import JSON, Answer, Http, base, bearer
from support.periods import end_now, keeper_of
from support.processes import Api, serving
from support.tokens import Issuer, settings
from support.world import World, world_on

from board.pg.read_connection import ReadConnection
from ctl.embedded import Embedded
from service.moderation.history import PlayerHistory, parse_place

HS = Issuer("HS256")


class Own:
    """A server that needs keys, without relays, and one key of each kind."""

    def __init__(self, world: World, api: Api, http: Http) -> None:
        self.world, self.api, self.http = world, api, http
        self.admin, self.moderator = world.key("read", "submit", "admin"), world.key("moderate")
        api.until_known(self.moderator, http)

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        return self.http.ask(method, path, data, {**bearer(key or self.admin), **JSON})

    def submit(self, season: str, user: str, key: str | None = None, **members: Any) -> None:
        answer = self.ask("POST", f"{base(season)}/scores", {"userId": user, **members}, key)
        assert answer.status == 202, answer.body

    def history(self, season: str, user: str, query: str = "") -> Any:
        path = f"{base(season)}/players/{quote(user, safe='')}/submissions{query}"
        answer = self.ask("GET", path, key=self.moderator)
        assert answer.status == 200, answer.body
        return answer.json


@pytest.fixture(scope="module")
def own(servers: Embedded) -> Iterator[Own]:
    with world_on(servers, redis_db=3) as world:
        world.key("read")  # where a key exists, the first start makes none
        with serving(world, LEADERBOARD_PLAYERS="submit", **settings("HS256")) as api, api.client() as http:
            yield Own(world, api, http)


def values(page: Any) -> list[tuple[int, str]]:
    return [(item["value"], item["state"]) for item in page["items"]]


def test_who_submitted_what_and_whether_it_counts(own: Own) -> None:
    rule = {"operator": "best", "order": "asc", "columns": [{"name": "moves", "order": "asc"}]}
    assert own.ask("PUT", "/v1/seasons/lap", rule).status == 201
    own.submit("lap", "ada é", score=90, columns={"moves": 7}, metadata={"track": "north"}, clientVersion="1.2")
    own.submit("lap", "ada é", score=80, columns={"moves": 9}, achievedAt="2026-01-01T10:00:00Z")
    own.submit("lap", "ada é", score=80, columns={"moves": 9})
    own.submit("lap", "ada é", HS.token("ada é"), score=99, columns={"moves": 1})
    own.submit("lap", "bob", score=1, columns={"moves": 1})
    page = own.history("lap", "ada é")
    assert page.keys() == {"seasonId", "userId", "items", "nextCursor"}
    assert (page["seasonId"], page["userId"], page["nextCursor"]) == ("lap", "ada é", None)
    # Of two equal runs the first one counts.
    assert values(page) == [(99, "not-best"), (80, "not-best"), (80, "counted"), (90, "not-best")]
    newest, _, counted, oldest = page["items"]
    assert newest["keyId"] == "token" and newest["clientVersion"] is None
    assert counted["keyId"] == own.admin.split("_")[1]
    assert (counted["achievedAt"], counted["columns"]) == ("2026-01-01T10:00:00Z", {"moves": 9})
    assert (oldest["metadata"], oldest["clientVersion"], oldest["columns"]) == (
        {"track": "north"}, "1.2", {"moves": 7},
    )  # fmt: skip
    assert oldest["period"] == 1 and "achievedAt" not in oldest
    ids = [item["id"] for item in page["items"]]
    assert ids == sorted(ids, reverse=True)
    spelled = own.history("lap", "ada é", "?int64=string")["items"][0]
    assert (spelled["value"], spelled["columns"]) == ("99", {"moves": "1"})


def test_all_of_a_sum_counts_and_the_last_run_alone(own: Own) -> None:
    assert own.ask("PUT", "/v1/seasons/last", {"operator": "last"}).status == 201
    for n in (5, 9, 7):
        own.submit("plain", "ada", delta=n)
        own.submit("last", "ada", score=n)
    # The statement of plain sums notes no key.
    page = own.history("plain", "ada")
    assert values(page) == [(7, "counted"), (9, "counted"), (5, "counted")]
    assert page["items"][0]["keyId"] is None
    assert values(own.history("last", "ada")) == [(7, "counted"), (9, "superseded"), (5, "superseded")]


def test_periods_that_have_ended_are_told_until_they_are_deleted(own: Own) -> None:
    assert own.ask("PUT", "/v1/seasons/week", {"operator": "best"}).status == 201
    own.submit("week", "ada", score=3)
    own.submit("week", "ada", score=2)
    assert own.ask("POST", "/v1/seasons/week/reset").status in (200, 503)
    own.submit("week", "ada", score=1)
    keeper_of(own.world).close_periods(own.world.db)
    # As after the keeper's chores: the standings alone tell which run counted.
    own.world.execute(
        "DELETE FROM score s USING period p WHERE p.period_id = s.period_id AND p.season_id = 'week' AND p.number = 1"
    )
    page = own.history("week", "ada")
    assert [(item["period"], item["value"], item["state"]) for item in page["items"]] == [
        (2, 1, "counted"), (1, 2, "not-best"), (1, 3, "counted"),
    ]  # fmt: skip
    own.ask("DELETE", "/v1/seasons/week")
    assert [item["period"] for item in own.history("week", "ada")["items"]] == [1, 1]


def test_what_is_not_there_and_what_is_no_cursor(own: Own) -> None:
    own.submit("plain", "cy", delta=1)
    path = "/v1/seasons/none/players/ada/submissions"
    assert own.ask("GET", path, key=own.moderator).json["code"] == "season-not-found"
    assert own.history("plain", "nobody")["items"] == []
    for cursor in ("x", "!", quote("é"), "bGVkZ2VyX2RlZmF1bHQuMS42NTUzNg", "bGVkZ2VyOyBEUk9QLjEuMQ"):
        answer = own.ask("GET", f"/v1/seasons/plain/players/ada/submissions?cursor={cursor}", key=own.moderator)
        assert (answer.status, answer.json["code"]) == (400, "invalid-cursor")
    answer = own.ask("GET", "/v1/seasons/plain/players/ada/submissions")
    assert (answer.status, answer.json["code"]) == (403, "scope-missing"), "a key of all other scopes"


def walk(world: World, season: str, user: str, *, limit: int, blocks_most: int) -> list[list[int]]:
    """The values of each page of a walk."""

    async def walk_all() -> list[list[int]]:
        reads = ReadConnection(world.settings.database_url, "a test", 20.0)
        history = PlayerHistory(reads, blocks_most)
        pages, cursor = [], None
        while True:
            page = json.loads((await history.list_submissions(season, user, parse_place(cursor), limit)).body)
            pages.append([item["value"] for item in page["items"]])
            cursor = page["nextCursor"]
            if cursor is None:
                await reads.close()
                return pages

    return asyncio.run(walk_all())


@pytest.fixture
def days(new_world: World) -> World:
    """The player's submissions 1 to 60 among those of others: three days, several blocks each, and one day too late."""
    world = new_world
    world.create("s", "other")
    (period,) = (row[0] for row in world.rows("SELECT period_id FROM season WHERE season_id = 's'"))
    (other,) = (row[0] for row in world.rows("SELECT period_id FROM season WHERE season_id = 'other'"))
    world.execute("UPDATE period SET started_at = now() - interval '3 days'", "SELECT ledger_prepare(7)")
    for n, days_ago in enumerate((1, 0, -30)):
        for value in range(20 * n + 1, 20 * n + 21):
            world.db.execute(
                "INSERT INTO ledger (submission, period_id, user_id, delta, accepted_at) "
                "SELECT nextval('submission'), CASE WHEN i = 7 THEN %s WHEN i = 8 THEN %s ELSE 0 END, "
                "CASE WHEN i IN (7, 8) THEN 'ada' ELSE 'somebody else' END, %s, now() - make_interval(days => %s) "
                "FROM generate_series(1, 30) AS i",
                (period, other, value, days_ago),
            )
    return world


@pytest.mark.parametrize(("limit", "blocks_most"), [(7, 1_000), (1_000, 1_000), (1, 1), (1_000, 1), (20, 2)])
def test_a_walk_meets_each_submission_once_in_bounded_pages(days: World, limit: int, blocks_most: int) -> None:
    assert days.value("SELECT count(*) FROM ledger_default") == 600
    pages = walk(days, "s", "ada", limit=limit, blocks_most=blocks_most)
    assert [value for page in pages for value in page] == [*range(60, 0, -1)]
    assert all(len(page) <= limit for page in pages)
    if blocks_most == 1:
        # A block has fewer than 200 of the rows above.
        assert len(pages) > 8 and max(map(len, pages)) < 8
    assert walk(days, "other", "ada", limit=1_000, blocks_most=1_000) == [[*range(60, 0, -1)]]


def test_days_before_the_season_are_not_looked_through(days: World) -> None:
    days.execute("UPDATE period SET started_at = now() + interval '2 days' WHERE season_id = 's'")
    assert walk(days, "s", "ada", limit=1_000, blocks_most=1_000) == [[*range(60, 40, -1)]], "the late day alone"


def test_a_day_that_goes_meanwhile_is_passed_over(days: World) -> None:
    async def read_on() -> Any:
        reads = ReadConnection(days.settings.database_url, "a test", 20.0)
        history = PlayerHistory(reads)
        first = json.loads((await history.list_submissions("s", "ada", None, 30)).body)
        today = days.value("SELECT 'ledger_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')")
        days.execute(f"DROP TABLE {today}")
        rest = await history.list_submissions("s", "ada", parse_place(first["nextCursor"]), 100)
        await reads.close()
        return json.loads(rest.body)

    page = asyncio.run(read_on())
    assert [item["value"] for item in page["items"]] == [*range(20, 0, -1)] and page["nextCursor"] is None


def test_no_more_than_the_blocks_asked_for_are_read(days: World) -> None:
    """PostgreSQL goes to the places at once, and reads no part of the day before them."""
    days.execute("ANALYZE ledger_default")
    plan = "\n".join(
        row[0]
        for row in days.rows(
            "EXPLAIN SELECT FROM ONLY ledger_default l WHERE l.ctid >= '(1,0)' AND l.ctid < '(2,0)' "
            "AND l.user_id = 'ada' AND l.period_id = ANY ('{1,2}')"
        )
    )
    assert "Tid Range Scan" in plan


def test_a_period_that_ends_by_itself_is_told(own: Own) -> None:
    grid = {"every": "P7D", "startsAt": "2026-01-05T00:00:00Z"}
    assert own.ask("PUT", "/v1/seasons/weekly", {"schedule": grid}).status == 201
    own.submit("weekly", "ada", delta=1)
    end_now(own.world, "weekly")
    own.submit("weekly", "ada", delta=2)
    assert [(item["period"], item["value"]) for item in own.history("weekly", "ada")["items"]] == [(2, 2), (1, 1)]
