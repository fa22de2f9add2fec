"""Connections break amid statements that write to several seasons: nothing counts in a part of them, or twice."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter, defaultdict

import msgspec
import psycopg
import pytest
from support.http import JSON, Http, base
from support.periods import submit
from support.processes import Api, serving
from support.proxy import Proxy
from support.waiting import eventually
from support.world import World

GRAPH = {"total": [], "best": ["total"], "last": ["total"], "s": ["best", "last"]}
OPERATORS = {"s": "sum", "total": "sum", "best": "best", "last": "last"}


@pytest.fixture
def fed(world: World, postgres_proxy: Proxy) -> World:
    """A world with a season that feeds three others, its processes behind a proxy to PostgreSQL."""
    for name, feeds in GRAPH.items():
        world.define(name, operator=OPERATORS[name], feeds=feeds)
    url = world.database_url(f"127.0.0.1:{postgres_proxy.port}")
    world.settings = msgspec.structs.replace(world.settings, database_url=url)
    return world


def whole(world: World) -> Counter[tuple[str, int]]:
    """Players and deltas that count. Fails unless each submission is in all four seasons, once."""
    places: dict[tuple[int, str, int], list[str]] = defaultdict(list)
    rows = world.rows("SELECT submission, user_id, delta, season_id FROM ledger JOIN season USING (period_id)")
    for submission, user, delta, season in rows:
        places[submission, user, delta].append(season)
    assert all(sorted(seasons) == sorted(GRAPH) for seasons in places.values())
    sums: Counter[str] = Counter()
    for _, user, delta in places:
        sums[user] += delta
    for season in ("s", "total"):
        assert {user: score for user, score, _ in world.expected(season)} == dict(sums)
    for season in ("best", "last"):
        assert {user for user, _, _ in world.expected(season)} == set(sums)
    return Counter((user, delta) for _, user, delta in places)


@pytest.mark.parametrize("committed", [True, False])
def test_a_connection_that_breaks_in_the_commit(fed: World, postgres_proxy: Proxy, committed: bool) -> None:
    """The reply is lost after the commit, or the connection goes amid the statement; the retry settles it."""
    with serving(fed) as api, api.client() as http:
        assert submit(http, "s", "warm", delta=1).status == 202
        if committed:
            # The reply to the statement: rows, and the end of the implicit transaction.
            postgres_proxy.lose_reply(lambda data: b"SELECT 1\0" in data)
            assert submit(http, "s", "ada", "k", delta=5).status == 504
            assert postgres_proxy.disarm()
        else:
            with psycopg.connect(fed.database_url()) as db, Http(api.port) as other:
                db.execute("SELECT FROM score s JOIN season USING (period_id) WHERE season_id = 'last' FOR UPDATE OF s")
                body = json.dumps({"userId": "warm", "delta": 5, "submissionId": "k"}).encode()
                other.send("POST", f"{base('s')}/scores", body, JSON)
                eventually(lambda: fed.waiting() == 1)
                assert fed.terminate("leaderboard-intake") >= 1
                assert other.receive().status == 504
                db.commit()
        user = "ada" if committed else "warm"
        before = whole(fed)
        assert before[user, 5] == committed
        eventually(lambda: submit(http, "s", user, "k", delta=5).status == 202)
        assert whole(fed)[user, 5] == 1
        first = submit(http, "s", user, "k", delta=5)
        assert first.json["score"] == (5 if committed else 6)


def test_clients_that_retry_through_a_breaking_network(fed: World, postgres_proxy: Proxy) -> None:
    """For few players, so that rows are met by other batches and statements are rolled back, too."""
    stop = threading.Event()
    done: list[list[tuple[str, int]]] = [[] for _ in range(5)]
    tries = [0] * 5

    def client(api: Api, number: int) -> None:
        dice = random.Random(number)
        with api.client() as http:
            while not stop.is_set():
                user, delta = dice.choice("xyz"), dice.randrange(1, 1_000)
                while not stop.is_set():
                    tries[number] += 1
                    answer = submit(http, "s", user, f"{number}-{len(done[number])}", delta=delta)
                    if answer.status == 202:
                        done[number].append((user, delta))
                        break
                    assert answer.status in (503, 504), answer.body
                    stop.wait(0.002)

    with serving(fed, LEADERBOARD_WORKERS="2") as api:
        threads = [threading.Thread(target=client, args=(api, n)) for n in range(5)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(6):
                before = sum(map(len, done))
                eventually(lambda before=before: sum(map(len, done)) > before + 30, 30)  # type: ignore[misc]
                failed = sum(tries) - sum(map(len, done))
                postgres_proxy.cut()
                eventually(lambda failed=failed: sum(tries) - sum(map(len, done)) > failed + 5)  # type: ignore[misc]
                postgres_proxy.open()
        finally:
            postgres_proxy.open()
            stop.set()
            for thread in threads:
                thread.join(30)
    counted = whole(fed)
    told = Counter(one for mine in done for one in mine)
    assert not told - counted, "what was accepted counts"
    assert (counted - told).total() <= len(done), "the last one of a client may count without an answer"
