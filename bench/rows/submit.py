"""The rows of submissions: POST and batches, committed in PostgreSQL while relays apply them to Redis."""

from __future__ import annotations

import time
from typing import Any, Final, Literal
from urllib.parse import quote

import msgspec

from bench.load import closed_loop
from bench.rows.figures import Measure, Results
from bench.system.run_options import RunOptions
from bench.system.stack import Stack
from bench.system.totals import (
    audit,
    audit_best,
    audit_feeds,
    compare_counts,
    find_worse_runs,
    read_season_totals,
)
from board.config.settings import Settings

POOL: Final = 1_000
QUOTA: Final = 1_000_000
"""More per second than the load sends: checked for each request, never exhausted."""
WARM_S: Final = 1
BATCH: Final = 1_000
Member = Literal["delta", "score", "columns"]
MEMBERS: Final[dict[str, Member]] = {"post_best": "score", "post_feeds_4": "score", "post_columns": "columns"}
DEFINITIONS: Final[dict[str, dict[str, Any]]] = {
    "score": {"operator": "best"},
    "columns": {"operator": "best", "columns": [{"name": "time", "order": "asc"}]},
}
"""The seasons that take a score."""
BATCH_CONNECTIONS: Final = 8
FED: Final[dict[str, dict[str, str]]] = {
    "all time": {"operator": "best"},
    "lowest": {"operator": "best", "order": "asc"},
    "latest": {"operator": "last"},
    "total": {},
}
"""The seasons that ``post_feeds_4`` feeds, by their definitions."""
OPERATORS: Final[tuple[tuple[Member, dict[str, Any]], ...]] = (
    ("delta", {}),
    ("score", DEFINITIONS["score"]),
    ("score", {"operator": "best", "order": "asc"}),
    ("score", {"operator": "last"}),
    ("columns", DEFINITIONS["columns"]),
)
"""The seasons of ``post_operators``, one of each kind: what it takes, and its definition."""
SUMS: Final[tuple[tuple[Member, dict[str, Any]], ...]] = (("delta", {}),) * len(OPERATORS)
"""The seasons of ``post_seasons``."""


def measure(options: RunOptions, name: str) -> Results:
    """``post``: a new player each time; ``post_hot``: a pool of 1,000 players; ``batch``: batches of 1,000.

    ``post_best``: as ``post_hot``, random scores to a season in which the best one counts; ``post_columns``: one of ten
    scores and a random column. ``post_feeds_4``: as ``post_best``, to a season that feeds the four of `FED`.
    ``post_keys`` and ``post_limited``: see `adjust_settings`; ``post_operators``, ``post_seasons``: `measure_seasons`.
    """
    if name in ("post_operators", "post_seasons"):
        yield from measure_seasons(options, name)
        return
    options = msgspec.structs.replace(options, settings=adjust_settings(options.settings, name))
    feeds = name == "post_feeds_4"
    pool = POOL if name in ("post_hot", *MEMBERS) else 0
    size = BATCH if name == "batch" else 0
    member = MEMBERS.get(name, "delta")
    with options.stack() as stack, stack.relays(), stack.api() as client:
        if member in DEFINITIONS:
            for season in ("warm", "measured"):
                fed = {f"{season} {one}": members for one, members in FED.items()} if feeds else {}
                for one, members in fed.items():
                    client.ask("PUT", f"/v1/seasons/{quote(one)}", members)
                client.ask("PUT", f"/v1/seasons/{season}", {**DEFINITIONS[member], "feeds": [*fed]})
        run_load(stack, options, "warm", WARM_S, pool, size, member=member)
        stack.wait_until_empty()
        stack.checkpoint()
        end = OutboxAtEnd(stack)
        done = run_load(stack, options, "measured", options.seconds, pool, size, end, member=member)
        if member in DEFINITIONS:
            faults = audit_best(stack, "measured", done.accepted, done.errors)
        else:
            faults = audit(read_season_totals(stack, "measured"), *done.count_submissions(max(1, size)))
        if feeds:
            faults += audit_feeds(stack, "measured", [f"measured {one}" for one in FED])
            faults += audit(read_season_totals(stack, "measured total"), done.accepted, done.errors)
            faults += audit_best(stack, "measured all time", done.accepted, done.errors)
        faults += stack.find_differences()
        figures = done.figures(options.seconds) | {"backlog": end.backlog, "empty_ms": end.empty_s * 1000}
        figures["per_s"] *= max(1, size)
        accepted = done.accepted * max(1, size)
        checks = (f"{accepted:,} accepted are {accepted:,} ledger rows", "PostgreSQL and Redis are consistent")
        yield name, Measure(figures, () if faults else checks, tuple(faults))


def measure_seasons(options: RunOptions, name: str) -> Results:
    """``post_operators``: as ``post_hot``, each time to a random one of `OPERATORS`; ``post_seasons``: of `SUMS`."""
    seasons = OPERATORS if name == "post_operators" else SUMS
    with options.stack() as stack, stack.relays(), stack.api() as client:
        for load in ("warm", "measured"):
            for number, (_, definition) in enumerate(seasons):
                client.ask("PUT", f"/v1/seasons/{load}-{number}", definition)

        def run(load: str, seconds: int) -> closed_loop.LoadResult:
            return closed_loop.post(
                stack.url,
                f"/v1/seasons/{load}-%d/scores",
                seconds=seconds,
                connections=options.connections,
                seed=options.seed,
                pool=POOL,
                seasons=len(seasons),
                member=",".join(member for member, _ in seasons),
            )

        run("warm", WARM_S)
        stack.wait_until_empty()
        stack.checkpoint()
        done = run("measured", options.seconds)
        stack.wait_until_empty()
        rows, faults = 0, []
        for number, (_, definition) in enumerate(seasons):
            held = read_season_totals(stack, f"measured-{number}")
            rows += held.ledger
            if not definition:
                faults += audit(held, held.ledger, 0)
            elif definition["operator"] == "best":
                faults += find_worse_runs(stack, f"measured-{number}", definition.get("order", "desc"))
        faults += compare_counts(rows, done.accepted, done.errors) + stack.find_differences()
        checks = (f"{done.accepted:,} accepted are {rows:,} ledger rows", "PostgreSQL and Redis are consistent")
        yield name, Measure(done.figures(options.seconds), () if faults else checks, tuple(faults))


def adjust_settings(settings: Settings, name: str) -> Settings:
    """``post_keys`` requires a key, ``post_limited`` a key and quotas; other rows keep the settings of the run."""
    if name == "post_keys":
        return msgspec.structs.replace(settings, auth="keys")
    if name == "post_limited":
        limits = {"limit_key": QUOTA, "limit_player": QUOTA, "limit_window_s": 1}
        return msgspec.structs.replace(settings, auth="keys", **limits)
    return settings


class OutboxAtEnd:
    """The outbox when the sending ends: the number of hints left, and the seconds until it is empty."""

    def __init__(self, stack: Stack) -> None:
        self.stack: Final = stack
        self.backlog = 0
        self.empty_s = 0.0

    def __call__(self) -> None:
        started = time.perf_counter()
        self.backlog = self.stack.count_hints()
        self.empty_s = self.stack.wait_until_empty(started)


def run_load(
    stack: Stack,
    options: RunOptions,
    season: str,
    seconds: int,
    pool: int,
    size: int,
    at_end: OutboxAtEnd | None = None,
    *,
    member: Member = "delta",
) -> closed_loop.LoadResult:
    """Run the load on one season: players from a `pool` (0: a new one each time), batches of `size` (0: no batch)."""
    return closed_loop.post(
        stack.url,
        f"/v1/seasons/{season}/scores" + ("/batch" if size else ""),
        seconds=seconds,
        connections=BATCH_CONNECTIONS if size else options.connections,
        seed=options.seed,
        pool=pool,
        size=size,
        member=member,
        at_end=at_end or closed_loop.do_nothing,
        key=stack.settings.key,
    )
