"""The rows of ``python -m bench --peer PROGRAM``: ours and the original in turn, in one run, on the same machine.

Each side has a PostgreSQL and a Redis of its own. Only the side that is measured runs its processes. Each round fills
both boards with the same players before the reads: a board with holes answers 404 quickly, and looks faster than it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from typing import Final, Self

import msgspec

from bench.rows import calibration
from bench.rows.catalog import PEER
from bench.rows.figures import Measure, Results
from bench.rows.remote_server import SCORE_VALUES, UNSENT, RemoteBoard
from bench.rows.submit import BATCH
from bench.system.peer import Peer
from bench.system.run_options import RunOptions
from bench.system.totals import compare_counts, read_season_totals
from board.errors import ServerUnreachable, UsageError
from ctl.http_client import Client

READS: Final = ("top10", "top100", "rank", "around")
NAMES: Final = ("post", *READS)
WARM_S: Final = 1


class Ours:
    """This system as a side. Entering starts its servers."""

    def __init__(self, options: RunOptions) -> None:
        self.stack: Final = options.stack()

    def __enter__(self) -> Self:
        self.stack.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.__exit__(*error)

    @property
    def url(self) -> str:
        """Address of the API."""
        return self.stack.url

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run relays and API during the block."""
        with self.stack.relays(), self.stack.api():
            yield

    def checkpoint(self) -> None:
        """Write all dirty pages, so that a measurement does not pay for earlier writes."""
        self.stack.checkpoint()

    def fill(self, season: str, players: int, values: int) -> None:
        """Give players 0 to `players` - 1 the scores n % `values` + 1, by batches. Raises `ServerUnreachable`."""
        with closing(Client(self.url, self.stack.settings.key)) as client:
            for first in range(0, players, BATCH):
                numbers = range(first, min(first + BATCH, players))
                submissions = [{"userId": f"player-{n}", "delta": n % values + 1} for n in numbers]
                status, _ = client.ask("POST", f"/v1/seasons/{season}/scores/batch", {"submissions": submissions})
                if status != 200:
                    raise ServerUnreachable(f"a batch is answered {status}")
        self.wait_until_empty()

    def wait_until_empty(self) -> None:
        """Wait until the relays have applied everything."""
        self.stack.wait_until_empty()

    def count_rows(self, season: str) -> int:
        """Number of submissions of a season in PostgreSQL."""
        return read_season_totals(self.stack, season).ledger


Side = Ours | Peer


def measure_round(options: RunOptions, wanted: Collection[str]) -> Results:
    """Measure each row of `wanted` on both sides; the one that begins alternates with the seed.

    Raises `ChildFailed`, `ServerUnreachable` and `UsageError`.
    """
    calibrations = [name for name in calibration.NAMES if name in wanted]
    if calibrations:
        yield from calibration.measure(options, calibrations)
    if options.peer is None:
        raise UsageError("the program of the original is not given")
    with Peer(options, options.peer) as peer, Ours(options) as ours:
        sides: list[tuple[str, Side]] = [("", ours), (PEER, peer)]
        if options.seed % 2:
            sides.reverse()
        if "post" in wanted:
            for prefix, side in sides:
                with side.running():
                    yield f"{prefix}post", measure_posts(options, side)
        boards = {prefix: fill_board(options, side) for prefix, side in sides if set(READS) & set(wanted)}
        for name in READS:
            if name in wanted:
                for prefix, side in sides:
                    with side.running():
                        yield f"{prefix}{name}", measure_reads(boards[prefix], name)


def at_side(options: RunOptions, side: Side, seconds: int) -> RunOptions:
    """The options of a load on one side."""
    key = side.stack.settings.key if isinstance(side, Ours) else ""
    settings = msgspec.structs.replace(options.settings, key=key)
    return msgspec.structs.replace(options, against=side.url, seconds=seconds, settings=settings)


def measure_posts(options: RunOptions, side: Side) -> Measure:
    """``post``: a new player each time. The rows in PostgreSQL are counted, and sampled ranks are checked."""
    for seconds in (WARM_S, options.seconds):
        mine = at_side(options, side, seconds)
        with closing(Client(side.url, mine.settings.key)) as client:
            board = RemoteBoard(mine, client)
            side.checkpoint()
            done = board.post()
        side.wait_until_empty()
    # The two first players are submitted apart from the load.
    faults = compare_counts(side.count_rows(board.season) - UNSENT, board.players - UNSENT, int(done.figures["errors"]))
    checks = (*done.checks, f"{board.players:,} accepted are rows in PostgreSQL")
    return msgspec.structs.replace(done, checks=() if faults else checks, faults=(*done.faults, *faults))


def fill_board(options: RunOptions, side: Side) -> RemoteBoard:
    """A board of `options.players` players, complete and checked. Raises `ServerUnreachable`."""
    with side.running():
        mine = at_side(options, side, options.seconds)
        board = RemoteBoard(mine, Client(side.url, mine.settings.key))
        side.fill(board.season, options.players, SCORE_VALUES)
        board.players = options.players
        if faults := board.wait_until_visible() + board.check_samples("rank"):
            raise ServerUnreachable(f"{side.url}: the board could not be filled: {faults[0]}")
        board.client.close()
    return board


def measure_reads(board: RemoteBoard, name: str) -> Measure:
    """One row of reads, after a second of the same load."""
    with closing(board.client):
        warm = RemoteBoard(msgspec.structs.replace(board.options, seconds=WARM_S), board.client, board.season)
        warm.players = board.players
        warm.read(name)
        return board.read(name)
