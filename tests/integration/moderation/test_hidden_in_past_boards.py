"""Ended periods with hidden players read as if those had never played, whoever is hidden."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from support.http import JSON, Http, base
from support.moderation import restrict
from support.periods import GRID, end_now, keeper_of
from support.processes import serving
from support.world import World, world_on

from ctl.embedded import Embedded

PLAYERS = [f"p{n:02}" for n in range(30)]
RULE: dict[str, Any] = {"operator": "best", "schedule": GRID}


@pytest.fixture(scope="module")
def quiet(servers: Embedded) -> Iterator[tuple[World, Http]]:
    """A server without relays."""
    with world_on(servers, redis_db=3) as world, serving(world) as api, api.client() as http:
        yield world, http


def ask_all(http: Http, season: str, seed: int) -> dict[str, Any]:
    """Every read of the first period, without what differs between two seasons with the same rows."""
    rng, found = random.Random(seed), dict[str, Any]()
    users = [quoted for quoted in rng.sample(PLAYERS, 12)]
    reads = [
        "count",
        "histogram?buckets=4",
        "histogram?buckets=4&by=quantile",
        "top?limit=1000",
        "top?limit=3&offset=5",
    ]
    reads += [f"score?rank={rank}" for rank in (1, 2, 7, 20, 31)]
    reads += [f"score?percentile={share}" for share in (0, 1, 33, 50.5, 100)]
    reads += [f"around?score={score}&range=2{fill}" for score in (-1, 3, 9, 99) for fill in ("", "&fill=true")]
    reads += [f"{read}userId={user}" for user in users for read in ("rank?", "around?range=2&", "around?fill=true&")]
    for read in reads:
        answer = http.get(f"{base(season)}/leaderboard/{read}{'&' if '?' in read else '?'}period=1")
        found[read] = simplify(answer.json, season)
    body = json.dumps({"userIds": users}).encode()
    found["lookup"] = simplify(http.ask("POST", f"{base(season)}/leaderboard/lookup?period=1", body, JSON).json, season)
    pages, cursor = [], ""
    while cursor is not None:
        page = http.get(f"{base(season)}/leaderboard/top?period=1&limit=4{cursor and f'&cursor={cursor}'}").json
        pages.append(simplify(page, season))
        cursor = page["nextCursor"]
    found["pages"] = pages
    periods = http.get(f"{base(season)}/periods").json["items"]
    found["periods"] = [one["players"] for one in periods if "players" in one and one["number"] == 1]
    return found


def simplify(told: Any, season: str) -> Any:
    """Without versions, cursors and states, which differ between seasons."""
    if isinstance(told, dict):
        dropped = ("asOf", "nextCursor", "version", "requestId", "instance")
        return {k: simplify(v, season) for k, v in told.items() if k not in dropped and v != season}
    return [simplify(one, season) for one in told] if isinstance(told, list) else told


@pytest.mark.parametrize("ranking", ["ordinal", "competition"])
@pytest.mark.parametrize("written", ["final", "grace", "none"])
def test_reads_are_those_of_a_board_without_the_hidden(quiet: tuple[World, Http], ranking: str, written: str) -> None:
    world, http = quiet
    seed = len(ranking) * 7 + len(written)
    rng = random.Random(seed)
    scores = {user: rng.randrange(12) for user in rng.sample(PLAYERS, len(PLAYERS))}
    full, aways = f"full-{ranking}-{written}", [{u for u in PLAYERS if rng.random() < p} for p in (0.0, 0.1, 0.4, 0.9)]
    boards = {full: set[str](), **{f"{full}-{turn}": away for turn, away in enumerate(aways)}}
    world.execute("TRUNCATE restriction")
    # The full board, and for each turn the same rows without the hidden players.
    for season, away in boards.items():
        world.define(season, ranking=ranking, graceS=0 if written == "final" else 86_400, **RULE)
        rows = [(season, user, score, True) for user, score in scores.items() if user not in away]
        assert {status for status, *_ in world.submit_by_rule(*rows)} <= {0}
        end_now(world, season)
    keeper = keeper_of(world)
    keeper.turn_seasons(world.db)
    if written != "none":
        keeper.close_periods(world.db)
    for turn, away in enumerate(aways):
        for user in PLAYERS:
            # Hidden everywhere, or banned in this season; or in another one alone.
            is_hidden = user in away and rng.random() < 0.5
            restrict(world, "hide" if is_hidden else "show", user)
            restrict(world, "ban", user, [full, "x"] if user in away and not is_hidden else ["x"])
        seen = ask_all(http, full, seed + turn)
        world.execute("TRUNCATE restriction", "UPDATE restriction_changes SET number = number + 1")
        assert seen == ask_all(http, f"{full}-{turn}", seed + turn)
    if written == "final":
        # Of two states of the board the tags differ, and the board that was has all of its rows.
        tag = http.get(f"{base(full)}/leaderboard/top?period=1").headers["etag"]
        restrict(world, "hide", PLAYERS[0])
        again = http.ask("GET", f"{base(full)}/leaderboard/top?period=1", None, {"If-None-Match": tag})
        assert again.status == 200 and again.json["total"] == len(PLAYERS) - 1
