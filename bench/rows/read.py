"""The rows of reads on a board of many players, and the rebuild that writes this board to Redis."""

from __future__ import annotations

import math
import random
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from bench.load import closed_loop
from bench.load.open_loop import OpenLoad, run_in_background
from bench.load.open_loop_result import OpenLoopResult
from bench.rows.figures import Measure, Results
from bench.rows.named import name_of, name_players
from bench.rows.segmented import SEGMENT, SHARE, divide_board
from bench.system.run_options import RunOptions
from bench.system.stack import Stack
from board.partitions import partition_of
from board.pg.queries import queries
from ctl.http_client import Client

SEASON: Final = "board"
PATH: Final = f"/v1/seasons/{SEASON}/leaderboard"
SIDE: Final = 5
"""Range of ``around``: entries on each side of the player."""
PERCENTILE: Final = 95
"""Its score is asked for."""
BUCKETS: Final = 20
"""Buckets of a histogram."""
OFFSET: Final = 10_000
"""Players ahead of a page of the top list."""
PLACED: Final = 50
"""A score that is placed on the board."""
SAMPLES: Final = 40
"""Answers that are checked during a load."""
WARM_S: Final = 1
LOADED_WITHIN_S: Final = 600.0
"""For relays that find rows without hints, and load their board."""
STEP: Final = 20_000
"""Players between two updates of the progress bar."""
LOOKUP: Final = 100
"""Players of a lookup."""
PLAYER: Final = "player-"
"""Player number 0 is player-0."""
OF_PEAK: Final = 0.25
"""The rate of a read whose figure is its p99, as a share of the rate of a closed loop. The generator is on the same
cores: at half of the peak nothing of them is left, and requests wait for each other longer than an answer takes."""


def measure(options: RunOptions, wanted: Collection[str]) -> Results:
    """``rebuild``, and the rows of reads in `wanted`, all on one board."""
    with options.stack() as stack:
        fill_board(stack, options)
        stack.checkpoint()
        loaded = stack.run_command("rebuild", "--season", SEASON)
        with stack.relays():
            faults = stack.find_differences()
            if loaded["players"] != options.players:
                faults.append(f"{loaded['players']} players were rebuilt, not {options.players}")
            if "rebuild" in wanted:
                figures = {"per_s": loaded["players"] / loaded["seconds"], "seconds": loaded["seconds"]}
                checks = (f"{options.players:,} players", "PostgreSQL and Redis are consistent")
                yield "rebuild", Measure(figures, () if faults else checks, tuple(faults))
            reads = [name for name in READS if name in wanted]
            if not reads:
                return
            truth = read_order(stack)
            stack.settle()
            with stack.api() as client:
                # Profiles and segments stay for all reads that follow.
                for name in sorted(reads, key=lambda name: (READS[name].share, READS[name].named)):
                    if READS[name].share > 1 and len(truth.order) == options.players:
                        divide_board(stack, SEASON, [f"{PLAYER}{n}" for n in range(options.players // SHARE)])
                        truth = truth.limit_to(options.players // SHARE)
                    # Every answer comes from the board, so its faults are those of each row.
                    yield name, measure_read(stack, options, name, truth, client, faults)


def fill_board(stack: Stack, options: RunOptions) -> None:
    """Write a season of `options.players` to PostgreSQL. Scores are drawn from half as many values, so many tie."""
    dice, players = random.Random(options.seed), options.players
    with stack.db.transaction():
        stack.db.execute(queries()["create_seasons"], {"seasons": [SEASON], "partitions": [partition_of(SEASON)]})
        period = stack.value("SELECT period_id FROM season WHERE season_id = %s", (SEASON,))
        with stack.db.cursor().copy("COPY score (period_id, user_id, score, reached, submissions) FROM STDIN") as copy:
            for number in range(players):
                if number % STEP == 0:
                    options.progress("players", number, players)
                copy.write_row((period, f"player-{number}", dice.randrange(1, players // 2 + 2), number + 1, 1))
        options.progress("players", players, players)
        stack.db.execute("SELECT setval('submission', %s)", (players,))
    stack.db.execute("ANALYZE score")


def count_players(client: Client) -> int:
    """The players of the board that is shown."""
    _, body = client.ask("GET", f"{PATH}/count")
    return int(msgspec.json.decode(body).get("count", 0))


class ExpectedOrder(msgspec.Struct, frozen=True):
    """The order of PostgreSQL: pairs (player, score), best first, the index of each player, and the rising scores."""

    order: list[tuple[str, int]]
    place: dict[str, int]
    scores: list[int]

    @classmethod
    def of(cls, order: list[tuple[str, int]]) -> ExpectedOrder:
        """The order with what follows from it."""
        return cls(order, {user: at for at, (user, _) in enumerate(order)}, [score for _, score in reversed(order)])

    def limit_to(self, players: int) -> ExpectedOrder:
        """The order of so many players, those with the lowest numbers."""
        order = [(user, score) for user, score in self.order if int(user.removeprefix(PLAYER)) < players]
        return ExpectedOrder.of(order)


def read_order(stack: Stack) -> ExpectedOrder:
    """Read the whole order of the season."""
    order = stack.db.execute(
        "SELECT user_id, score FROM score JOIN season USING (period_id) WHERE season_id = %s"
        " ORDER BY score DESC, reached, user_id",
        (SEASON,),
    ).fetchall()
    return ExpectedOrder.of(order)


class BoardRead(msgspec.Struct, frozen=True):
    """One way to ask the board.

    `path` comes after that of the board. `players` is the number of players that a request names: one ends the path,
    several are in the body. `check` gets the truth, these players and the answer; it returns the difference, or an
    empty text. `before` is the path of a page whose `nextCursor` ends the path; an empty text: there is none. `named`
    are the players, from the best on, that get profiles before. Another `root` may come before the path, and an `end`
    behind the player. One player of `share` is on the board that is asked: with more than one that of a segment. The
    figure of a `paced` read is its p99 at a fixed rate, that of another one the rate of a closed loop.
    """

    path: str
    players: int
    check: Callable[[ExpectedOrder, Sequence[str], dict[str, Any]], str]
    before: str = ""
    named: int = 0
    root: str = PATH
    end: str = ""
    share: int = 1
    paced: bool = False

    def count_players(self, options: RunOptions) -> int:
        """Players of the board that is asked: those with the lowest numbers."""
        return options.players // self.share

    def find_cursor(self, client: Client) -> BoardRead:
        """The read with its whole path."""
        if not self.before:
            return self
        _, body = client.ask("GET", PATH + self.before)
        return msgspec.structs.replace(self, path=self.path + msgspec.json.decode(body)["nextCursor"])

    def ask(self, client: Client, users: Sequence[str]) -> tuple[int, bytes]:
        """Ask about these players; returns status and body."""
        if self.players > 1:
            return client.ask("POST", PATH + self.path, {"userIds": users})
        player = "".join(user.removeprefix(PLAYER) for user in users)
        return client.ask("GET", self.root + self.path + player + self.end)

    def load(
        self, stack: Stack, options: RunOptions, seconds: int, meanwhile: Callable[[], None]
    ) -> closed_loop.LoadResult:
        """Send such requests for `seconds`, about other players each time."""
        count = self.count_players(options)
        players, script, arguments, url = str(count), "get.lua", [], stack.url + PATH + self.path
        stride = str(closed_loop.stride(count))
        if self.players == 1:
            script, arguments, url = "player.lua", [self.root + self.path, self.end, players, stride], stack.url
        elif self.players > 1:
            arguments = [PATH + self.path, str(min(self.players, count)), PLAYER, players, stride]
            script, url = "lookup.lua", stack.url
        return closed_loop.get(
            url, seconds=seconds, connections=options.connections, script=script, arguments=arguments,
            meanwhile=meanwhile, key=stack.settings.key,
        )  # fmt: skip

    def load_paced(
        self, stack: Stack, options: RunOptions, rate: float, meanwhile: Callable[[], None]
    ) -> OpenLoopResult:
        """Send such requests at this rate as long as `meanwhile` takes."""
        count = self.count_players(options)
        load = OpenLoad(
            stack.url, SEASON, rate, options.seed, player=PLAYER if self.players > 1 else "", pool=count,
            key=stack.settings.key, ask=self.root + self.path, players=min(self.players, count),
        )  # fmt: skip
        with run_in_background(load) as done:
            meanwhile()
        return done[0]


def measure_read(
    stack: Stack, options: RunOptions, name: str, truth: ExpectedOrder, client: Client, faults: list[str]
) -> Measure:
    """One row of reads; `SAMPLES` answers are checked against `truth` during the load. `faults`: of the board."""
    read = {**READS, **PAST_READS}[name].find_cursor(client)
    players = range(read.count_players(options))
    dice = random.Random(options.seed)
    wrong: list[str] = []

    def sample() -> None:
        for _ in range(SAMPLES):
            users = [f"{PLAYER}{n}" for n in dice.sample(players, min(read.players, len(players)))]
            status, body = read.ask(client, users)
            if status != 200:
                wrong.append(f"{read.root}{read.path} answers {status}")
            elif fault := read.check(truth, users, msgspec.json.decode(body)):
                wrong.append(f"{read.root}{read.path}: {fault}")
            time.sleep(options.seconds / SAMPLES if read.paced else options.seconds / (2 * SAMPLES))

    if read.named:
        best = [user for user, _ in truth.order[: read.named]]
        name_players(stack, best, lambda: not read.check(truth, (), msgspec.json.decode(read.ask(client, ())[1])))
    read.load(stack, options, WARM_S, closed_loop.do_nothing)
    seconds = max(2, options.seconds // 2) if read.paced else options.seconds
    done = read.load(stack, options, seconds, closed_loop.do_nothing if read.paced else sample)
    figures, answers, errors, invalid = done.figures(), done.answers, done.errors, ""
    if read.paced:
        peak = figures["per_s"]
        paced = read.load_paced(stack, options, OF_PEAK * peak, sample)
        figures = {**paced.figures(), "peak_per_s": peak}
        answers, errors, invalid = answers + paced.offered, errors + paced.errors, paced.invalid()
    found = [*faults, *wrong[:3]]
    if errors or not answers:
        found.append(f"{errors} of {answers} answers were errors")
    checks = (f"{SAMPLES} answers sampled under load are PostgreSQL's",)
    return Measure(figures, () if found else checks, tuple(found), invalid=invalid)


def check_top(limit: int, truth: ExpectedOrder, users: Sequence[str], answer: dict[str, Any]) -> str:
    """How a list of the first `limit` players differs from PostgreSQL; empty when it is right."""
    items = [(item["userId"], item["score"]) for item in answer["items"]]
    expected = truth.order[:limit]
    if len(items) != len(expected):
        return f"{len(items)} players instead of {len(expected)}"
    return "" if items == expected else f"{items[:3]}… instead of {expected[:3]}…"


def check_names(limit: int, truth: ExpectedOrder, users: Sequence[str], answer: dict[str, Any]) -> str:
    """How a list of players with names differs from PostgreSQL; empty when it is right."""
    for item in answer["items"]:
        if item.get("displayName") != name_of(item["userId"]):
            return f"{item} has another name"
    return check_top(limit, truth, users, answer)


def check_page(first: int, truth: ExpectedOrder, users: Sequence[str], answer: dict[str, Any]) -> str:
    """How a page of ten players after the `first` ones differs from PostgreSQL; empty when it is right."""
    items = [(item["userId"], item["score"]) for item in answer["items"]]
    expected = truth.order[first : first + 10]
    return "" if items == expected else f"{items[:3]}… instead of {expected[:3]}…"


def check_rank(truth: ExpectedOrder, users: Sequence[str], answer: dict[str, Any]) -> str:
    """How the answer for a rank differs from PostgreSQL; empty when it is right."""
    (user,) = users
    at = truth.place[user]
    expected = (user, at + 1, truth.order[at][1])
    got = (answer["userId"], answer["rank"], answer["score"])
    return "" if got == expected else f"{got} instead of {expected}"


def check_standings(truth: ExpectedOrder, users: Sequence[str], answer: dict[str, Any]) -> str:
    """How the answer for a player's seasons differs from PostgreSQL; empty when it is right."""
    at = truth.place[users[0]]
    expected = [(SEASON, at + 1, truth.order[at][1])]
    got = [(item["seasonId"], item["rank"], item["score"]) for item in answer["items"]]
    return "" if got == expected else f"{got} instead of {expected}"


def check_around(truth: ExpectedOrder, users: Sequence[str], answer: dict[str, Any]) -> str:
    """How the answer for a window differs from PostgreSQL; empty when it is right."""
    at = truth.place[users[0]]
    first = max(0, at - SIDE)
    expected = [(n + 1, *truth.order[n]) for n in range(first, min(len(truth.order), at + SIDE + 1))]
    got = [(item["rank"], item["userId"], item["score"]) for item in answer["items"]]
    return "" if got == expected else f"{got} instead of {expected}"


def check_filled(truth: ExpectedOrder, users: Sequence[str], answer: dict[str, Any]) -> str:
    """How the answer for a full window differs from PostgreSQL; empty when it is right."""
    rows = 2 * SIDE + 1
    first = max(0, min(truth.place[users[0]] - SIDE, len(truth.order) - rows))
    expected = [(n + 1, *entry) for n, entry in enumerate(truth.order[first : first + rows], first)]
    got = [(item["rank"], item["userId"], item["score"]) for item in answer["items"]]
    return "" if got == expected else f"{got[:3]}… instead of {expected[:3]}…"


def check_placed(truth: ExpectedOrder, users: Sequence[str], answer: dict[str, Any]) -> str:
    """How the place of the score `PLACED` differs from PostgreSQL; empty when it is right."""
    place = len(truth.scores) - bisect_left(truth.scores, PLACED)
    near = truth.order[max(0, place - SIDE) : place + SIDE]
    expected = (place + 1, [user for user, _ in near])
    got = (answer["rank"], [item["userId"] for item in answer["items"]])
    return "" if got == expected else f"{got} instead of {expected}"


def check_histogram(truth: ExpectedOrder, users: Sequence[str], answer: dict[str, Any]) -> str:
    """How a histogram differs from PostgreSQL; empty when it is right."""
    scores = truth.scores
    worst, best = scores[0], scores[-1]
    got = [(bucket["from"], bucket["to"], bucket["count"]) for bucket in answer["buckets"]]
    if (got[0][0], got[-1][1], len(got)) != (worst, best, min(BUCKETS, best - worst + 1)):
        return f"{len(got)} buckets from {got[0][0]} to {got[-1][1]}"
    expected = [(low, high, bisect_right(scores, high) - bisect_left(scores, low)) for low, high, _ in got]
    if sum(count for _, _, count in got) != len(scores):
        return "a player is in no bucket, or in two"
    return "" if got == expected else f"{got[:3]}… instead of {expected[:3]}…"


def check_lookup(truth: ExpectedOrder, users: Sequence[str], answer: dict[str, Any]) -> str:
    """How the answer to a lookup differs from PostgreSQL; empty when it is right."""
    places = sorted(truth.place[user] for user in users)
    expected = [(at + 1, n, *truth.order[at]) for n, at in enumerate(places, 1)]
    got = [(item["rank"], item["position"], item["userId"], item["score"]) for item in answer["items"]]
    if answer["notFound"]:
        return f"{len(answer['notFound'])} players were not found"
    return "" if got == expected else f"{got[:3]}… instead of {expected[:3]}…"


def check_score(truth: ExpectedOrder, users: Sequence[str], answer: dict[str, Any]) -> str:
    """How the score at `PERCENTILE` differs from PostgreSQL; empty when it is right."""
    size = len(truth.order)
    at = size - math.ceil(size * PERCENTILE / 100)
    expected = (at + 1, truth.order[at][1])
    got = (answer["rank"], answer["score"])
    return "" if got == expected else f"{got} instead of {expected}"


READS: Final = {
    "top10": BoardRead("/top?limit=10", 0, partial(check_top, 10)),
    "top100": BoardRead("/top?limit=100", 0, partial(check_top, 100)),
    "rank": BoardRead(f"/rank?userId={PLAYER}", 1, check_rank),
    "around": BoardRead(f"/around?range={SIDE}&userId={PLAYER}", 1, check_around),
    "top_page": BoardRead(f"/top?limit=10&offset={OFFSET}", 0, partial(check_page, OFFSET)),
    "top_cursor": BoardRead("/top?limit=10&cursor=", 0, partial(check_page, 10), "/top?limit=10"),
    "standings": BoardRead(PLAYER, 1, check_standings, root="/v1/players/", end=f"/standings?seasons={SEASON}"),
    "score": BoardRead(f"/score?percentile={PERCENTILE}", 0, check_score),
    "around_fill": BoardRead(f"/around?fill=true&range={SIDE}&userId={PLAYER}", 1, check_filled),
    "around_score": BoardRead(f"/around?range={SIDE}&score={PLACED}", 0, check_placed),
    "histogram": BoardRead(f"/histogram?buckets={BUCKETS}", 0, check_histogram),
    "lookup100": BoardRead("/lookup", LOOKUP, check_lookup, paced=True),
    "top100_names": BoardRead("/top?limit=100", 0, partial(check_names, 100), named=100),
    "top10_segment": BoardRead(f"/top?limit=10&segment={SEGMENT}", 0, partial(check_top, 10), share=SHARE),
    "rank_segment": BoardRead(f"/rank?segment={SEGMENT}&userId={PLAYER}", 1, check_rank, share=SHARE),
    "lookup100_segment": BoardRead(f"/lookup?segment={SEGMENT}", LOOKUP, check_lookup, share=SHARE, paced=True),
}
"""The reads, by the names of their rows."""
NAMES: Final = tuple(READS)
PAST_READS: Final = {"past_rank": BoardRead(f"/rank?period=1&userId={PLAYER}", 1, check_rank, paced=True)}
"""Reads of the first period, once it is final (`bench.rows.past`)."""
