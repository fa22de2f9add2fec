"""`leaderboard demo`: simulated players that submit to seasons of several kinds, and the live boards."""

from __future__ import annotations

import http.client
import os
import queue
import random
import threading
import time
from contextlib import nullcontext
from typing import Any, Final, NamedTuple

import msgspec

from board.errors import ServerUnreachable, UsageError
from board.process.beats import Beat
from ctl import output
from ctl.command import Command, Example, Invocation, argument
from ctl.demo_seasons import PLAIN, DemoSeason, choose_season, define_seasons
from ctl.http_client import Client

CLIENTS: Final = 8
QUEUED_MOST: Final = 1_000
REFRESH_S: Final = 0.25
STEP_MOST_S: Final = 0.02
JOIN_WITHIN_S: Final = 10
READY_LOOK_S: Final = 0.2
SHOWN: Final = 10
SHOWN_BESIDE: Final = 3
"""Players of each season beside the plain one."""
COLUMNS: Final = (output.Column("rank", number=True), output.Column("player"), output.Column("score", number=True))
FIRST: Final = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Radia", "Leslie", "Tony", "Frances")
SECOND: Final = ("Fox", "Owl", "Lynx", "Wolf", "Crane", "Otter", "Raven", "Heron", "Badger", "Falcon")


class ShownEntry(msgspec.Struct):
    """A player on the board, with any id."""

    userId: str
    score: int
    rank: int


class ShownTop(msgspec.Struct):
    """The answer of `getTop`, as far as it is shown."""

    items: list[ShownEntry]


class Move(NamedTuple):
    """One submission to make."""

    path: str
    body: dict[str, Any]


class Tally:
    """Counts of answers, shared by the client threads."""

    def __init__(self) -> None:
        self.lock: Final = threading.Lock()
        self.accepted = 0
        self.refused = 0
        self.last_refusal = ""

    def count(self, status: int, body: bytes) -> None:
        """Count one answer; every status but 202 is a refusal, 0 stands for no answer."""
        with self.lock:
            if status == 202:
                self.accepted += 1
            else:
                self.refused += 1
                self.last_refusal = body.decode("utf-8", "replace")[:120]


def run(call: Invocation) -> int:
    """Play until Ctrl-C or `--seconds`; 3 if a submission was refused or none was accepted.

    Raises `ServerUnreachable` and, for wrong arguments or a key without the scopes, `UsageError`.
    """
    s, args = call.settings(), call.arguments
    url = args.url or f"http://{s.bind}"
    if args.players < 1 or args.rate <= 0:
        raise UsageError("--players and --rate must be positive")
    viewer = Client(url, s.key)
    beat = Beat.inherit(os.environ)
    wait_until_ready(viewer, args.wait, beat)
    check_server(viewer, url, args.season)
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(2**32)
    rng = random.Random(seed)
    seasons, left_out = define_seasons(viewer, args.season)
    if left_out:
        output.note(left_out)
    players = make_names(args.players, rng)
    skill = {name: rng.uniform(0.2, 2.0) for name in players}
    moves: queue.Queue[Move | None] = queue.Queue(maxsize=QUEUED_MOST)
    tally = Tally()
    threads = [
        threading.Thread(target=submit_moves, args=(url, s.key, moves, tally), daemon=True) for _ in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    started = time.monotonic()
    queued = 0
    shows = not (args.json or args.quiet)
    try:
        with output.make_live(output.stderr) if shows else nullcontext() as live:
            shown_at = 0.0
            while args.seconds is None or time.monotonic() - started < args.seconds:
                beat.give()
                while queued < (time.monotonic() - started) * args.rate:
                    name, chosen = rng.choice(players), choose_season(seasons, rng)
                    moves.put(Move(f"{chosen.path}/scores", chosen.make_move(name, rng, skill[name])))
                    queued += 1
                if live is not None and time.monotonic() - shown_at > REFRESH_S:
                    shown_at = time.monotonic()
                    output.show(live, *render(viewer, seasons, tally, shown_at - started, seed))
                time.sleep(min(STEP_MOST_S, 1 / args.rate))
    except KeyboardInterrupt:
        pass
    for _ in threads:
        moves.put(None)
    for thread in threads:
        thread.join(JOIN_WITHIN_S)
    seconds = time.monotonic() - started
    if args.json:
        output.print_json(
            {
                "season": args.season,
                "seasons": [one.season for one in seasons],
                "seed": seed,
                "seconds": round(seconds, 2),
                "accepted": tally.accepted,
                "refused": tally.refused,
            }
        )
    else:
        output.note(f"{tally.accepted:,} submissions accepted, {tally.refused:,} refused in {seconds:.1f} s")
    return 0 if tally.accepted and not tally.refused else 3


def wait_until_ready(viewer: Client, seconds: float, beat: Beat) -> None:
    """Wait until the server is ready, `seconds` at most, and give signs of life meanwhile."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not is_ready(viewer):
        beat.give()
        time.sleep(READY_LOOK_S)


def is_ready(viewer: Client) -> bool:
    """Whether the server answers and is ready."""
    try:
        return viewer.ask("GET", "/readyz")[0] == http.client.OK
    except (OSError, http.client.HTTPException):
        return False


def check_server(viewer: Client, url: str, season: str) -> None:
    """Raise `ServerUnreachable` unless the server is ready, `UsageError` if it does not accept the key for reads."""
    try:
        status, body = viewer.ask("GET", "/readyz")
        if status != 200:
            raise ServerUnreachable(f"the leaderboard at {url} is not ready: {body.decode('utf-8', 'replace')[:200]}")
        status, body = viewer.ask("GET", f"{DemoSeason(season, PLAIN).path}/leaderboard/top?limit=1")
    except (OSError, http.client.HTTPException) as error:
        raise ServerUnreachable(f"no leaderboard at {url}: {error}; start one with `leaderboard run`") from error
    if status in (401, 403):
        text = body.decode("utf-8", "replace")[:300]
        raise UsageError(f"set LEADERBOARD_KEY to a key with the scopes read and submit; {url} says {text}")


def submit_moves(url: str, key: str, moves: queue.Queue[Move | None], tally: Tally) -> None:
    """The body of a client thread: submit moves until None comes."""
    client = Client(url, key)
    while (move := moves.get()) is not None:
        try:
            tally.count(*client.ask("POST", move.path, move.body))
        except (OSError, http.client.HTTPException) as error:
            tally.count(0, str(error).encode())


def render(viewer: Client, seasons: list[DemoSeason], tally: Tally, seconds: float, seed: int) -> list[output.Block]:
    """The best players of each season now, and the counts after `seconds` of play."""
    tables = [render_board(viewer, one, SHOWN_BESIDE if one.kind.suffix else SHOWN) for one in seasons]
    rate = tally.accepted / max(seconds, 0.001)
    line = f"{tally.accepted:,} accepted ({rate:,.0f}/s), {tally.refused:,} refused; seed {seed}; Ctrl-C ends"
    lines = [line, tally.last_refusal] if tally.refused else [line]
    return [*tables, *map(output.make_text, lines)]


def render_board(viewer: Client, one: DemoSeason, limit: int) -> output.Block:
    """The first players of a season."""
    rows: list[tuple[str, str, str]] = []
    caption = ""
    try:
        status, body = viewer.ask("GET", f"{one.path}/leaderboard/top?limit={limit}")
        items = msgspec.json.decode(body, type=ShownTop).items if status == 200 else []
        rows = [(str(item.rank), item.userId, one.format_score(item.score)) for item in items]
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        caption = f"no board: {error}"
    title = f"season {one.season}" + (f": {one.kind.title}" if one.kind.title else "")
    return output.make_table(COLUMNS, rows, title=title, caption=caption)


def make_names(count: int, rng: random.Random) -> list[str]:
    """`count` different player names."""
    return [f"{rng.choice(FIRST)} {rng.choice(SECOND)} {n}" for n in range(count)]


COMMAND: Final = Command(
    name="demo",
    summary="Simulate players of several kinds of seasons on a running server.",
    arguments=(
        argument("--url", default=None, metavar="URL", help="the server (http:// and LEADERBOARD_BIND)"),
        argument(
            "--season",
            default="demo",
            metavar="S",
            help="plain season to play in (demo); others get its name as a beginning",
        ),
        argument("--players", type=int, default=200, metavar="N", help="number of players (200)"),
        argument("--rate", type=float, default=100.0, metavar="R", help="submissions a second (100)"),
        argument("--seconds", type=float, default=None, metavar="S", help="stop after this time (Ctrl-C)"),
        argument("--wait", type=float, default=0.0, metavar="S", help="wait for the server to be ready (0)"),
        argument("--seed", type=int, default=None, metavar="N", help="play the same game again"),
        argument("--quiet", action="store_true", help="no live board"),
        argument("--json", action="store_true", help="no live board; print the final figures as JSON"),
    ),
    examples=(
        Example("leaderboard demo", "on this machine's server, until Ctrl-C"),
        Example("leaderboard demo --players 1000 --rate 500 --seconds 30 --json", "half a minute, figures only"),
        Example(
            "LEADERBOARD_KEY=lb_4fT9s0aKqZ_... leaderboard demo --url http://10.0.0.5:8080",
            "on a server that wants a key",
        ),
    ),
    run=run,
)
