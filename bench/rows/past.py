"""The rows of ended periods: how long final ranks take, and reads of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from bench.rows import read
from bench.rows.figures import Measure, Results
from bench.system.run_options import RunOptions
from bench.system.stack import Stack, do_nothing

NAMES: Final = ("period_close", "past_rank")
CLOSED_WITHIN_S: Final = 1_800.0


def measure(options: RunOptions, wanted: Collection[str]) -> Results:
    """``period_close``: a period of `options.players` ends by hand, and a keeper writes its final ranks.

    ``past_rank``: ranks in it, a different player each time, as ``rank`` asks for them on a live board.
    """
    with options.stack() as stack:
        read.fill_board(stack, options)
        stack.checkpoint()
        truth = read.read_order(stack)
        with stack.relays(), stack.api() as client:
            # The rows have no hints: the relays find the board and load it. A reset of a board that is being loaded is
            # answered 503.
            stack.wait(lambda: read.count_players(client) == options.players, do_nothing, read.LOADED_WITHIN_S)
            status, body = client.ask("POST", f"/v1/seasons/{read.SEASON}/reset")
            faults = [] if status == 200 else [f"the reset answers {status} {body[:100]!r}"]
            query = "SELECT count(*) FROM event WHERE kind = 'period.closed'"
            stack.wait(lambda: bool(faults or stack.value(query)), do_nothing, CLOSED_WITHIN_S)
            faults += check_standings(stack, truth)
            faults += stack.find_differences()
            if "period_close" in wanted:
                seconds = float(stack.value("SELECT extract(epoch FROM max(final_at - ends_at)) FROM period") or 0)
                figures = {"per_s": options.players / seconds if seconds else 0.0, "seconds": seconds}
                checks = (
                    f"{options.players:,} standings in PostgreSQL's order",
                    "one event each of the end and of the closing",
                    "PostgreSQL and Redis are consistent",
                )
                yield "period_close", Measure(figures, () if faults else checks, tuple(faults))
            if "past_rank" in wanted:
                stack.settle()
                yield "past_rank", read.measure_read(stack, options, "past_rank", truth, client, faults)


def check_standings(stack: Stack, truth: read.ExpectedOrder) -> list[str]:
    """How the standings of the ended period differ from the order that it had; and its events from one of each kind."""
    found = stack.db.execute(
        "SELECT user_id, t.score, position, shared FROM standing t JOIN period USING (period_id)"
        " WHERE season_id = %s ORDER BY position",
        (read.SEASON,),
    ).fetchall()
    faults = []
    if len(found) != len(truth.order):
        faults.append(f"{len(found)} standings, not {len(truth.order)}")
    first, last = 0, None
    for at, ((user, score, position, shared), expected) in enumerate(zip(found, truth.order, strict=False), 1):
        first, last = (first, last) if score == last else (at, score)
        if ((user, score), position, shared) != (expected, at, first):
            faults.append(f"standing {at} is {(user, score, position, shared)}, not {(*expected, at, first)}")
            break
    kinds = stack.db.execute("SELECT kind, count(*) FROM event WHERE kind LIKE 'period.%' GROUP BY 1 ORDER BY 1")
    if (events := kinds.fetchall()) != [("period.closed", 1), ("period.ended", 1)]:
        faults.append(f"the events are {events}")
    return faults
