"""Reads on a board of many players, and the rebuild that puts it into Redis."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec

from bench.load import closed_loop
from bench.rows.figures import Measure, Results
from bench.system.run_options import Plan
from bench.system.stack import Stack
from board.pg.session import queries
from board.redis.keyspace import partition_of
from ctl.demo import Client

SEASON: Final = "board"
PATH: Final = f"/v1/seasons/{SEASON}/leaderboard"
SIDE: Final = 5
SAMPLES: Final = 40
WARM_S: Final = 1
STEP: Final = 20_000
"""Players between two moves of the progress bar."""
NAMES: Final = ("top10", "top100", "rank", "around")


def measure(plan: Plan, wanted: Collection[str]) -> Results:
    """``rebuild`` and the read rows that are wanted, all on one board."""
    with plan.stack() as stack:
        fill(stack, plan)
        stack.checkpoint()
        loaded = stack.call("rebuild", "--season", SEASON)
        with stack.relays():
            faults = stack.unequal()
            if loaded["players"] != plan.players:
                faults.append(f"{loaded['players']} players were rebuilt, not {plan.players}")
            if "rebuild" in wanted:
                figures = {"per_s": loaded["players"] / loaded["seconds"], "seconds": loaded["seconds"]}
                checks = (f"{plan.players:,} players", "PostgreSQL and Redis are equal")
                yield "rebuild", Measure(figures, () if faults else checks, tuple(faults))
            reads = [name for name in NAMES if name in wanted]
            if not reads:
                return
            truth = ranked(stack)
            with stack.api() as client:
                for name in reads:
                    # The board is the base of every answer: a wrong one makes each of these rows wrong.
                    yield name, read(stack, plan, name, truth, client, faults)


def fill(stack: Stack, plan: Plan) -> None:
    """A season with that many players in PostgreSQL. Scores are drawn from half as many values, so many are equal."""
    dice, players = random.Random(plan.seed), plan.players
    with stack.db.transaction():
        stack.db.execute(queries()["create_seasons"], {"seasons": [SEASON], "partitions": [partition_of(SEASON)]})
        period = stack.value("SELECT period_id FROM season WHERE season_id = %s", (SEASON,))
        with stack.db.cursor().copy("COPY score (period_id, user_id, score, reached, submissions) FROM STDIN") as copy:
            for number in range(players):
                if number % STEP == 0:
                    plan.tell("players", number, players)
                copy.write_row((period, f"player-{number}", dice.randrange(1, players // 2 + 2), number + 1, 1))
        plan.tell("players", players, players)
        stack.db.execute("SELECT setval('submission', %s)", (players,))
    stack.db.execute("ANALYZE score")


class Truth(msgspec.Struct, frozen=True):
    """The board as PostgreSQL orders it: (player, score), best first; and where each player is."""

    order: list[tuple[str, int]]
    place: dict[str, int]


def ranked(stack: Stack) -> Truth:
    """Read the whole order."""
    order = stack.db.execute(
        "SELECT user_id, score FROM score JOIN season USING (period_id) WHERE season_id = %s"
        " ORDER BY score DESC, reached, user_id",
        (SEASON,),
    ).fetchall()
    return Truth(order, {user: at for at, (user, _) in enumerate(order)})


def read(stack: Stack, plan: Plan, name: str, truth: Truth, client: Client, faults: list[str]) -> Measure:
    """One read row; answers are sampled and checked while the load is on."""
    paths = {
        "top10": f"{PATH}/top?limit=10",
        "top100": f"{PATH}/top?limit=100",
        "rank": f"{PATH}/rank?userId=player-",
        "around": f"{PATH}/around?range={SIDE}&userId=player-",
    }
    judge = {"rank": wrong_rank, "around": wrong_around}.get(name, wrong_top)
    dice = random.Random(plan.seed)
    wrong: list[str] = []

    def sample() -> None:
        for _ in range(SAMPLES):
            user = f"player-{dice.randrange(plan.players)}"
            path = paths[name] + (user.removeprefix("player-") if name in ("rank", "around") else "")
            status, body = client.ask("GET", path)
            if status != 200:
                wrong.append(f"{path} answers {status}")
            elif fault := judge(truth, user, msgspec.json.decode(body)):
                wrong.append(f"{path}: {fault}")
            time.sleep(plan.seconds / (2 * SAMPLES))

    key = stack.settings.key

    def get(seconds: int, meanwhile: Callable[[], None]) -> closed_loop.Load:
        if name in ("rank", "around"):
            arguments = (paths[name], "", str(plan.players), str(closed_loop.stride(plan.players)))
            return closed_loop.get(
                stack.url, seconds=seconds, connections=plan.connections, script="player.lua",
                arguments=arguments, meanwhile=meanwhile, key=key,
            )  # fmt: skip
        return closed_loop.get(
            stack.url + paths[name], seconds=seconds, connections=plan.connections, meanwhile=meanwhile, key=key
        )

    get(WARM_S, closed_loop.nothing)
    done = get(plan.seconds, sample)
    found = [*faults, *wrong[:3]]
    if done.errors or not done.answers:
        found.append(f"{done.errors} of {done.answers} answers were errors")
    checks = (f"{SAMPLES} answers sampled under load are PostgreSQL's",)
    return Measure(done.figures(), () if found else checks, tuple(found))


def wrong_top(truth: Truth, user: str, answer: dict[str, Any]) -> str:
    """Why a top list is not the one of PostgreSQL; empty when it is. Its length is 10 or 100, or the whole board."""
    items = [(item["userId"], item["score"]) for item in answer["items"]]
    if len(items) not in (10, 100, len(truth.order)):
        return f"{len(items)} players"
    return "" if items == truth.order[: len(items)] else f"{items[:3]}… instead of {truth.order[:3]}…"


def wrong_rank(truth: Truth, user: str, answer: dict[str, Any]) -> str:
    """The same for a rank."""
    at = truth.place[user]
    expected = (user, at + 1, truth.order[at][1])
    got = (answer["userId"], answer["rank"], answer["score"])
    return "" if got == expected else f"{got} instead of {expected}"


def wrong_around(truth: Truth, user: str, answer: dict[str, Any]) -> str:
    """The same for a window."""
    at = truth.place[user]
    first = max(0, at - SIDE)
    expected = [(n + 1, *truth.order[n]) for n in range(first, min(len(truth.order), at + SIDE + 1))]
    got = [(item["rank"], item["userId"], item["score"]) for item in answer["items"]]
    return "" if got == expected else f"{got} instead of {expected}"
