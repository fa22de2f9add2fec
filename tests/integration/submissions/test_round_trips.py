"""Counts, not seconds: one SQL statement for a batch, one Redis round trip for a read, one script call for a batch."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from support.http import Http
from support.processes import Api, serving
from support.proxy import Proxy, Target
from support.redis_calls import counting_calls
from support.relays import Hand, carrying
from support.waiting import eventually
from support.world import World

from board.partitions import partition_of

EXECUTE = re.compile(rb"E\0\0\0\x09\0\0\0\0\0")
"""The protocol's message that runs a statement: unnamed portal, all rows."""


class Counting:
    """A proxy that counts the statements on their way to PostgreSQL."""

    def __init__(self, target: Target) -> None:
        self.executed = 0
        self.proxy = Proxy(target, watch=self.count)

    def count(self, data: bytes) -> None:
        self.executed += len(EXECUTE.findall(data))


@pytest.fixture
def counting(postgres_proxy: Proxy) -> Iterator[Counting]:
    made = Counting(postgres_proxy.target)
    with made.proxy:
        yield made


@pytest.fixture
def served(world: World, counting: Counting) -> Iterator[Api]:
    """The API behind the counting proxy, with a season that exists and the first statements done."""
    with serving(world, DATABASE_URL=world.database_url(f"127.0.0.1:{counting.proxy.port}")) as api:
        with api.client() as http:
            assert http.post("s", "ada", 1).status == 202
            assert http.ask("POST", "/v1/seasons/s/scores/batch", BATCH, JSON).status == 200
        yield api


BATCH = b'{"submissions":[%b]}' % b",".join(b'{"userId":"p%d","delta":1}' % n for n in range(1_000))
JSON = {"Content-Type": "application/json"}


def test_a_traced_submission_is_one_statement_too(world: World, counting: Counting) -> None:
    settings = {"LEADERBOARD_TRACES": "log", "DATABASE_URL": world.database_url(f"127.0.0.1:{counting.proxy.port}")}
    traced = {**JSON, "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    with serving(world, **settings) as api, api.client() as http:
        assert http.post("s", "ada", 1).status == 202

        def post() -> None:
            assert http.ask("POST", "/v1/seasons/s/scores", b'{"userId":"ada","delta":1}', traced).status == 202

        def post_batch() -> None:
            assert http.ask("POST", "/v1/seasons/s/scores/batch", BATCH, traced).status == 200

        for do in (post, post_batch):
            do()  # the first one connects
            assert statements(counting, do) == 1
    assert world.value("SELECT count(*) FROM trace") == 4


def statements(counting: Counting, do: object) -> int:
    """Statements that a call runs."""
    assert callable(do)
    before = counting.executed
    do()
    return counting.executed - before


def test_a_submission_is_one_statement(served: Api, counting: Counting) -> None:
    with served.client() as http:
        assert statements(counting, lambda: http.post("s", "ada", 1)) == 1
        keyed = {**JSON, "Idempotency-Key": '"k"'}
        assert statements(counting, lambda: http.post_raw("s", b'{"userId":"a","delta":1}', keyed)) == 1


def test_a_batch_is_one_statement(served: Api, counting: Counting) -> None:
    with served.client() as http:
        assert statements(counting, lambda: http.ask("POST", "/v1/seasons/s/scores/batch", BATCH, JSON)) == 1


def test_reads_ask_postgresql_nothing(served: Api, world: World, counting: Counting) -> None:
    # PostgreSQL is asked for profiles until every partition has been written once.
    world.carry_everything()
    with carrying(world), served.client() as http:
        eventually(lambda: http.rank("s", "ada").status == 200)
        eventually(lambda: statements(counting, lambda: http.top("s")) == 0)
        assert statements(counting, lambda: [http.rank("s", "ada"), http.top("s"), http.around("s", "ada")]) == 0


@pytest.mark.parametrize("read", ["rank", "around", "top"])
def test_a_read_is_one_round_trip(world: World, read: str) -> None:
    world.submit(*(("s", f"p{n}", n + 1) for n in range(50)))
    world.carry_everything()
    with serving(world, LEADERBOARD_READ_CACHE_MS="0") as api, api.client() as http:

        def ask(http: Http) -> int:
            if read == "top":
                return http.top("s").status
            return {"rank": http.rank, "around": http.around}[read]("s", "p7").status

        assert ask(http) == 200
        with counting_calls(world) as calls:
            assert [ask(http) for _ in range(20)] == [200] * 20
            asked = calls.count("evalsha_ro")
            # A top read within the same millisecond as the last may be the same read.
            assert asked == 20 or (read == "top" and 0 < asked < 20)
            assert calls.count("eval", "evalsha", "script", "multi", "exec") == 0


def test_equal_reads_at_once_are_one(world: World) -> None:
    world.submit(("s", "ada", 1))
    world.carry_everything()
    with (
        serving(world, LEADERBOARD_READ_CACHE_MS="1000") as api,
        api.client() as http,
        counting_calls(world) as calls,
    ):
        assert http.top("s").status == 200
        before = calls.count("evalsha_ro")
        assert before >= 1
        assert [http.top("s").status for _ in range(50)] == [200] * 50
        assert calls.count("evalsha_ro") - before <= 1


def test_a_relay_batch_is_one_script_call(world: World) -> None:
    hand = Hand(world)
    world.submit(*((f"s{n % 7}", f"p{n}", n + 1) for n in range(700)))
    hand.drain()
    world.submit(*(("s1", f"p{n}", n + 1) for n in range(700)))
    with counting_calls(world) as calls:
        hand.serve(partition_of("s1"))
        assert calls.count("evalsha") == 1
