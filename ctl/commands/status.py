"""`leaderboard status`: outbox, fences, periods and events, once or every second."""

from __future__ import annotations

import time
from typing import Final, NoReturn

from board.config.settings import Settings
from board.errors import BoardUnavailable
from ctl import failures, output
from ctl.command import JSON, Command, Example, Invocation, argument
from ctl.status_reader import PeriodStatus, Status, read_status

REFRESH_S: Final = 1.0
OVERDUE_S: Final = 60.0
UNCLOSED_S: Final = 600.0
HELD_BACK_S: Final = 60.0
"""From these ages on the alerts of monitoring/rules.yml fire, and the lines are red."""
EVENTS_MOST: Final = 10_000
"""The number up to which the events are counted."""
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
    """Refresh the table every second, whatever is away; ends only by Ctrl-C."""
    parts = render(status, show_idle=show_idle)
    with output.make_live(output.stdout) as live:
        while True:
            output.show(live, *parts)
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
    for a in status.ailing:
        text = f"season '{a.season}' is set aside since {a.since[:19]}: {a.reason}"
        parts.append(output.make_text(text, "red"))
    return parts


def describe_periods(p: PeriodStatus) -> list[tuple[str, bool]]:
    """Lines about keeper, periods and events, each with whether it is wrong."""
    lines = [("keeper at work" if p.keeper else "no keeper is at work: periods do not end by themselves", not p.keeper)]
    if p.overdue:
        late = f"{p.overdue:,} periods overdue, the oldest for {p.overdue_s:.1f} s"
        lines.append((late, p.overdue_s >= OVERDUE_S))
    if p.closing:
        text = f"{p.closing:,} ended periods without final ranks"
        if p.unclosed_s:
            text += f", the oldest for {p.unclosed_s:.1f} s past its grace"
        lines.append((text, p.unclosed_s >= UNCLOSED_S))
    if p.events:
        number = f"{p.events:,}" if p.events <= EVENTS_MOST else f"more than {EVENTS_MOST:,}"
        lines.append((f"{number} events, the oldest of {p.oldest_event_s / 86_400:.1f} days ago", False))
    if p.held_back:
        text = f"{p.held_back:,} events are held back by an older transaction, the oldest for {p.held_back_s:.1f} s"
        lines.append((text, p.held_back_s >= HELD_BACK_S))
    return lines


COMMAND: Final = Command(
    name="status",
    summary="Show the hints that wait in the outbox, the fence of every partition, periods and events.",
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
