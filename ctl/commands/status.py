"""`leaderboard status`: outbox, fences, periods, events and nodes, once or every second."""

from __future__ import annotations

import time
from typing import Final, NoReturn

from board.config.settings import Settings
from board.errors import BoardUnavailable
from board.redis.masters import MasterStatus
from board.status import describe_periods
from ctl import failures, output
from ctl.command import JSON, Command, Example, Invocation, argument
from ctl.status_reader import Status, read_status

REFRESH_S: Final = 1.0
REPLICA_LAG: Final = 64 * 2**20
STANDBY_LAG: Final = 256 * 2**20
"""From these numbers of bytes on the alerts of monitoring/rules.yml fire, and the lines are red."""
COLUMNS: Final = (
    *(output.Column(head, number=True) for head in ("partition", "seasons", "pending", "oldest", "fence", "in Redis")),
    *map(output.Column, ("state", "last commit")),
)


def run(call: Invocation) -> int:
    """Print the status; 3 if Redis does not answer."""
    s, args = call.settings(), call.arguments
    status = read_status(s)
    if args.watch and args.json:
        follow_as_json(s, status)
    if args.watch:
        watch(s, status, show_idle=args.all)
    if args.json:
        output.print_json(status)
    else:
        output.print_parts(*render(status, show_idle=args.all))
    return 0 if status.redis == "ok" else BoardUnavailable.exit_code


def watch(s: Settings, status: Status, *, show_idle: bool) -> NoReturn:
    """Refresh the table every second, whatever is away; ends only by Ctrl-C.

    The table comes last: it may have more rows than the terminal, which cuts off what is below.
    """
    parts = render(status, show_idle=show_idle)
    with output.redrawing() as draw:
        while True:
            draw(*parts[1:], parts[0])
            time.sleep(REFRESH_S)
            try:
                parts = render(read_status(s), show_idle=show_idle)
            except failures.EXPECTED as error:
                parts = [output.make_text(failures.explain(error).text, "red")]


def follow_as_json(s: Settings, status: Status) -> NoReturn:
    """Print the status as a line of JSON every second; a failure is a line on stderr. Ends only by Ctrl-C."""
    output.print_json_line(status)
    while True:
        time.sleep(REFRESH_S)
        try:
            status = read_status(s)
        except failures.EXPECTED as error:
            output.note(failures.explain(error).text)
        else:
            output.print_json_line(status)


def render(status: Status, *, show_idle: bool) -> list[output.Block]:
    """The table for people; without `show_idle` it leaves out sound partitions that have no seasons."""
    rows = []
    idle = 0
    for p in status.partitions:
        if not show_idle and not p.pending and p.state in ("ok", "unknown") and not p.seasons:
            idle += 1
            continue
        rows.append(
            (
                str(p.partition),
                f"{p.seasons:,}",
                f"{p.pending:,}",
                f"{p.oldest_s:.3f} s" if p.pending else "-",
                str(p.fence),
                "-" if p.redis_fence is None else str(p.redis_fence),
                output.make_text(p.state, "green" if p.state == "ok" else "red"),
                (p.committed_at or "-")[:19],
            )
        )
    total = (
        f"{status.pending:,} hints pending, oldest {status.oldest_s:.3f} s; {status.seasons:,} seasons; "
        f"PostgreSQL {status.postgres}, Redis {status.redis}"
    )
    if idle:
        total += f"; {idle} idle partitions not shown (--all)"
    parts: list[output.Block] = [output.make_table(COLUMNS, rows), output.make_text(total)]
    parts += [output.make_text(text, "red" if is_wrong else "") for text, is_wrong in describe_periods(status.periods)]
    parts += [output.make_text(text, "red" if is_wrong else "") for text, is_wrong in describe_nodes(status)]
    for a in status.ailing:
        text = f"season '{a.season}' is set aside since {a.since[:19]}: {a.reason}"
        parts.append(output.make_text(text, "red"))
    return parts


def describe_nodes(status: Status) -> list[tuple[str, bool]]:
    """Lines about masters and standbys, each with whether it is wrong. A single Redis without replicas has none."""
    lines = []
    if len(status.masters) > 1 or any(master.replicas for master in status.masters):
        lines += [describe_master(master, status.kind) for master in status.masters]
    if status.away:
        lines.append((f"the boards of {status.away} partitions cannot be read now", True))
    for standby in status.standbys:
        lag = "unknown" if standby.lag_bytes is None else f"{format_bytes(standby.lag_bytes)}"
        text = f"PostgreSQL standby {standby.name}: {standby.state}, {standby.sync}, {lag} behind"
        lines.append((text, standby.lag_bytes is not None and standby.lag_bytes >= STANDBY_LAG))
    return lines


def describe_master(master: MasterStatus, kind: str) -> tuple[str, bool]:
    """The line of a master of Redis, and whether something is wrong with it."""
    text = f"Redis {master.address}: {master.partitions} partitions"
    if not master.up:
        return f"{text}, does not answer", True
    if master.replicas is None or master.lag_bytes is None or master.used_bytes is None:
        return f"{text}, INFO is refused", False
    behind = f", {format_bytes(master.lag_bytes)} behind" if master.replicas else ""
    limit = f" of {format_bytes(master.limit_bytes)}" if master.limit_bytes else ""
    text += f", {master.replicas} replicas{behind}, {format_bytes(master.used_bytes)}{limit}"
    return text, master.lag_bytes >= REPLICA_LAG or (kind != "standalone" and not master.replicas)


def format_bytes(count: int) -> str:
    """A number of bytes for people, in binary units."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


COMMAND: Final = Command(
    name="status",
    summary="Show the hints that wait in the outbox, the fence of every partition, periods, events, and all nodes.",
    arguments=(
        JSON,
        argument("--all", action="store_true", help="list idle partitions too"),
        argument("--watch", action="store_true", help="again every second until Ctrl-C; with --json a line each"),
    ),
    examples=(
        Example("leaderboard status", "the partitions that have seasons or hints"),
        Example("leaderboard status --all --json", "all partitions, for a program"),
        Example("leaderboard status --watch", "again every second"),
    ),
    run=run,
)
