"""`leaderboard rebuild`: boards in Redis loaded again from PostgreSQL."""

from __future__ import annotations

from typing import Final

from ctl import output
from ctl.board_rebuild import rebuild_boards
from ctl.command import JSON, Command, Example, Invocation, OneOf, argument
from ctl.connections import check_servers


def run(call: Invocation) -> int:
    """Rebuild one season, or all of them. Raises `UsageError` for a season that does not exist."""
    s, args = call.settings(), call.arguments
    check_servers(s)
    result = rebuild_boards(s, args.season, quiet=args.json)
    if args.json:
        output.print_json(result)
    else:
        output.note(result.describe())
    return 0


COMMAND: Final = Command(
    name="rebuild",
    summary="Load boards into Redis again from PostgreSQL, and swap them in at once.",
    arguments=(
        OneOf(
            (
                argument("--season", metavar="S", help="this season; its whole partition where Redis has lost that"),
                argument("--all", action="store_true", help="every partition"),
            )
        ),
        JSON,
    ),
    examples=(
        Example("leaderboard rebuild --season spring", "one board that looks wrong"),
        Example("leaderboard rebuild --all", "every board; reads get the old ones meanwhile"),
    ),
    run=run,
)
