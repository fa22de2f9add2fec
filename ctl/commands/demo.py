"""`leaderboard demo`: simulated players that submit to a running server, and the board as it lives."""

from __future__ import annotations

import argparse
import http.client
import json
import queue
import random
import threading
import time
from typing import Any, Final
from urllib.parse import quote, urlsplit

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from board.config.settings import Settings
from board.errors import ServerUnreachable, UsageError
from ctl import output

CLIENTS: Final = 8
FIRST: Final = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Radia", "Leslie", "Tony", "Frances")
SECOND: Final = ("Fox", "Owl", "Lynx", "Wolf", "Crane", "Otter", "Raven", "Heron", "Badger", "Falcon")


class Tally:
    """Counts of what the clients got, shared by their threads."""

    def __init__(self) -> None:
        self.lock: Final = threading.Lock()
        self.accepted = 0
        self.refused = 0
        self.last_refusal = ""

    def note(self, status: int, body: bytes) -> None:
        """One answer."""
        with self.lock:
            if status == 202:
                self.accepted += 1
            else:
                self.refused += 1
                self.last_refusal = body.decode("utf-8", "replace")[:120]


def names(count: int, rng: random.Random) -> list[str]:
    """That many player names."""
    return [f"{rng.choice(FIRST)} {rng.choice(SECOND)} {n}" for n in range(count)]


class Client:
    """One keep-alive connection to the server."""

    def __init__(self, url: str, key: str = "") -> None:
        self.headers: Final = {"Authorization": f"Bearer {key}"} if key else {}
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise UsageError(f"--url must be http://host:port, not {url!r}")
        self.connection: Final = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=5)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """One request. Raises OSError or http.client.HTTPException when there is no answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = self.headers if body is None else {**self.headers, "Content-Type": "application/json"}
        try:
            self.connection.request(method, path, data, headers)
            answer = self.connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            raise


def play(url: str, key: str, season: str, moves: queue.Queue[tuple[str, int] | None], tally: Tally) -> None:
    """A client thread: post moves until there are no more."""
    client = Client(url, key)
    path = f"/v1/seasons/{quote(season, safe='')}/scores"
    while (move := moves.get()) is not None:
        try:
            tally.note(*client.ask("POST", path, {"userId": move[0], "delta": move[1]}))
        except (OSError, http.client.HTTPException) as error:
            tally.note(0, str(error).encode())


def command(s: Settings, args: argparse.Namespace) -> int:
    """Play until Ctrl-C or the time is up; the exit status is 3 if the server could not be reached."""
    url = args.url or f"http://{s.bind}"
    if args.players < 1 or args.rate <= 0:
        raise UsageError("--players and --rate must be positive")
    viewer = Client(url, s.key)
    try:
        status, body = viewer.ask("GET", "/readyz")
    except (OSError, http.client.HTTPException) as error:
        raise ServerUnreachable(f"no leaderboard at {url}: {error}; start one with `leaderboard run`") from error
    if status != 200:
        raise ServerUnreachable(f"the leaderboard at {url} is not ready: {body.decode('utf-8', 'replace')[:200]}")
    status, body = viewer.ask("GET", f"/v1/seasons/{quote(args.season, safe='')}/leaderboard/top?limit=1")
    if status in (401, 403):
        text = body.decode("utf-8", "replace")[:300]
        raise UsageError(f"set LEADERBOARD_KEY to a key with the scopes read and submit; {url} says {text}")
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(2**32)
    rng = random.Random(seed)
    players = names(args.players, rng)
    skill = {name: rng.uniform(0.2, 2.0) for name in players}
    moves: queue.Queue[tuple[str, int] | None] = queue.Queue(maxsize=1_000)
    tally = Tally()
    threads = [
        threading.Thread(target=play, args=(url, s.key, args.season, moves, tally), daemon=True) for _ in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    started = time.monotonic()
    made = 0
    try:
        with Live(console=output.stderr, auto_refresh=False, transient=args.json) as live:
            shown_at = 0.0
            while args.seconds is None or time.monotonic() - started < args.seconds:
                while made < (time.monotonic() - started) * args.rate:
                    name = rng.choice(players)
                    moves.put((name, max(1, int(rng.expovariate(0.01) * skill[name]))))
                    made += 1
                if not args.json and time.monotonic() - shown_at > 0.25:
                    shown_at = time.monotonic()
                    live.update(board(viewer, args.season, tally, shown_at - started, seed), refresh=True)
                time.sleep(min(0.02, 1 / args.rate))
    except KeyboardInterrupt:
        pass
    for _ in threads:
        moves.put(None)
    for thread in threads:
        thread.join(10)
    seconds = time.monotonic() - started
    result = {
        "season": args.season, "seed": seed, "seconds": round(seconds, 2),
        "accepted": tally.accepted, "refused": tally.refused,
    }  # fmt: skip
    if args.json:
        output.json(result)
    else:
        output.note(f"{tally.accepted:,} submissions accepted, {tally.refused:,} refused in {seconds:.1f} s")
    return 0 if tally.accepted and not tally.refused else 3


def board(viewer: Client, season: str, tally: Tally, seconds: float, seed: int) -> Group:
    """The top ten as they are now."""
    table = Table(title=f"season {season}", header_style="bold", min_width=48)
    table.add_column("rank", justify="right")
    table.add_column("player")
    table.add_column("score", justify="right")
    try:
        status, body = viewer.ask("GET", f"/v1/seasons/{quote(season, safe='')}/leaderboard/top?limit=10")
        for rank, item in enumerate(json.loads(body)["items"] if status == 200 else [], 1):
            table.add_row(str(rank), item["userId"], f"{item['score']:,}")
    except (OSError, http.client.HTTPException) as error:
        table.caption = f"no board: {error}"
    rate = tally.accepted / max(seconds, 0.001)
    line = f"{tally.accepted:,} accepted ({rate:,.0f}/s), {tally.refused:,} refused; seed {seed}; Ctrl-C ends"
    return Group(table, Text(line if not tally.refused else f"{line}\n{tally.last_refusal}"))
