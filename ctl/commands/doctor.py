"""`leaderboard doctor`: an installation checked; each finding with advice."""

from __future__ import annotations

from typing import Final

from rich.table import Table
from rich.text import Text

from ctl import output
from ctl.command import JSON, Command, Example, Invocation
from ctl.diagnosis.examine import examine
from ctl.diagnosis.finding import Severity

COLOURS: Final[dict[Severity, str]] = {"ok": "green", "info": "cyan", "warning": "yellow", "error": "red"}


def run(call: Invocation) -> int:
    """Print all findings; 1 if one is an error, else 0."""
    findings = list(examine(call.settings()))
    healthy = not any(f.severity == "error" for f in findings)
    if call.arguments.json:
        output.print_json({"healthy": healthy, "findings": findings})
    else:
        table = Table(header_style="bold")
        for column in ("check", "", "found", "advice"):
            table.add_column(column, overflow="fold")
        for f in findings:
            table.add_row(f.check, Text(f.severity, style=COLOURS[f.severity]), Text(f.found), Text(f.advice))
        output.stdout.print(table)
    return 0 if healthy else 1


COMMAND: Final = Command(
    name="doctor",
    summary=(
        "Check an installation: servers, their settings, clock, disk, schema, relays, keys. "
        "Exit status 1 when there is an error."
    ),
    arguments=(JSON,),
    examples=(
        Example("leaderboard doctor", "findings with advice"),
        Example("leaderboard doctor --json", "for a program"),
    ),
    run=run,
)
