"""`leaderboard status`: what waits in the outbox, and where every partition's fence is."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from board.config.settings import Settings
from board.errors import BoardUnavailable, ServerUnreachable
from board.pg import schema
from board.pg.connections import connect
from board.pg.queries import queries
from board.redis.keyspace import Keyspace
from board.redis.sync_redis import ResponseError, SyncRedis
from ctl import output


class PartitionStatus(msgspec.Struct, frozen=True):
    """One partition: hints that wait, age of the oldest in seconds, fences of both sides.

    `redis_fence` is null when Redis holds none; `state` is ok, behind (Redis lost something), foreign (written by
    another PostgreSQL), or unknown (Redis does not answer).
    """

    partition: int
    seasons: int
    pending: int
    oldest_s: float
    fence: int
    redis_fence: int | None
    state: str
    committed_at: str | None
    rebuilt_at: str | None


class Ailing(msgspec.Struct, frozen=True):
    """A season that Redis refuses, why, how often it was tried, and when it is tried again."""

    season: str
    partition: int
    reason: str
    tries: int
    since: str
    retry_at: str


class Status(msgspec.Struct, frozen=True):
    """Everything, for `--json`."""

    postgres: str
    redis: str
    pending: int
    oldest_s: float
    seasons: int
    ailing: list[Ailing]
    partitions: list[PartitionStatus]


def read(s: Settings) -> Status:
    """Ask both servers. Raises `ServerUnreachable` and `WrongSchemaVersion`; a silent Redis is part of the answer."""
    keys = Keyspace(s.redis_prefix)
    with connect(s.database_url, "leaderboard-ctl") as db:
        schema.check(db)
        identity = db.execute(queries()["identity"]).fetchone()
        rows = db.execute(queries()["status"]).fetchall()
        aside = db.execute(queries()["seasons_set_aside"]).fetchall()
    held: list[Any] | None
    try:
        link = SyncRedis(s.redis_url, "leaderboard-ctl")
        held = link.pipeline(*(("HMGET", keys.watermark[row[0]], "fence", "identity") for row in rows))
        link.close()
    except BoardUnavailable:
        held = None
    partitions = []
    for at, (number, fence, _, committed_at, rebuilt_at, pending, oldest, seasons) in enumerate(rows):
        redis_fence, state = compare(fence, identity[0] if identity else "", held[at] if held else None)
        partitions.append(
            PartitionStatus(
                partition=number,
                seasons=seasons,
                pending=pending,
                oldest_s=round(oldest, 3),
                fence=fence,
                redis_fence=redis_fence,
                state=state,
                committed_at=committed_at and committed_at.isoformat(),
                rebuilt_at=rebuilt_at and rebuilt_at.isoformat(),
            )
        )
    return Status(
        postgres="ok",
        redis="down" if held is None else "ok",
        pending=sum(p.pending for p in partitions),
        oldest_s=max(p.oldest_s for p in partitions),
        seasons=sum(p.seasons for p in partitions),
        ailing=[
            Ailing(season, partition, reason, tries, since.isoformat(), retry_at.isoformat())
            for season, partition, reason, tries, since, retry_at in aside
        ],
        partitions=partitions,
    )


def compare(fence: int, identity: str, held: Any) -> tuple[int | None, str]:
    """What Redis' watermark says beside the committed fence: (fence it holds, state)."""
    if held is None or isinstance(held, ResponseError):
        return None, "unknown"
    theirs, whose = held
    if theirs is None or not theirs.isdigit():
        return None, "ok" if fence == 0 and theirs is None else "behind"
    if whose != identity.encode():
        return int(theirs), "foreign"
    return int(theirs), "ok" if int(theirs) >= fence else "behind"


def render(status: Status, *, everything: bool) -> Group:
    """The table for people."""
    table = Table(header_style="bold")
    for name in ("partition", "seasons", "pending", "oldest", "fence", "in Redis", "state", "last commit"):
        table.add_column(name, justify="left" if name in ("state", "last commit") else "right")
    idle = 0
    for p in status.partitions:
        if not everything and not p.pending and p.state in ("ok", "unknown") and not p.seasons:
            idle += 1
            continue
        table.add_row(
            str(p.partition),
            f"{p.seasons:,}",
            f"{p.pending:,}",
            f"{p.oldest_s:.3f} s" if p.pending else "-",
            str(p.fence),
            "-" if p.redis_fence is None else str(p.redis_fence),
            Text(p.state, style="green" if p.state == "ok" else "red"),
            (p.committed_at or "-")[:19],
        )
    total = (
        f"{status.pending:,} hints pending, oldest {status.oldest_s:.3f} s; {status.seasons:,} seasons; "
        f"PostgreSQL {status.postgres}, Redis {status.redis}"
    )
    if idle:
        total += f"; {idle} idle partitions not shown (--all)"
    parts: list[Table | Text] = [table, Text(total)]
    for a in status.ailing:
        parts.append(Text(f"season {a.season!r} is set aside since {a.since[:19]}: {a.reason}", style="red"))
    return Group(*parts)


def once(s: Settings, *, as_json: bool, everything: bool) -> int:
    """Print one status; 3 if Redis does not answer."""
    status = read(s)
    if as_json:
        output.json(status)
    else:
        output.stdout.print(render(status, everything=everything))
    return 0 if status.redis == "ok" else BoardUnavailable.exit_code


def watch(s: Settings, *, everything: bool) -> int:
    """Refresh every second until Ctrl-C."""
    with Live(console=output.stdout, auto_refresh=False) as live:
        while True:
            try:
                live.update(render(read(s), everything=everything), refresh=True)
            except ServerUnreachable as error:
                live.update(Text(str(error), style="red"), refresh=True)
            time.sleep(1.0)
