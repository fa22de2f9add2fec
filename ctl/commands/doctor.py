"""`leaderboard doctor`: an installation checked; each finding with advice."""

from __future__ import annotations

from typing import Final

from ctl import output
from ctl.command import JSON, Command, Example, Invocation
from ctl.diagnosis.examine import examine
from ctl.diagnosis.finding import Severity

COLOURS: Final[dict[Severity, str]] = {"ok": "green", "info": "cyan", "warning": "yellow", "error": "red"}
COLUMNS: Final = tuple(map(output.Column, ("check", "", "found", "advice")))


def run(call: Invocation) -> int:
    """Print all findings; 1 if one is an error, else 0."""
    findings = list(examine(call.settings()))
    healthy = not any(f.severity == "error" for f in findings)
    if call.arguments.json:
        output.print_json({"healthy": healthy, "findings": findings})
    else:
        rows = [(f.check, output.make_text(f.severity, COLOURS[f.severity]), f.found, f.advice) for f in findings]
        output.print_parts(output.make_table(COLUMNS, rows))
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
