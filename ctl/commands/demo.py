"""`leaderboard demo`: simulated players that submit to a running server, and the live board."""

from __future__ import annotations

import http.client
import queue
import random
import threading
import time
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec

from board.errors import ServerUnreachable, UsageError
from ctl import output
from ctl.command import Command, Example, Invocation, argument
from ctl.http_client import Client

CLIENTS: Final = 8
QUEUED_MOST: Final = 1_000
REFRESH_S: Final = 0.25
STEP_MOST_S: Final = 0.02
JOIN_WITHIN_S: Final = 10
SHOWN: Final = 10
COLUMNS: Final = (output.Column("rank", number=True), output.Column("player"), output.Column("score", number=True))
FIRST: Final = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Radia", "Leslie", "Tony", "Frances")
SECOND: Final = ("Fox", "Owl", "Lynx", "Wolf", "Crane", "Otter", "Raven", "Heron", "Badger", "Falcon")


class ShownEntry(msgspec.Struct):
    """A player on the board, with any id."""

    userId: str
    score: int


class ShownTop(msgspec.Struct):
    """The answer of `getTop`, as far as it is shown."""

    items: list[ShownEntry]


class Move(NamedTuple):
    """One submission to make."""

    user: str
    delta: int


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
    check_server(viewer, url, args.season)
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(2**32)
    rng = random.Random(seed)
    players = make_names(args.players, rng)
    skill = {name: rng.uniform(0.2, 2.0) for name in players}
    moves: queue.Queue[Move | None] = queue.Queue(maxsize=QUEUED_MOST)
    tally = Tally()
    threads = [
        threading.Thread(target=submit_moves, args=(url, s.key, args.season, moves, tally), daemon=True)
        for _ in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    started = time.monotonic()
    queued = 0
    try:
        with output.make_live(output.stderr, transient=args.json) as live:
            shown_at = 0.0
            while args.seconds is None or time.monotonic() - started < args.seconds:
                while queued < (time.monotonic() - started) * args.rate:
                    name = rng.choice(players)
                    moves.put(Move(name, max(1, int(rng.expovariate(0.01) * skill[name]))))
                    queued += 1
                if not args.json and time.monotonic() - shown_at > REFRESH_S:
                    shown_at = time.monotonic()
                    output.show(live, *render(viewer, args.season, tally, shown_at - started, seed))
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
                "seed": seed,
                "seconds": round(seconds, 2),
                "accepted": tally.accepted,
                "refused": tally.refused,
            }
        )
    else:
        output.note(f"{tally.accepted:,} submissions accepted, {tally.refused:,} refused in {seconds:.1f} s")
    return 0 if tally.accepted and not tally.refused else 3


def check_server(viewer: Client, url: str, season: str) -> None:
    """Raise `ServerUnreachable` unless the server is ready, `UsageError` if it does not accept the key for reads."""
    try:
        status, body = viewer.ask("GET", "/readyz")
        if status != 200:
            raise ServerUnreachable(f"the leaderboard at {url} is not ready: {body.decode('utf-8', 'replace')[:200]}")
        status, body = viewer.ask("GET", top_path(season, 1))
    except (OSError, http.client.HTTPException) as error:
        raise ServerUnreachable(f"no leaderboard at {url}: {error}; start one with `leaderboard run`") from error
    if status in (401, 403):
        text = body.decode("utf-8", "replace")[:300]
        raise UsageError(f"set LEADERBOARD_KEY to a key with the scopes read and submit; {url} says {text}")


def submit_moves(url: str, key: str, season: str, moves: queue.Queue[Move | None], tally: Tally) -> None:
    """The body of a client thread: submit moves until None comes."""
    client = Client(url, key)
    path = f"/v1/seasons/{quote(season, safe='')}/scores"
    while (move := moves.get()) is not None:
        try:
            tally.count(*client.ask("POST", path, {"userId": move.user, "delta": move.delta}))
        except (OSError, http.client.HTTPException) as error:
            tally.count(0, str(error).encode())


def render(viewer: Client, season: str, tally: Tally, seconds: float, seed: int) -> list[output.Block]:
    """The present top ten, and the counts after `seconds` of play."""
    rows: list[tuple[str, str, str]] = []
    caption = ""
    try:
        status, body = viewer.ask("GET", top_path(season, SHOWN))
        items = msgspec.json.decode(body, type=ShownTop).items if status == 200 else []
        rows = [(str(rank), item.userId, f"{item.score:,}") for rank, item in enumerate(items, 1)]
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        caption = f"no board: {error}"
    table = output.make_table(COLUMNS, rows, title=f"season {season}", caption=caption)
    rate = tally.accepted / max(seconds, 0.001)
    line = f"{tally.accepted:,} accepted ({rate:,.0f}/s), {tally.refused:,} refused; seed {seed}; Ctrl-C ends"
    lines = [line, tally.last_refusal] if tally.refused else [line]
    return [table, *map(output.make_text, lines)]


def top_path(season: str, limit: int) -> str:
    """The path of a season's best players."""
    return f"/v1/seasons/{quote(season, safe='')}/leaderboard/top?limit={limit}"


def make_names(count: int, rng: random.Random) -> list[str]:
    """`count` different player names."""
    return [f"{rng.choice(FIRST)} {rng.choice(SECOND)} {n}" for n in range(count)]


COMMAND: Final = Command(
    name="demo",
    summary="Simulate players that submit to a running server.",
    arguments=(
        argument("--url", default=None, metavar="URL", help="the server (http:// and LEADERBOARD_BIND)"),
        argument("--season", default="demo", metavar="S", help="season to play in (demo)"),
        argument("--players", type=int, default=200, metavar="N", help="number of players (200)"),
        argument("--rate", type=float, default=100.0, metavar="R", help="submissions a second (100)"),
        argument("--seconds", type=float, default=None, metavar="S", help="stop after this time (Ctrl-C)"),
        argument("--seed", type=int, default=None, metavar="N", help="play the same game again"),
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
