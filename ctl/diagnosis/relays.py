"""Checks of the relays: connected pools, outbox, seasons set aside, fences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import psycopg
from psycopg.rows import scalar_row

from board.config.settings import Settings
from board.pg.queries import queries
from ctl.diagnosis.finding import Finding, judge
from ctl.status_reader import read_status

HINT_AGE_MOST_S: Final = 10.0


def examine_relays(s: Settings, db: psycopg.Connection[Any]) -> Iterator[Finding]:
    """Whether relays are connected, and whether they carry the hints. Raises `LeaderboardError`, `psycopg.Error`."""
    relays: int = db.cursor(row_factory=scalar_row).execute(queries()["doctor_pools"]).fetchone() or 0
    without = "no board changes without one: start `leaderboard relay`"
    yield judge("relays", f"{relays} connected", relays > 0, "error", without)
    status = read_status(s)
    yield judge(
        "outbox",
        f"{status.pending:,} hints, oldest {status.oldest_s:.1f} s",
        status.oldest_s < HINT_AGE_MOST_S,
        "error",
        "relays are dead, too few, or refused: look at their log",
    )
    for ailing in status.ailing:
        yield Finding("season", "error", f"{ailing.season!r} is set aside: {ailing.reason}", "relays try it again")
    if odd := sum(p.state in ("behind", "foreign") for p in status.partitions):
        yield Finding(
            "fences",
            "warning" if relays else "error",
            f"{odd} partitions of which Redis lost something or that another PostgreSQL wrote",
            "relays rebuild them; if the finding stays, run `leaderboard rebuild --all`",
        )
