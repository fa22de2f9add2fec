"""A system with many players or seasons, and the loads that are compared between two such systems."""

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
from bench.rows.formula_board import FormulaBoard, LoadTimes
from bench.rows.read import SAMPLES, SIDE
from bench.rows.submit import OutboxAtEnd
from bench.system.redis_memory import read_used_bytes
from bench.system.run_options import RunOptions
from bench.system.sequential_scans import count_scanned_rows, find_large_scans
from bench.system.stack import Stack
from bench.system.totals import audit, read_totals, subtract
from board.partitions import partition_of
from board.redis.keyspace import Keyspace
from ctl.http_client import Client

WARM_S: Final = 1
STEADY_S: Final = 12
"""Seconds of submissions before a measurement: most pages have then been changed since the last checkpoint."""
READS: Final = ("rank", "around", "top10", "top100")
POSTS: Final = ("post", "after_checkpoint", "hot_season", "hot_player")
CHUNK: Final = 1_000
"""Players in one command for Redis."""
POLL_S: Final = 0.1


class LoadedSystem:
    """Servers with `seasons` seasons of `players` players each. `faults` are those of loading and comparison."""

    def __init__(self, options: RunOptions, stack: Stack, seasons: int, players: int) -> None:
        self.options: Final = options
        self.stack: Final = stack
        self.seasons: Final = seasons
        self.board: Final = FormulaBoard.of(players)
        self.players: Final = seasons * players
        self.faults: list[str] = []
        self.loaded = LoadTimes(0.0, 0.0, 0)
        self.rebuild_s = self.redis_bytes = 0.0

    def load(self) -> None:
        """Load both servers as a restored system is loaded, and compare them completely."""
        self.loaded = formula_board.load_seasons(self.stack, self.options, self.seasons, self.board)
        before = read_used_bytes(self.stack)
        self.rebuild()
        self.redis_bytes = float(read_used_bytes(self.stack) - before)

    def rebuild(self) -> None:
        """Rebuild Redis from PostgreSQL, wait until both are settled, and compare them completely."""
        stack = self.stack
        self.options.progress("rebuild", 0, 1)
        done = stack.run_command("rebuild", "--all")
        self.options.progress("rebuild", 1, 1)
        self.rebuild_s = done["seconds"]
        if (done["seasons"], done["players"]) != (self.seasons, self.players):
            self.faults.append(f"{done['seasons']} seasons and {done['players']} players were rebuilt")
        self.settle()
        # A rebuild leaves a hint for each season, of its first place, which relays carry.
        with self.stack.relays():
            self.faults += self.compare()

    def settle(self) -> None:
        """Bring both servers into the state of a system in service.

        PostgreSQL has the scores in memory, as after a day of work, and has written them. The hash tables of Redis have
        their final size, as after some million requests.
        """
        if self.stack.value("SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_prewarm'"):
            self.stack.db.execute("CREATE EXTENSION IF NOT EXISTS pg_prewarm")
            self.stack.db.execute("SELECT pg_prewarm('score'), pg_prewarm('score_pkey')")
        self.stack.checkpoint()
        self.stack.wait_for_rewrite()
        self.grow_tables()

    def grow_tables(self) -> None:
        """Let Redis finish the growth of its hash tables, of which each look-up does a part.

        Small seasons have no hash tables.
        """
        if self.board.players < CHUNK:
            return
        unknown = [b"x"] * CHUNK
        for season in range(self.seasons):
            board, members = self.keys_of(season)
            for _ in range(0, self.board.players, CHUNK):
                self.stack.redis.pipeline(("ZMSCORE", board, *unknown), ("HMGET", members, *unknown))

    def keys_of(self, season: int) -> tuple[bytes, bytes]:
        """The keys of the board and of the members of a season."""
        keys, name = Keyspace(self.stack.settings.redis_prefix), f"{formula_board.SEASON}{season}"
        partition = partition_of(name)
        return keys.board(partition, name.encode()), keys.members(partition, name.encode())

    def move_players(self) -> None:
        """Remove every player from the board and add it again, as a new score does, in no order.

        A rebuilt board lies in memory in the order of its ranks; afterwards it does not. No requests run meanwhile.
        """
        redis, moved = self.stack.redis, 0
        for season in range(self.seasons):
            board, members = self.keys_of(season)
            cursor = b"0"
            while True:
                cursor, found = redis.call("ZSCAN", board, cursor, "COUNT", CHUNK)
                players, scores = found[::2], found[1::2]
                redis.pipeline(
                    ("ZREM", board, *players),
                    ("ZADD", board, *(part for pair in zip(scores, players, strict=True) for part in pair)),
                    ("HSET", members, *(part for p in players for part in (p[PREFIX_SIZE:], p[:PREFIX_SIZE]))),
                )
                moved += len(players)
                self.options.progress("moves", min(moved, self.players), self.players)
                if cursor == b"0":
                    break
        self.stack.wait_for_rewrite()
        self.faults += self.compare()

    def compare(self) -> list[str]:
        """Compare every player and the whole order of PostgreSQL and Redis; returns the faults."""
        self.options.progress("comparison", 0, 1)
        found = self.stack.find_differences()
        self.options.progress("comparison", 1, 1)
        return found

    @contextmanager
    def running(self) -> Iterator[Client]:
        """Run relays and API; yields a client."""
        with self.stack.relays(), self.stack.api() as client:
            yield client

    def measure_read(self, name: str, client: Client) -> Measure:
        """One load of reads, for another player (of many seasons: another season) each time; answers are checked."""
        seconds = self.options.seconds
        wrong: list[str] = []

        def sample() -> None:
            dice = random.Random(self.options.seed)
            for _ in range(SAMPLES):
                season, number = dice.randrange(self.seasons), dice.randrange(self.board.players)
                wrong.extend(self.check_answer(name, client, season, number))
                time.sleep(seconds / (2 * SAMPLES))

        self.run_reads(name, WARM_S)
        done = self.run_reads(name, seconds, sample)
        if done.errors or not done.answers:
            wrong.append(f"{done.errors} of {done.answers} answers were errors")
        faults = tuple([*self.faults, *wrong[:3]])
        checks = (f"{SAMPLES} answers sampled under load are right",)
        return Measure(done.figures(), () if faults else checks, faults)

    def run_reads(
        self, name: str, seconds: int, meanwhile: Callable[[], None] = closed_loop.do_nothing
    ) -> closed_loop.LoadResult:
        """Run a load of reads for `seconds`."""
        if self.seasons > 1:
            path, numbers, first = read_path(name, "%d", formula_board.FIRST), self.seasons, 0
        else:
            path, numbers, first = read_path(name, 0, "%d"), self.board.players, formula_board.FIRST
        before, varies, after = path.partition("%d")
        stack, options = self.stack, self.options
        if not varies:
            return closed_loop.get(
                stack.url + path, seconds=seconds, connections=options.connections, meanwhile=meanwhile,
                key=stack.settings.key,
            )  # fmt: skip
        arguments = [before, after, *map(str, (numbers, closed_loop.stride(numbers), first))]
        return closed_loop.get(
            stack.url, seconds=seconds, connections=options.connections, script="player.lua", arguments=arguments,
            meanwhile=meanwhile, key=stack.settings.key,
        )  # fmt: skip

    def check_answer(self, name: str, client: Client, season: int, number: int) -> list[str]:
        """Check one answer; returns the faults."""
        path = read_path(name, season, formula_board.FIRST + number)
        status, body = client.ask("GET", path)
        if status != 200:
            return [f"{path} answers {status}"]
        fault = formula_board.check_answer(name, self.board, number, SIDE, msgspec.json.decode(body))
        return [f"{path}: {fault}"] if fault else []

    def measure_posts(self, names: Sequence[str]) -> dict[str, Measure]:
        """Loads of submissions, one after the other, with relays and API started for them.

        ``post``: random players of random seasons, after `STEADY_S` of the same. ``after_checkpoint``: the same, just
        after a checkpoint, when PostgreSQL logs each page whole at its first change. ``hot_season``: new players of one
        season. ``hot_player``: one player. All loads together are checked by the totals of all seasons, and for
        sequential scans of big tables.
        """
        stack, figures = self.stack, {}
        before, read = read_totals(stack), count_scanned_rows(stack)
        accepted = errors = 0
        with self.running():
            for name in names:
                warm = self.run_posts(name, STEADY_S if name == "post" else WARM_S, closed_loop.do_nothing)
                stack.wait_until_empty()
                if name != "post":
                    stack.checkpoint()
                end = OutboxAtEnd(stack)
                done = self.run_posts(name, self.options.seconds, end)
                figures[name] = done.figures(self.options.seconds)
                figures[name] |= {"backlog": float(end.backlog), "empty_ms": end.empty_s * 1000}
                accepted += warm.accepted + done.accepted
                errors += warm.errors + done.errors
        # Before the totals are read, which scans whole tables.
        faults = [*self.faults, *find_large_scans(stack, read)]
        faults += audit(subtract(before, read_totals(stack)), accepted, errors)
        checks = (f"{accepted:,} accepted are {accepted:,} ledger rows", "no sequential scan of a big table")
        return {name: Measure(found, () if faults else checks, tuple(faults)) for name, found in figures.items()}

    def run_posts(self, name: str, seconds: int, at_end: Callable[[], None]) -> closed_loop.LoadResult:
        """Run a load of submissions for `seconds`; `at_end` is called when the sending ends."""
        spread = name in ("post", "after_checkpoint")
        several = spread and self.seasons > 1
        season = "%d" if several else 0
        return closed_loop.post(
            self.stack.url, f"/v1/seasons/{formula_board.SEASON}{season}/scores", seconds=seconds,
            connections=self.options.connections, seed=self.options.seed,
            pool=self.board.players if spread else {"hot_season": 0, "hot_player": 1}[name],
            player="new-" if name == "hot_season" else "p", first=formula_board.FIRST,
            seasons=self.seasons if several else 0, at_end=at_end, key=self.stack.settings.key,
        )  # fmt: skip


def read_path(name: str, season: int | str, number: int | str) -> str:
    """Path of a read. `season` and `number` may be ``%d``, for a script of wrk."""
    query = {"top10": "top?limit=10", "top100": "top?limit=100", "rank": "rank", "around": f"around?range={SIDE}"}[name]
    player = {"rank": f"?userId=p{number}", "around": f"&userId=p{number}"}.get(name, "")
    return f"/v1/seasons/{formula_board.SEASON}{season}/leaderboard/{query}{player}"
