"""A player is erased: from the boards at once, then from all that is kept; others stay, and ranks close up."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support.http import JSON, Http, base
from support.marks import thinned
from support.periods import end_now, keeper_of, put, submit
from support.processes import leaderboard, relaying, serving
from support.traces_of import keys_with, tables_with
from support.waiting import eventually
from support.world import World

from board.audit import Act
from board.pg.erasure import Erased, erase_rest, list_open
from board.pg.queries import queries
from board.pg.write_connection import WriteConnection
from service.players.erase import Begun, begin_erasure

ADA = "ada-é\"'-Quyzzq"
IN_JSON = "Quyzzq"


@pytest.fixture
def running(world: World) -> Iterator[Http]:
    """A server, and relays with their keeper and janitor."""
    with serving(world, "/readyz") as api, relaying(world), api.client() as http:
        yield http


def begin(world: World, user: str = ADA) -> Begun:
    """What the request does, without waiting for a relay."""

    async def ask() -> Begun:
        writes = WriteConnection(world.settings.database_url, "a test", 20.0)
        begun = await begin_erasure(writes, user, Act())
        await writes.close()
        return begun

    return asyncio.run(ask())


def erase_all(world: World, go_on: Callable[[], bool] = lambda: True) -> Erased | None:
    (wanted,) = list_open(world.db)
    return erase_rest(world.db, wanted, 60, go_on)


def path_of(user: str) -> str:
    return f"/v1/players/{quote(user, safe='')}"


def fill(http: Http, world: World) -> None:
    """Something of the player in every table."""
    put(http, "lap", operator="best", order="asc", columns=[{"name": "moves", "order": "asc"}], segments=["country"])
    put(http, "week", operator="best", ranking="competition")
    assert (
        http.ask("PUT", path_of(ADA), b'{"displayName":"Ada Quyzzq","attributes":{"country":"GB"}}', JSON).status == 201
    )
    for n, user in enumerate(("bob", ADA, "cy", "dan")):
        submit(http, "sum", user, key=f"k{n}", delta=10 + n)
        run = {"userId": user, "score": 50 - n, "columns": {"moves": 3}, "metadata": {"by": user}, "clientVersion": "1"}
        answer = http.post_raw("lap", json.dumps(run).encode(), {**JSON, "Idempotency-Key": f"l{n}"})
        assert answer.status == 202, answer.body
        submit(http, "week", user, score=(7, 9, 9, 5)[n])
    eventually(lambda: world.value("SELECT count(*) FROM event WHERE kind = 'leader.changed'") >= 3)
    assert http.ask("POST", f"{base('week')}/reset").status == 200
    submit(http, "week", ADA, score=1)
    eventually(lambda: world.value("SELECT count(*) FROM event WHERE kind = 'period.closed'") == 1)
    world.db.execute(*noted(Act().note("profile.write", "player", ADA, {"displayName": ADA}, None)))
    world.db.execute("INSERT INTO trace (partition, period_id, user_id, parent) VALUES (0, 1, %s, 'x')", (ADA,))


def noted(one: tuple[str, dict[str, Any]]) -> tuple[bytes, dict[str, Any]]:
    return queries()[one[0]], one[1]


def top(http: Http, season: str, query: str = "") -> list[tuple[int, str]]:
    page = http.get(f"{base(season)}/leaderboard/top{query}").json
    assert page["total"] == len(page["items"])
    return [(item["rank"], item["userId"]) for item in page["items"]]


def test_nothing_of_a_player_is_left(running: Http, world: World) -> None:
    fill(running, world)
    kept = {
        "score",
        "standing",
        "ledger",
        "event",
        "player",
        "player_number",
        "audit_personal",
        "trace",
        "run_metadata",
    }
    found = {"ledger" if name.startswith("ledger") else name for name in tables_with(world, IN_JSON)}
    assert found >= kept and keys_with(world, IN_JSON)
    assert top(running, "sum")[2] == (3, ADA)
    answer = running.ask("DELETE", path_of(ADA), None, {"X-Audit-Log-Reason": "asked by mail"})
    assert answer.status == 202, answer.body
    assert answer.json == {"id": 1, "userId": ADA, "state": "running"}
    # By the time of the answer.
    assert top(running, "sum") == [(1, "dan"), (2, "cy"), (3, "bob")]
    assert top(running, "lap") == [(1, "dan"), (2, "cy"), (3, "bob")]
    assert top(running, "week") == [] and keys_with(world, IN_JSON) == []
    assert running.get(path_of(ADA)).status == 404
    where = answer.headers["location"]
    done = eventually(lambda: (one := running.get(where).json)["state"] == "done" and one, 60)
    assert done["erased"].pop("events") >= 2 and done["doneAt"]
    assert done["erased"] == {"rows": 1, "standings": 1, "submissions": 4, "keys": 2}
    assert tables_with(world, IN_JSON) == {}
    # Of two who shared the first rank one is left.
    assert top(running, "week", "?period=1") == [(1, "cy"), (2, "bob"), (3, "dan")]
    assert world.value("SELECT count(*) FROM idempotency") == 6
    for act in running.get("/v1/audit?targetType=player").json["items"]:
        assert act["target"] == {"type": "player", "number": 1} and act["before"] is None
    assert running.get("/v1/audit?action=player.erase").json["items"][0]["reason"] == "asked by mail"
    for event in running.get("/v1/events").json["items"]:
        assert "Quyzzq" not in json.dumps(event)
    assert running.get("/v1/erasures/2").json["code"] == "erasure-not-found"
    assert leaderboard(world, "verify").returncode == 0
    # The player may come back, as another one.
    submit(running, "sum", ADA, delta=1)
    eventually(lambda: top(running, "sum")[-1] == (4, ADA))


def test_a_player_whom_nobody_knows_is_erased_all_the_same(running: Http) -> None:
    """The answer does not tell whether there was one."""
    answer = running.ask("DELETE", path_of("nobody"))
    assert answer.status == 202
    done = eventually(lambda: (one := running.get(answer.headers["location"]).json)["state"] == "done" and one, 60)
    assert {*done["erased"].values()} == {0}


def test_without_relays_the_answer_says_that_boards_still_show_the_player(world: World) -> None:
    world.submit(("s", ADA, 1))
    with serving(world, LEADERBOARD_WRITE_DEADLINE_MS="500") as api, api.client() as http:
        answer = http.ask("DELETE", path_of(ADA))
        assert (answer.status, answer.json["code"]) == (503, "erasure-pending")
    assert world.value("SELECT count(*) FROM score") == 0


def test_what_is_submitted_afterwards_stays(world: World) -> None:
    world.submit(("s", ADA, 5), ("s", "bob", 1), ("t", ADA, 3))
    begin(world)
    world.submit(("s", ADA, 2))
    erased = erase_all(world)
    assert erased is not None and erased.submissions == 2
    assert world.rows("SELECT user_id, score FROM score ORDER BY 1") == [(ADA, 2), ("bob", 1)]
    assert world.rows("SELECT user_id, delta FROM ledger ORDER BY 1") == [(ADA, 2), ("bob", 1)]


def test_an_erasure_that_is_asked_for_again_reaches_further(world: World) -> None:
    world.submit(("s", ADA, 5))
    first = begin(world)
    (wanted,) = list_open(world.db)
    world.submit(("s", ADA, 2))
    assert begin(world).number == first.number
    assert erase_rest(world.db, wanted, 60, lambda: True) is None
    assert erase_all(world) is not None and list_open(world.db) == []
    assert tables_with(world, IN_JSON).keys() <= {"outbox"}


@pytest.mark.parametrize("steps", thinned(range(1, 9), 3))
def test_a_process_that_stops_leaves_the_rest_to_the_next_one(world: World, steps: int) -> None:
    world.define("w", operator="best")
    world.create("s")
    world.submit_by_rule(*((season, user, 3, season == "w") for season in ("s", "w") for user in (ADA, "bob")))
    world.reset("s")
    world.submit(("s", ADA, 5), ("s", "bob", 1))
    begin(world)
    left = [steps]

    def go_on() -> bool:
        left[0] -= 1
        return left[0] >= 0

    while erase_all(world, go_on) is None:
        left[0] = 1_000
    assert tables_with(world, IN_JSON).keys() <= {"outbox"}
    assert world.value("SELECT count(*) FROM score WHERE user_id = 'bob'") == 3


@pytest.mark.parametrize("is_final", [True, False])
def test_the_standings_of_an_ended_period_close_up(world: World, is_final: bool) -> None:
    """Compared with what the keeper writes without the player."""
    rng = random.Random(5)
    grid, grace_s = {"every": "P7D", "startsAt": "2026-01-05T00:00:00Z"}, 0 if is_final else 86_400
    world.define("w", operator="best", ranking="competition", schedule=grid, graceS=grace_s)
    players = [f"p{n}" for n in range(40)]
    scores = {user: rng.randrange(12) for user in players}
    world.submit_by_rule(*(("w", user, score, True) for user, score in scores.items()))
    end_now(world, "w")
    keeper = keeper_of(world)
    keeper.turn_seasons(world.db)
    keeper.close_periods(world.db)
    if is_final:
        # As after the keeper's chores.
        world.execute("DELETE FROM score")
    order = sorted(players, key=lambda user: (-scores[user], players.index(user)))
    for user in (order[0], order[-1], *rng.sample(order[1:-1], 8)):
        order.remove(user)
        begin(world, user)
        erase_all(world)
        if not is_final:
            assert world.value("SELECT players FROM period WHERE number = 1") is None
            keeper_of(world).close_periods(world.db)
        rows = world.rows("SELECT position, shared, user_id FROM standing ORDER BY position")
        assert [name for _, _, name in rows] == order
        assert [position for position, _, _ in rows] == [*range(1, len(order) + 1)]
        better = [sum(scores[other] > scores[name] for other in order) for name in order]
        assert [shared for _, shared, _ in rows] == [1 + n for n in better]
        assert world.value("SELECT players FROM period WHERE number = 1") == len(order)


def test_a_restored_backup_is_told_whom_to_erase_again(world: World, tmp_path: Path) -> None:
    dump, listed = tmp_path / "dump", tmp_path / "erasures.jsonl"
    world.submit(("s", ADA, 5), ("s", "bob", 1), ("s", "eve", 2))
    assert leaderboard(world, "backup", str(dump)).returncode == 0
    done = leaderboard(world, "erase", ADA, "--reason", "asked by mail", "--json")
    assert done.returncode == 0, done.stderr
    (erased,) = json.loads(done.stdout)["erased"]
    assert erased["submissions"] == 1 and "outbox" in tables_with(world, IN_JSON)
    assert leaderboard(world, "erase", "eve").returncode == 0
    assert leaderboard(world, "erase", "--export", str(listed)).returncode == 0
    text = listed.read_text()
    assert len(text.splitlines()) == 3 and "Quyzzq" not in text and "eve" not in text
    # The connection of the test would count as one of the leaderboard's.
    restored = leaderboard(world, "restore", "--replace", str(dump))
    assert restored.returncode == 0, restored.stderr
    assert world.value("SELECT count(*) FROM score") == 3
    done = leaderboard(world, "erase", "--replay", str(listed))
    assert done.returncode == 0 and "erased 2 players" in done.stderr, done.stderr
    assert world.rows("SELECT user_id FROM score") == [("bob",)]
    world.carry_everything()
    assert tables_with(world, IN_JSON) == {} and [user for user, _, _ in world.board("s")] == ["bob"]
    assert world.value("SELECT count(*) FROM audit WHERE action = 'player.erase'") == 2
    world.execute("UPDATE access SET secret = 'another'")
    done = leaderboard(world, "erase", "--replay", str(listed), "--json")
    assert (done.returncode, json.loads(done.stdout)["code"]) == (2, "file-of-another-installation")
    for wrong in ("", "{}", '{"leaderboardErasures":2,"secret":""}'):
        listed.write_text(wrong)
        assert leaderboard(world, "erase", "--replay", str(listed)).returncode == 2
    assert leaderboard(world, "erase", "--replay", str(tmp_path / "none")).returncode == 74
    assert leaderboard(world, "erase").returncode == 2
    assert leaderboard(world, "erase", "two\nlines").returncode == 2
