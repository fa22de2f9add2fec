"""`leaderboard status`: outbox, fences, periods and events, once or every second."""

from __future__ import annotations

import time
from typing import Final, NoReturn

from board.config.settings import Settings
from board.errors import BoardUnavailable, ServerUnreachable
from board.status import describe_periods
from ctl import output
from ctl.command import JSON, Command, Example, Invocation, argument
from ctl.status_reader import Status, read_status

REFRESH_S: Final = 1.0
COLUMNS: Final = (
    *(output.Column(head, number=True) for head in ("partition", "seasons", "pending", "oldest", "fence", "in Redis")),
    *map(output.Column, ("state", "last commit")),
)


def run(call: Invocation) -> int:
    """Print the status; 3 if Redis does not answer."""
    s, args = call.settings(), call.arguments
    if args.watch and not args.json:
        watch(s, show_idle=args.all)
    status = read_status(s)
    if args.json:
        output.print_json(status)
    else:
        output.print_parts(*render(status, show_idle=args.all))
    return 0 if status.redis == "ok" else BoardUnavailable.exit_code


def watch(s: Settings, *, show_idle: bool) -> NoReturn:
    """Refresh the table every second; ends only by Ctrl-C."""
    with output.make_live(output.stdout) as live:
        while True:
            try:
                output.show(live, *render(read_status(s), show_idle=show_idle))
            except ServerUnreachable as error:
                output.show(live, output.make_text(str(error), "red"))
            time.sleep(REFRESH_S)


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
    for a in status.ailing:
        text = f"season '{a.season}' is set aside since {a.since[:19]}: {a.reason}"
        parts.append(output.make_text(text, "red"))
    return parts


COMMAND: Final = Command(
    name="status",
    summary="Show the hints that wait in the outbox, the fence of every partition, periods and events.",
    arguments=(
        JSON,
        argument("--all", action="store_true", help="list idle partitions too"),
        argument("--watch", action="store_true", help="refresh every second until Ctrl-C"),
    ),
    examples=(
        Example("leaderboard status", "the partitions that have seasons or hints"),
        Example("leaderboard status --all --json", "all partitions, for a program"),
        Example("leaderboard status --watch", "again every second"),
    ),
    run=run,
)
