"""`leaderboard verify`: PostgreSQL compared with Redis: every player, every score, the whole order."""

from __future__ import annotations

from typing import Any, Final

from ctl import output
from ctl.command import JSON, Command, Example, Invocation, argument
from ctl.comparison.report import Report, compare
from ctl.connections import check_servers

COLUMNS: Final = tuple(map(output.Column, ("season", "player", "what", "PostgreSQL", "Redis")))


def run(call: Invocation) -> int:
    """Compare and print; 0 only when both sides are equal, else 1."""
    s, args = call.settings(), call.arguments
    check_servers(s)
    report = compare(s, season=args.season, wait_s=args.wait, quiet=args.json)
    if args.json:
        output.print_json(report)
    else:
        print_report(report)
    return 0 if report.equal else 1


def print_report(report: Report) -> None:
    """Print a table of differences, and the verdict."""
    if report.differences:
        rows = [(d.season, d.user, d.what, format_value(d.postgres), format_value(d.redis)) for d in report.differences]
        output.print_parts(output.make_table(COLUMNS, rows))
    verdict = "equal" if report.equal else "NOT equal"
    output.print_line(
        f"{verdict}: {report.players:,} players in {report.seasons:,} seasons compared, "
        f"{report.differences_found:,} differences, {report.unsettled:,} players with changes still on their way"
    )


def format_value(value: Any) -> str:
    """A cell of the table."""
    return "-" if value is None else str(value)


COMMAND: Final = Command(
    name="verify",
    summary="Compare PostgreSQL and Redis completely and exactly. Exit status 0 only when equal.",
    arguments=(
        argument("--season", metavar="S", help="only this season"),
        argument("--wait", type=float, default=10.0, metavar="S", help="seconds to wait for the relays to finish (10)"),
        JSON,
    ),
    examples=(
        Example("leaderboard verify", "everything; relays get ten seconds to finish first"),
        Example("leaderboard verify --season spring --wait 60", "one season, on a busy system"),
        Example("leaderboard verify --json > report.json", "for a program; the exit status is the verdict"),
    ),
    run=run,
)
