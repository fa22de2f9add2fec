"""The same load on any server that speaks the contract: ``python -m bench --against URL``.

Nothing is known of it but its address, so everything is prepared and checked through the contract: players are posted
by the loads themselves, and what each of them must have follows from its number.
"""

from __future__ import annotations

import http.client
import random
import time
from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec

from bench.load import closed_loop
from bench.load.open_loop import Offer, offer
from bench.rows.figures import Measure, Results
from bench.rows.open_loop import OF_PEAK, READS, figures_of
from bench.rows.read import SAMPLES, SIDE
from bench.system.run_options import Plan
from board.errors import ServerUnreachable, UsageError
from ctl.demo import Client

NAMES: Final = ("post", "top10", "top100", "rank", "around", "mixed")
VALUES: Final = 100
"""The loads give player number n the score n % 100 + 1."""
WITNESSES: Final = 20
UNSENT: Final = 2
"""Players whose numbers the load of ``post`` leaves out."""
VISIBLE_WITHIN_S: Final = 60.0
POLL_S: Final = 0.02


class Board:
    """A season on that server, filled by the load of ``post``."""

    def __init__(self, plan: Plan, client: Client) -> None:
        self.plan: Final = plan
        self.client: Final = client
        self.season: Final = f"bench-{plan.seed}-{time.time_ns()}"
        self.path: Final = f"/v1/seasons/{self.season}"
        self.players = 0

    def post(self) -> Measure:
        """Fill the board, a new player in each request, and wait until all are on it."""
        p = self.plan
        done = closed_loop.post(
            p.against, f"{self.path}/scores", seconds=p.seconds, connections=p.connections, seed=p.seed,
            key=p.settings.key,
        )  # fmt: skip
        # wrk asks its script for one request that it never sends, so the load's numbers begin with 2; reads ask from 0.
        first = {
            self.client.ask("POST", f"{self.path}/scores", {"userId": f"player-{n}", "delta": score_of(n)})[0]
            for n in range(UNSENT)
        }
        self.players = done.accepted + UNSENT
        faults = []
        if done.errors or not done.accepted or first != {202}:
            faults = [f"{done.errors} of {done.answers} requests got an error or no answer, the first players {first}"]
        if not faults:
            faults = self.until_visible() or until_right(lambda: self.sampled("rank"))
        return Measure(done.figures(p.seconds), () if faults else ("sampled scores are what was sent",), tuple(faults))

    def until_visible(self) -> list[str]:
        """Wait for the first players, which were sent last, and for the last of the load; what is wrong then."""
        return until_right(
            lambda: [
                f"player-{number} is not on the board"
                for number in (0, 1, self.players - 1)
                if self.get(self.address("rank", number))[0] != 200
            ]
        )

    def testify(self, witnesses: dict[str, int]) -> list[str]:
        """Post once for each of them, and note what was accepted; what was not."""
        refused = []
        for delta, user in enumerate(witnesses, 1):
            status, _ = self.client.ask("POST", f"{self.path}/scores", {"userId": user, "delta": delta})
            if status == 202:
                witnesses[user] += delta
            else:
                refused.append(f"POST for {user} answers {status}")
        return refused

    def unequal(self, witnesses: dict[str, int]) -> list[str]:
        """Those whose score is not the sum of what was accepted."""
        wrong = []
        for user, expected in witnesses.items():
            status, body = self.get(f"{self.path}/leaderboard/rank?userId={user}")
            score = msgspec.json.decode(body)["score"] if status == 200 else None
            if score != expected:
                wrong.append(f"{user} has {score}, accepted were {expected}")
        return wrong

    def read(self, name: str) -> Measure:
        """One closed-loop row of reads, sampled before and after it."""
        p = self.plan
        wrong = self.sampled(name)
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
        wrong += self.sampled(name)
        if done.errors or not done.answers:
            wrong.append(f"{done.errors} of {done.answers} answers were errors")
        return Measure(done.figures(), () if wrong else (f"{2 * SAMPLES} sampled answers are right",), tuple(wrong[:5]))

    def mixed(self) -> Measure:
        """80 % reads at 70 % of the closed loop's rate, open loop; a few more players' sums are checked."""
        p = self.plan
        witnesses = {f"witness-{number}": 0 for number in range(WITNESSES)}
        seconds = max(2, p.seconds // 2)
        peak = closed_loop.mixed(
            p.against, self.season, seconds=seconds, connections=p.connections, seed=p.seed, reads=READS,
            pool=self.players, key=p.settings.key,
        )  # fmt: skip
        rate = OF_PEAK * peak.accepted / (peak.duration_us / 1e6 - closed_loop.TAIL_S)
        what = Offer(p.against, self.season, rate, p.seed, READS, "player-", self.players, p.settings.key)
        faults = self.testify(witnesses)
        done = offer(what, p.seconds)
        faults += self.testify(witnesses) + until_right(lambda: self.unequal(witnesses))
        if done.errors:
            faults.append(f"{done.errors} requests got no good answer")
        figures = figures_of(done) | {"read_p99_ms": done.reads.p99_ms, "peak_per_s": rate / OF_PEAK}
        curves = {"latency, 80 % reads at 70 % of the peak": done.all.curve}
        return Measure(
            figures,
            () if faults else (f"{WITNESSES} players have the sum of what was accepted",),
            tuple(faults[:5]),
            curves=curves,
            hdr={"mixed": done.all.hdr},
            invalid=done.invalid(),
        )

    def address(self, name: str, number: int) -> str:
        """Path of a read."""
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
        """One request."""
        return self.client.ask("GET", path)

    def sampled(self, name: str) -> list[str]:
        """What is wrong with the answers for random players."""
        dice = random.Random(self.plan.seed)
        wrong = []
        for _ in range(SAMPLES):
            number = dice.randrange(self.players)
            status, body = self.get(self.address(name, number))
            if status != 200:
                wrong.append(f"{self.address(name, number)} answers {status}")
            elif fault := judge(name, number, self.players, msgspec.json.decode(body)):
                wrong.append(f"{self.address(name, number)}: {fault}")
        return wrong[:3]


def until_right(look: Callable[[], list[str]]) -> list[str]:
    """Look until nothing is wrong, as boards may follow a moment later; what still is at the deadline."""
    until = time.monotonic() + VISIBLE_WITHIN_S
    while (wrong := look()) and time.monotonic() < until:
        time.sleep(POLL_S)
    return wrong


def score_of(number: int) -> int:
    """What that player has once the board is filled."""
    return number % VALUES + 1


def above(score: int, players: int) -> int:
    """How many of that many players have more than that score."""
    return sum(len(range(rest, players, VALUES)) for rest in range(score, VALUES))


def judge(name: str, number: int, players: int, answer: dict[str, Any]) -> str:
    """Why an answer cannot be right whatever breaks ties; empty when it can."""
    if name == "rank":
        score = score_of(number)
        low, high = above(score, players) + 1, above(score - 1, players)
        if answer["score"] != score:
            return f"score {answer['score']} instead of {score}"
        return "" if low <= answer["rank"] <= high else f"rank {answer['rank']}, not within {low} to {high}"
    scores = [item["score"] for item in answer["items"]]
    if scores != sorted(scores, reverse=True):
        return f"scores are not in order: {scores}"
    if any(item["score"] != score_of(int(item["userId"].removeprefix("player-"))) for item in answer["items"]):
        return "a score is not what was sent"
    if name == "around":
        ranks = [item["rank"] for item in answer["items"]]
        if ranks != list(range(ranks[0], ranks[0] + len(ranks))):
            return f"ranks are not one after the other: {ranks}"
        users = [item["userId"] for item in answer["items"]]
        return "" if f"player-{number}" in users else "the player is not in the window"
    expected = min(players, 10 if name == "top10" else 100)
    return "" if len(scores) == expected else f"{len(scores)} players instead of {expected}"


def round_of(plan: Plan, wanted: Collection[str]) -> Results:
    """Measure each wanted row once, on a season of the round's own, which is reset at the end."""
    client = Client(plan.against, plan.settings.key)
    try:
        if (status := client.ask("GET", "/readyz")[0]) != 200:
            raise ServerUnreachable(f"{plan.against}/readyz answers {status}")
        # Before a load of refusals, which would say less.
        if (status := client.ask("GET", f"/v1/seasons/bench-{plan.seed}/leaderboard/top?limit=1")[0]) in (401, 403):
            raise UsageError(
                f"LEADERBOARD_KEY has to be a key with the scopes read and submit: {plan.against} says {status}"
            )
        board = Board(plan, client)
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
        # A key that may only read and submit leaves the season behind: that is its right, and no fault.
        client.ask("DELETE", board.path)
    except http.client.HTTPException as error:
        raise ServerUnreachable(f"{plan.against} did not answer: {error}") from error
    finally:
        client.connection.close()
