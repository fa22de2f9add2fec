"""A system with many players or many seasons in it, and the loads that are compared between two such systems."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec

from _speedups._py import PREFIX_SIZE
from bench.load import closed_loop
from bench.rows import formula_board
from bench.rows.figures import Measure
from bench.rows.formula_board import Board, Loaded
from bench.rows.read import SAMPLES, SIDE
from bench.rows.submit import End
from bench.system.redis_memory import used
from bench.system.run_options import Plan
from bench.system.sequential_scans import read_one_by_one, read_since
from bench.system.stack import Stack, nothing
from bench.system.totals import all_books, audit, since
from board.redis.keyspace import Keys, partition_of
from ctl.demo import Client

WARM_S: Final = 1
STEADY_S: Final = 12
"""Of submissions before they are measured: after that most pages have been changed since the last checkpoint."""
READS: Final = ("rank", "around", "top10", "top100")
POSTS: Final = ("post", "after_checkpoint", "hot_season", "hot_player")
SETTLED_S: Final = 300.0
CHUNK: Final = 1_000
"""Players of one Redis command."""
POLL_S: Final = 0.1


class Side:
    """Servers with so many seasons of so many players each; `faults` are those of the loading."""

    def __init__(self, plan: Plan, stack: Stack, seasons: int, players: int) -> None:
        self.plan: Final = plan
        self.stack: Final = stack
        self.seasons: Final = seasons
        self.board: Final = Board.of(players)
        self.players: Final = seasons * players
        self.faults: list[str] = []
        self.loaded = Loaded(0.0, 0.0, 0)
        self.rebuild_s = self.redis_bytes = 0.0

    def fill(self) -> None:
        """Load both servers, as a restored system is loaded, and compare them completely."""
        self.loaded = formula_board.fill(self.stack, self.plan, self.seasons, self.board)
        before = used(self.stack)
        self.rebuild()
        self.redis_bytes = float(used(self.stack) - before)

    def rebuild(self) -> None:
        """Have Redis' copy made of PostgreSQL's rows, and compare them completely."""
        stack = self.stack
        self.plan.tell("rebuild", 0, 1)
        done = stack.call("rebuild", "--all")
        self.plan.tell("rebuild", 1, 1)
        self.rebuild_s = done["seconds"]
        if (done["seasons"], done["players"]) != (self.seasons, self.players):
            self.faults.append(f"{done['seasons']} seasons and {done['players']} players were rebuilt")
        self.settle()
        self.faults += self.compared()

    def settle(self) -> None:
        """Until neither server is busy with what was loaded. PostgreSQL has it in memory, as after a day of work, and
        Redis' tables have their size, as after some million requests."""
        if self.stack.value("SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_prewarm'"):
            self.stack.db.execute("CREATE EXTENSION IF NOT EXISTS pg_prewarm")
            self.stack.db.execute("SELECT pg_prewarm('score'), pg_prewarm('score_pkey')")
        self.stack.checkpoint()
        self.until_written()
        self.grow()

    def until_written(self) -> None:
        """Until Redis writes no new file."""
        self.stack.wait(lambda: b"aof_rewrite_in_progress:0" in self.persistence(), nothing, SETTLED_S)

    def grow(self) -> None:
        """Let Redis finish moving boards into tables twice the size, of which it does a piece at each look-up.

        In small seasons there are no tables.
        """
        if self.board.players < CHUNK:
            return
        nobody = [b"x"] * CHUNK
        for season in range(self.seasons):
            board, members = self.names(season)
            for _ in range(0, self.board.players, CHUNK):
                self.stack.link.pipeline(("ZMSCORE", board, *nobody), ("HMGET", members, *nobody))

    def names(self, season: int) -> tuple[bytes, bytes]:
        """The keys of a season's board and of its members."""
        keys, name = Keys(self.stack.settings.redis_prefix), f"{formula_board.SEASON}{season}"
        partition = partition_of(name)
        return keys.board(partition, name.encode()), keys.members(partition, name.encode())

    def move(self) -> None:
        """Take every player off the board and put him on again, as a new score does, in no order.

        A rebuilt board lies in memory from the best to the last; after this it does not. Nobody asks meanwhile.
        """
        link, moved = self.stack.link, 0
        for season in range(self.seasons):
            board, members = self.names(season)
            cursor = b"0"
            while True:
                cursor, found = link.call("ZSCAN", board, cursor, "COUNT", CHUNK)
                players, scores = found[::2], found[1::2]
                link.pipeline(
                    ("ZREM", board, *players),
                    ("ZADD", board, *(part for pair in zip(scores, players, strict=True) for part in pair)),
                    ("HSET", members, *(part for p in players for part in (p[PREFIX_SIZE:], p[:PREFIX_SIZE]))),
                )
                moved += len(players)
                self.plan.tell("moves", min(moved, self.players), self.players)
                if cursor == b"0":
                    break
        self.until_written()
        self.faults += self.compared()

    def persistence(self) -> bytes:
        """What Redis says of its files."""
        return bytes(self.stack.link.call("INFO", "persistence"))

    def compared(self) -> list[str]:
        """What differs between PostgreSQL and Redis, every player and the whole order."""
        self.plan.tell("comparison", 0, 1)
        found = self.stack.unequal()
        self.plan.tell("comparison", 1, 1)
        return found

    @contextmanager
    def running(self) -> Iterator[Client]:
        """Relays and API."""
        with self.stack.relays(), self.stack.api() as client:
            yield client

    def read(self, name: str, client: Client) -> Measure:
        """One load of reads, of another player each time or, of many seasons, another season; sampled meanwhile."""
        seconds = self.plan.seconds
        wrong: list[str] = []

        def sample() -> None:
            dice = random.Random(self.plan.seed)
            for _ in range(SAMPLES):
                season, number = dice.randrange(self.seasons), dice.randrange(self.board.players)
                wrong.extend(self.wrong(name, client, season, number))
                time.sleep(seconds / (2 * SAMPLES))

        self.get(name, WARM_S)
        done = self.get(name, seconds, sample)
        if done.errors or not done.answers:
            wrong.append(f"{done.errors} of {done.answers} answers were errors")
        faults = tuple([*self.faults, *wrong[:3]])
        checks = (f"{SAMPLES} answers sampled under load are right",)
        return Measure(done.figures(), () if faults else checks, faults)

    def get(self, name: str, seconds: int, meanwhile: Callable[[], None] = closed_loop.nothing) -> closed_loop.Load:
        """The load."""
        if self.seasons > 1:
            path, numbers, first = address(name, "%d", formula_board.FIRST), self.seasons, 0
        else:
            path, numbers, first = address(name, 0, "%d"), self.board.players, formula_board.FIRST
        before, varies, after = path.partition("%d")
        stack, plan = self.stack, self.plan
        if not varies:
            return closed_loop.get(
                stack.url + path, seconds=seconds, connections=plan.connections, meanwhile=meanwhile,
                key=stack.settings.key,
            )  # fmt: skip
        arguments = [before, after, *map(str, (numbers, closed_loop.stride(numbers), first))]
        return closed_loop.get(
            stack.url, seconds=seconds, connections=plan.connections, script="player.lua", arguments=arguments,
            meanwhile=meanwhile, key=stack.settings.key,
        )  # fmt: skip

    def wrong(self, name: str, client: Client, season: int, number: int) -> list[str]:
        """What is wrong with one answer."""
        path = address(name, season, formula_board.FIRST + number)
        status, body = client.ask("GET", path)
        if status != 200:
            return [f"{path} answers {status}"]
        fault = formula_board.wrong(name, self.board, number, SIDE, msgspec.json.decode(body))
        return [f"{path}: {fault}"] if fault else []

    def post(self, names: Sequence[str]) -> dict[str, Measure]:
        """Loads of submissions one after the other, with relays and API started for them.

        ``post``: a random player of a random season, when that has gone on for a while; ``after_checkpoint``: the same
        from a checkpoint on, when PostgreSQL logs each page whole that is changed for the first time; ``hot_season``:
        new players of one season; ``hot_player``: one player. Checked for all together: the books of all seasons, and
        that nobody read a big table from end to end.
        """
        stack, figures = self.stack, {}
        before, read = all_books(stack), read_one_by_one(stack)
        accepted = errors = 0
        with self.running():
            for name in names:
                warm = self.submit(name, STEADY_S if name == "post" else WARM_S, closed_loop.nothing)
                stack.until_empty()
                if name != "post":
                    stack.checkpoint()
                end = End(stack)
                done = self.submit(name, self.plan.seconds, end)
                figures[name] = done.figures(self.plan.seconds)
                figures[name] |= {"backlog": float(end.backlog), "empty_ms": end.empty_s * 1000}
                accepted += warm.accepted + done.accepted
                errors += warm.errors + done.errors
        # In this order: the books read whole tables themselves.
        faults = [*self.faults, *read_since(stack, read)]
        faults += audit(since(before, all_books(stack)), accepted, errors)
        checks = (f"{accepted:,} accepted are {accepted:,} ledger rows", "no big table was read from end to end")
        return {name: Measure(found, () if faults else checks, tuple(faults)) for name, found in figures.items()}

    def submit(self, name: str, seconds: int, at_end: Callable[[], None]) -> closed_loop.Load:
        """The load."""
        spread = name in ("post", "after_checkpoint")
        several = spread and self.seasons > 1
        season = "%d" if several else 0
        return closed_loop.post(
            self.stack.url, f"/v1/seasons/{formula_board.SEASON}{season}/scores", seconds=seconds,
            connections=self.plan.connections, seed=self.plan.seed,
            pool=self.board.players if spread else {"hot_season": 0, "hot_player": 1}[name],
            player="new-" if name == "hot_season" else "p", first=formula_board.FIRST,
            seasons=self.seasons if several else 0, at_end=at_end, key=self.stack.settings.key,
        )  # fmt: skip


def address(name: str, season: int | str, number: int | str) -> str:
    """Path of a read."""
    query = {"top10": "top?limit=10", "top100": "top?limit=100", "rank": "rank", "around": f"around?range={SIDE}"}[name]
    player = {"rank": f"?userId=p{number}", "around": f"&userId=p{number}"}.get(name, "")
    return f"/v1/seasons/{formula_board.SEASON}{season}/leaderboard/{query}{player}"
