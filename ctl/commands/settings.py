"""`leaderboard settings`: the settings in force."""

from __future__ import annotations

from typing import Final

from _speedups import IMPLEMENTATION
from board.config.shown import shown
from ctl import output
from ctl.command import JSON, Command, Example, Invocation


def run(call: Invocation) -> int:
    """Print all settings, secrets masked."""
    s = call.settings()
    if call.arguments.json:
        output.print_json({**dict(shown(s)), "kernels": IMPLEMENTATION})
    else:
        output.print_settings(s, to_stdout=True)
    return 0


COMMAND: Final = Command(
    name="settings",
    summary="Show the settings in force, secrets masked.",
    arguments=(JSON,),
    examples=(
        Example("leaderboard settings", "every setting and its value here"),
        Example("leaderboard settings --json", "for a program"),
    ),
    run=run,
)
