"""`leaderboard top`: the best players of a season, once or as they change."""

from __future__ import annotations

import http.client
import time
from typing import Final
from urllib.parse import quote

import msgspec

from board.errors import ServerUnreachable, UsageError
from ctl import output
from ctl.command import Command, Example, Invocation, argument
from ctl.http_client import Client

WAIT_S: Final = 4
"""Seconds for which the server waits for a change; the client gives up after five."""
AGAIN_S: Final = 1.0
LIMIT_MOST: Final = 1_000
COLUMNS: Final = (output.Column("rank", number=True), output.Column("player"), output.Column("score", number=True))


class Row(msgspec.Struct):
    """A row of the board."""

    rank: int
    userId: str
    score: int
    displayName: str | msgspec.UnsetType = msgspec.UNSET


class Top(msgspec.Struct):
    """The answer of `getTop`, as far as it is shown."""

    items: list[Row]
    total: int
    asOf: str


class Problem(msgspec.Struct):
    """A refusal, as far as it is shown."""

    detail: str
    code: str


def run(call: Invocation) -> int:
    """Show the board. Raises `ServerUnreachable`, and `UsageError` for a request that the server refuses."""
    s, args = call.settings(), call.arguments
    if not 1 <= args.limit <= LIMIT_MOST:
        raise UsageError(f"--limit must be from 1 to {LIMIT_MOST:,}")
    url = args.url or f"http://{s.bind}"
    client = Client(url, s.key)
    path = f"/v1/seasons/{quote(args.season, safe='')}/leaderboard/top?limit={args.limit}"
    try:
        top = read(client, path)
    except (OSError, http.client.HTTPException) as error:
        raise ServerUnreachable(f"no leaderboard at {url}: {error}; start one with `leaderboard run`") from error
    assert top is not None
    if args.json:
        return follow_as_json(client, path, top, live=args.live)
    if not args.live:
        output.print_parts(*render(args.season, top))
        return 0
    try:
        with output.redrawing() as draw:
            state, drawn = (top, ""), None
            while True:
                if state != drawn:
                    draw(*render(args.season, *state))
                    drawn = state
                state = wait_for_change(client, path, state[0])
    except KeyboardInterrupt:
        return 0


def follow_as_json(client: Client, path: str, top: Top, *, live: bool) -> int:
    """Print the board as a line of JSON, and with `live` a further line for each change."""
    try:
        while True:
            output.print_json_line(top)
            if not live:
                return 0
            before = top.asOf
            while top.asOf == before:
                top, _ = wait_for_change(client, path, top)
    except KeyboardInterrupt:
        return 0


def read(client: Client, path: str, since: str | None = None) -> Top | None:
    """Read the board; None if it has not changed `since`. Raises `UsageError` for a request that is refused."""
    if since is None:
        status, body = client.ask("GET", path)
    else:
        status, body = client.ask("GET", f"{path}&since={quote(since)}", None, {"Prefer": f"wait={WAIT_S}"})
    if status == 304:
        return None
    if status >= 500 or (status == 429 and since is not None):
        raise http.client.HTTPException(body.decode("utf-8", "replace")[:200])
    if status != 200:
        raise UsageError(f"the server says: {describe(body)}")
    return msgspec.json.decode(body, type=Top)


def describe(body: bytes) -> str:
    """The text of a problem for people, with its code; another body as it is."""
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except msgspec.MsgspecError:
        return body.decode("utf-8", "replace")[:300]
    return f"{problem.detail} ({problem.code})"


def wait_for_change(client: Client, path: str, top: Top) -> tuple[Top, str]:
    """Wait for a change, for some seconds at most; the board, and the trouble if the server did not answer."""
    try:
        return read(client, path, top.asOf) or top, ""
    except (OSError, http.client.HTTPException) as error:
        time.sleep(AGAIN_S)
        return top, f"no answer, trying again: {error}"


def shown_name(row: Row) -> str:
    """The player's name, or the id of one without."""
    return row.userId if row.displayName is msgspec.UNSET else row.displayName


def render(season: str, top: Top, trouble: str = "") -> list[output.Block]:
    """The board as a table."""
    rows = [(f"{row.rank:,}", shown_name(row), f"{row.score:,}") for row in top.items]
    caption = trouble or f"{top.total:,} players"
    return [output.make_table(COLUMNS, rows, title=f"season {season}", caption=caption)]


COMMAND: Final = Command(
    name="top",
    summary="Show the best players of a season.",
    arguments=(
        argument("season", metavar="SEASON", help="the season"),
        argument("--limit", type=int, default=10, metavar="N", help="number of players (10)"),
        argument("--live", action="store_true", help="draw the board anew whenever it changes, until Ctrl-C"),
        argument("--url", default=None, metavar="URL", help="the server (http:// and LEADERBOARD_BIND)"),
        argument("--json", action="store_true", help="one line of JSON, with --live one for each change"),
    ),
    examples=(
        Example("leaderboard top spring", "the best ten"),
        Example("leaderboard top spring --limit 25 --live", "as they change, until Ctrl-C"),
    ),
    run=run,
)
