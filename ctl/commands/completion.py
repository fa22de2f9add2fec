"""`leaderboard completion`: a completion script for a shell."""

from __future__ import annotations

from typing import Final

import shtab

from ctl.command import Command, Example, Invocation, argument


def run(call: Invocation) -> int:
    """Print the script on stdout. Reads no settings: it also works where one is wrong."""
    print(shtab.complete(call.parser, call.arguments.shell))
    return 0


COMMAND: Final = Command(
    name="completion",
    summary="Print a completion script for a shell.",
    arguments=(argument("shell", choices=("bash", "zsh", "fish")),),
    examples=(
        Example("leaderboard completion bash > /etc/bash_completion.d/leaderboard", "for all users"),
        Example("leaderboard completion zsh > ~/.zfunc/_leaderboard", "for yourself"),
    ),
    run=run,
)
