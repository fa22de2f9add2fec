"""Keepers that die amid a correction, and players who submit meanwhile: all of it counts in the end, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from support.correcting import applied, correct, read, stored, undone, until
from support.http import JSON, Http
from support.keeper_points import CORRECTION_POINTS
from support.periods import keeper_of, put, submit
from support.processes import children_of, commandline, leaderboard, relaying, serving
from support.repository import REPOSITORY
from support.waiting import eventually
from support.world import World

from board.pg import corrections, erasure
from board.pg.corrections import carry_out, list_open
from board.pg.queries import queries


@pytest.fixture
def http(world: World) -> Iterator[Http]:
    """A server without relays, and runs of three players."""
    with serving(world) as api, api.client() as client:
        put(client, "b", operator="best")
        for user, score in (("ada", 5), ("ada", 9), ("bob", 7), ("bob", 3), ("cy", 8)):
            submit(client, "b", user, score=score)
        yield client


def scores(world: World) -> dict[str, int]:
    return dict(world.rows("SELECT user_id, score FROM score JOIN season USING (period_id) WHERE season_id = 'b'"))


def run_pointed(world: World, point: str) -> None:
    """A keeper in a process of its own, which dies at the point."""
    env = world.environment(PYTHONPATH=f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'tests'}")
    done = subprocess.run(
        [sys.executable, "-m", "support.keeper_points", point, "SIGKILL", "1"],
        env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    eventually(lambda: not world.connections("leaderboard-keeper"))


@pytest.mark.parametrize("point", CORRECTION_POINTS)
def test_a_keeper_that_dies_leaves_all_or_nothing(http: Http, world: World, point: str) -> None:
    since = world.value("SELECT accepted_at FROM ledger WHERE delta = 9").isoformat()
    before = stored(world, "b")
    number = correct(http, "b", "set", 4, from_=since).json["id"]
    run_pointed(world, point)
    is_done = point == "committed end_correction"
    after = {"ada": 5, "bob": 4, "cy": 4}
    assert scores(world) == (after if is_done else {"ada": 9, "bob": 7, "cy": 8})
    keeper_of(world).correct(world.db)
    assert scores(world) == after and list_open(world.db) == []
    assert http.ask("DELETE", f"/v1/corrections/{number}").status == 202
    run_pointed(world, point)
    assert is_done or scores(world) == after
    keeper_of(world).correct(world.db)
    assert stored(world, "b") == before


def test_relays_that_are_killed_finish_it_when_they_are_back(http: Http, world: World) -> None:
    number = correct(http, "b", "set", 1, from_="2020-01-01T00:00:00Z").json["id"]
    with psycopg.connect(world.settings.database_url) as holder:
        holder.execute("SELECT FROM score FOR UPDATE")
        with relaying(world) as relays:
            eventually(lambda: world.waiting("leaderboard-keeper"))
            for pid in children_of(relays.process.pid):
                if b"keeper" in commandline(pid):
                    os.kill(pid, signal.SIGKILL)
            assert scores(world) == {"ada": 9, "bob": 7, "cy": 8}
            holder.rollback()
            eventually(lambda: read(http, number)["state"] == "applied", 60)
            assert world.board("b") == world.expected("b") and {score for _, score, _ in world.board("b")} == {1}


class Meanwhile:
    """A connection that lets something happen before a statement."""

    def __init__(self, db: psycopg.Connection[Any], name: str, act: Any) -> None:
        self._db = db
        self._text, self._act = queries()[name], act

    def execute(self, query: Any, *args: Any) -> Any:
        if query == self._text and self._act is not None:
            act, self._act = self._act, None
            act()
        return self._db.execute(query, *args)

    def transaction(self) -> Any:
        return self._db.transaction()


@pytest.mark.parametrize("point", ["day_before", "lock_correction", "hold_season_to_correct", "lock_rows_to_correct"])
@pytest.mark.parametrize("score", [6, 12, 4])
def test_a_run_that_comes_amid_a_correction_counts(http: Http, world: World, point: str, score: int) -> None:
    correct(http, "b", userId="ada", from_=world.value("SELECT accepted_at FROM ledger WHERE delta = 9").isoformat())
    (wanted,) = list_open(world.db)
    # Of `best` a run that is worse than the one that is void changes nothing that shows.
    assert carry_out(Meanwhile(world.db, point, lambda: submit(http, "b", "ada", score=score)), wanted, lambda: True)  # type: ignore[arg-type]
    assert scores(world)["ada"] == max(5, score)


@pytest.mark.parametrize("point", ["day_before", "hold_season_to_correct", "lock_rows_to_correct"])
def test_a_delta_that_comes_amid_a_correction_counts(http: Http, world: World, point: str) -> None:
    submit(http, "plain", "ada", delta=5)
    correct(http, "plain", userId="ada")
    (wanted,) = list_open(world.db)
    assert carry_out(Meanwhile(world.db, point, lambda: submit(http, "plain", "ada", delta=3)), wanted, lambda: True)  # type: ignore[arg-type]
    assert world.rows("SELECT score FROM score WHERE user_id = 'ada' AND score = 3") == [(3,)]


def test_a_period_that_ends_amid_a_correction_is_looked_at_anew(http: Http, world: World) -> None:
    correct(http, "b", userId="ada")
    (wanted,) = list_open(world.db)

    def reset() -> None:
        assert http.ask("POST", "/v1/seasons/b/reset").status in (200, 503)

    assert not carry_out(Meanwhile(world.db, "lock_correction", reset), wanted, lambda: True)  # type: ignore[arg-type]
    keeper = keeper_of(world)
    keeper.correct(world.db)
    keeper.close_periods(world.db)
    assert world.rows("SELECT user_id FROM standing ORDER BY position") == [("cy",), ("bob",)]


def test_one_that_is_told_to_stop_begins_anew(http: Http, world: World) -> None:
    correct(http, "b", userId="ada")
    (wanted,) = list_open(world.db)
    assert not carry_out(world.db, wanted, lambda: False)
    assert scores(world)["ada"] == 9 and list_open(world.db) == [wanted]


def test_many_submit_while_corrections_come_and_go(http: Http, world: World) -> None:
    ended = threading.Event()
    sent: list[int] = []

    def play() -> None:
        with Http(http.port) as mine:
            while not ended.is_set():
                submit(mine, "b", "ada", score=len(sent))
                submit(mine, "plain", "ada", delta=1)
                sent.append(1)

    player = threading.Thread(target=play)
    player.start()
    try:
        numbers = []
        for _ in range(4):
            eventually(lambda: len(sent) > 10 * (len(numbers) + 1))
            numbers.append(applied(http, world, "b", "set", -5, userId="ada"))
            numbers.append(applied(http, world, "plain", userId="ada"))
        for number in numbers:
            undone(http, world, number)
    finally:
        ended.set()
        player.join()
    keeper_of(world).correct(world.db)
    assert list_open(world.db) == []
    assert scores(world)["ada"] == max(9, len(sent) - 1)
    assert world.value("SELECT max(score) FROM score JOIN season USING (period_id) WHERE season_id = 'plain'") == len(
        sent
    )


def test_boards_follow_while_players_and_corrections_go_on(world: World) -> None:
    """With relays, several rows at a time: in the end Redis has what PostgreSQL has, the boards of segments, too."""
    ended = threading.Event()
    sent: list[int] = []

    with serving(world, "/readyz") as api, relaying(world), api.client() as http:
        put(http, "b", operator="best", segments=["country"])
        for user in ("ada", "bob", "cy"):
            profile = b'{"attributes":{"country":"GB"}}'
            assert http.ask("PUT", f"/v1/players/{user}", profile, JSON).status == 201
            submit(http, "b", user, score=5)

        def play() -> None:
            with api.client() as mine:
                # Slowly: a correction of more than 1,000 submissions has to name their number.
                while not ended.wait(0.02):
                    for user in ("ada", "bob", "dan"):
                        submit(mine, "b", user, score=10 + len(sent) % 7)
                    sent.append(1)

        player = threading.Thread(target=play)
        player.start()
        try:
            for turn in range(3):
                eventually(lambda turn=turn: len(sent) > 10 * turn + 5)
                answer = correct(http, "b", "set", turn, to="2100-01-01T00:00:00Z")
                assert answer.status == 202, answer.body
                number = answer.json["id"]
                until(http, number, "applied")
                if turn == 1:
                    assert http.ask("DELETE", f"/v1/corrections/{number}").status == 202
                    until(http, number, "undone")
        finally:
            ended.set()
            player.join()
        eventually(lambda: world.board("b") == world.expected("b"), 60)
        top = http.get("/v1/seasons/b/leaderboard/top?segment=country:GB").json
        assert [one["userId"] for one in top["items"]] == [user for user, _, _ in world.board("b") if user != "dan"]
        assert scores(world)["cy"] == 2 and leaderboard(world, "verify").returncode == 0


def test_a_player_who_is_erased_is_in_no_correction(http: Http, world: World) -> None:
    number = applied(http, world, "b", userId="ada")
    waiting = correct(http, "b", "set", 1, userId="ada", from_="2020-01-01T00:00:00Z").json["id"]
    (wanted,) = list_open(world.db)

    def erase() -> None:
        http.ask("DELETE", "/v1/players/ada")
        (one,) = erasure.list_open(world.db)
        assert erasure.erase_rest(world.db, one, 60, lambda: True)

    assert not carry_out(Meanwhile(world.db, "day_before", erase), wanted, lambda: True)  # type: ignore[arg-type]
    keeper_of(world).correct(world.db)
    assert [world.value(f"SELECT count(*) FROM correction_{table}") for table in ("item", "row")] == [0, 0]
    for one in (number, waiting):
        assert "userId" not in read(http, one)["filter"] and read(http, one)["affected"] == 2
    undone(http, world, number)
    assert set(scores(world)) == {"bob", "cy"} and corrections.list_open(world.db) == []
