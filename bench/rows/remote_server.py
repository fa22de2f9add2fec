"""The rows of ``python -m bench --against URL``: the same loads on any server with this HTTP contract.

Only the address of the server is known, so all preparation and all checks use the contract. The loads submit the
players themselves, and the score of each player follows from its number.
"""

from __future__ import annotations

import http.client
import random
import time
from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec

from bench.load import closed_loop
from bench.load.open_loop import OpenLoad, run_open_loop
from bench.rows.figures import Measure, Results
from bench.rows.open_loop import OF_PEAK, READS
from bench.rows.read import SAMPLES, SIDE
from bench.system.run_options import RunOptions
from board.errors import ServerUnreachable, UsageError
from ctl.http_client import Client

NAMES: Final = ("post", "top10", "top100", "rank", "around", "mixed")
SCORE_VALUES: Final = 100
"""Different scores: player number n gets the score n % 100 + 1."""
CHECKED: Final = 20
"""Players whose sums are checked after ``mixed``."""
UNSENT: Final = 2
"""Players whose numbers the load of ``post`` leaves out: 0 and 1."""
VISIBLE_WITHIN_S: Final = 60.0
POLL_S: Final = 0.02


class RemoteBoard:
    """A season on the server, a new one unless `season` is given, filled by the load of ``post``."""

    def __init__(self, options: RunOptions, client: Client, season: str = "") -> None:
        self.options: Final = options
        self.client: Final = client
        self.season: Final = season or f"bench-{options.seed}-{time.time_ns()}"
        self.path: Final = f"/v1/seasons/{self.season}"
        self.players = 0

    def post(self) -> Measure:
        """``post``: submit for a new player in each request, then wait until all players are on the board."""
        p = self.options
        done = closed_loop.post(
            p.against, f"{self.path}/scores", seconds=p.seconds, connections=p.connections, seed=p.seed,
            key=p.settings.key,
        )  # fmt: skip
        # wrk takes one request from its script that it never sends: the load begins with number 2, reads with 0.
        first = {
            self.client.ask("POST", f"{self.path}/scores", {"userId": f"player-{n}", "delta": expected_score(n)})[0]
            for n in range(UNSENT)
        }
        self.players = done.accepted + UNSENT
        faults = []
        if done.errors or not done.accepted or first != {202}:
            faults = [f"{done.errors} of {done.answers} requests got an error or no answer, the first players {first}"]
        if not faults:
            faults = self.wait_until_visible() or wait_until_right(lambda: self.check_samples("rank"))
        return Measure(
            done.figures(p.seconds), () if faults else ("sampled scores are those that were sent",), tuple(faults)
        )

    def wait_until_visible(self) -> list[str]:
        """Wait until the first players, sent last, and the last one of the load are visible; returns the faults."""
        return wait_until_right(
            lambda: [
                f"player-{number} is not on the board"
                for number in (0, 1, self.players - 1)
                if self.get(self.address("rank", number))[0] != 200
            ]
        )

    def post_checked(self, checked: dict[str, int]) -> list[str]:
        """Submit once for each player of `checked`, and add accepted deltas to its sum; returns the refusals."""
        refused = []
        for delta, user in enumerate(checked, 1):
            status, _ = self.client.ask("POST", f"{self.path}/scores", {"userId": user, "delta": delta})
            if status == 202:
                checked[user] += delta
            else:
                refused.append(f"POST for {user} answers {status}")
        return refused

    def find_wrong_sums(self, checked: dict[str, int]) -> list[str]:
        """Faults of players whose score is not the sum of their accepted deltas."""
        wrong = []
        for user, expected in checked.items():
            status, body = self.get(f"{self.path}/leaderboard/rank?userId={user}")
            score = msgspec.json.decode(body)["score"] if status == 200 else None
            if score != expected:
                wrong.append(f"{user} has {score}, accepted were {expected}")
        return wrong

    def read(self, name: str) -> Measure:
        """One closed-loop row of reads; answers are checked before and after the load."""
        p = self.options
        wrong = self.check_samples(name)
        if name in ("rank", "around"):
            before = self.address(name, 1).removesuffix("1")
            arguments = (before, "", str(self.players), str(closed_loop.stride(self.players)))
            done = closed_loop.get(
                p.against, seconds=p.seconds, connections=p.connections, script="player.lua", arguments=arguments,
                key=p.settings.key,
            )  # fmt: skip
        else:
            url = p.against + self.address(name, 1)
            done = closed_loop.get(url, seconds=p.seconds, connections=p.connections, key=p.settings.key)
        wrong += self.check_samples(name)
        if done.errors or not done.answers:
            wrong.append(f"{done.errors} of {done.answers} answers were errors")
        return Measure(done.figures(), () if wrong else (f"{2 * SAMPLES} sampled answers are right",), tuple(wrong[:5]))

    def mixed(self) -> Measure:
        """``mixed``: 80 % reads at 70 % of a closed loop's rate. The sums of `CHECKED` other players are checked."""
        p = self.options
        checked = {f"witness-{number}": 0 for number in range(CHECKED)}
        seconds = max(2, p.seconds // 2)
        peak = closed_loop.get_and_post(
            p.against, self.season, seconds=seconds, connections=p.connections, seed=p.seed, reads=READS,
            pool=self.players, key=p.settings.key,
        )  # fmt: skip
        rate = OF_PEAK * peak.accepted / (peak.duration_us / 1e6 - closed_loop.TAIL_S)
        load = OpenLoad(p.against, self.season, rate, p.seed, READS, "player-", self.players, p.settings.key)
        faults = self.post_checked(checked)
        done = run_open_loop(load, p.seconds)
        faults += self.post_checked(checked) + wait_until_right(lambda: self.find_wrong_sums(checked))
        if done.errors:
            faults.append(f"{done.errors} requests got no good answer")
        figures = done.figures() | {"read_p99_ms": done.reads.p99_ms, "peak_per_s": rate / OF_PEAK}
        curves = {"latency, 80 % reads at 70 % of the peak": done.all.curve}
        return Measure(
            figures,
            () if faults else (f"{CHECKED} players have the sum of their accepted deltas",),
            tuple(faults[:5]),
            curves=curves,
            hdr={"mixed": done.all.hdr},
            invalid=done.invalid(),
        )

    def address(self, name: str, number: int) -> str:
        """Path of a read about player `number`."""
        return (
            f"{self.path}/leaderboard/"
            + {
                "top10": "top?limit=10",
                "top100": "top?limit=100",
                "rank": f"rank?userId=player-{number}",
                "around": f"around?range={SIDE}&userId=player-{number}",
            }[name]
        )

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of one GET."""
        return self.client.ask("GET", path)

    def check_samples(self, name: str) -> list[str]:
        """Faults of the answers for random players."""
        dice = random.Random(self.options.seed)
        wrong = []
        for _ in range(SAMPLES):
            number = dice.randrange(self.players)
            status, body = self.get(self.address(name, number))
            if status != 200:
                wrong.append(f"{self.address(name, number)} answers {status}")
            elif fault := check_answer(name, number, self.players, msgspec.json.decode(body)):
                wrong.append(f"{self.address(name, number)}: {fault}")
        return wrong[:3]


def wait_until_right(look: Callable[[], list[str]]) -> list[str]:
    """Call `look` until it returns no faults, since boards may follow later; returns those left at the deadline."""
    until = time.monotonic() + VISIBLE_WITHIN_S
    while (wrong := look()) and time.monotonic() < until:
        time.sleep(POLL_S)
    return wrong


def expected_score(number: int) -> int:
    """The score of that player once the board is filled."""
    return number % SCORE_VALUES + 1


def count_above(score: int, players: int) -> int:
    """How many of `players` players have more than that score."""
    return sum(len(range(rest, players, SCORE_VALUES)) for rest in range(score, SCORE_VALUES))


def check_answer(name: str, number: int, players: int, answer: dict[str, Any]) -> str:
    """Why an answer is wrong, in whatever order the server puts ties; empty when it may be right."""
    if name == "rank":
        score = expected_score(number)
        low, high = count_above(score, players) + 1, count_above(score - 1, players)
        if answer["score"] != score:
            return f"score {answer['score']} instead of {score}"
        return "" if low <= answer["rank"] <= high else f"rank {answer['rank']}, not within {low} to {high}"
    scores = [item["score"] for item in answer["items"]]
    if scores != sorted(scores, reverse=True):
        return f"scores are not in order: {scores}"
    if any(item["score"] != expected_score(int(item["userId"].removeprefix("player-"))) for item in answer["items"]):
        return "a score is not the one that was sent"
    if name == "around":
        ranks = [item["rank"] for item in answer["items"]]
        if ranks != list(range(ranks[0], ranks[0] + len(ranks))):
            return f"ranks are not one after the other: {ranks}"
        users = [item["userId"] for item in answer["items"]]
        return "" if f"player-{number}" in users else "the player is not in the window"
    expected = min(players, 10 if name == "top10" else 100)
    return "" if len(scores) == expected else f"{len(scores)} players instead of {expected}"


def measure_round(options: RunOptions, wanted: Collection[str]) -> Results:
    """Measure each row of `wanted` once, on a new season that is reset at the end.

    Raises `ServerUnreachable`, and `UsageError` when the key is not sufficient.
    """
    client = Client(options.against, options.settings.key)
    try:
        if (status := client.ask("GET", "/readyz")[0]) != 200:
            raise ServerUnreachable(f"{options.against}/readyz answers {status}")
        # Checked before the load, whose refusals would not name the reason.
        if (status := client.ask("GET", f"/v1/seasons/bench-{options.seed}/leaderboard/top?limit=1")[0]) in (401, 403):
            raise UsageError(
                f"LEADERBOARD_KEY has to be a key with the scopes read and submit: {options.against} says {status}"
            )
        board = RemoteBoard(options, client)
        posted = board.post()
        if "post" in wanted:
            yield "post", posted
        if posted.faults:
            raise ServerUnreachable(f"the board could not be filled: {posted.faults[0]}")
        for name in ("top10", "top100", "rank", "around"):
            if name in wanted:
                yield name, board.read(name)
        if "mixed" in wanted:
            yield "mixed", board.mixed()
        # A key without the scope admin leaves the season behind, which is not a fault.
        client.ask("DELETE", board.path)
    except http.client.HTTPException as error:
        raise ServerUnreachable(f"{options.against} did not answer: {error}") from error
    finally:
        client.connection.close()
