"""Changes of the same player from many clients at once: each has an answer, and the end is one of the states told."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.http import JSON, Http
from support.moderation import act
from support.periods import put, submit
from support.processes import Api, leaderboard, relaying, serving
from support.waiting import eventually
from support.world import World

FOREVER = {"reason": "speed hack"}
VERBS = ("ban", "ban", "unban", "hide", "show", "submit", "submit", "batch", "erase")
USERS = ("ada", "bob")
SEASONS = ("sum", "best", "fed")


def do_something(http: Http, rng: random.Random) -> tuple[str, int]:
    """One random request about one of two players: what it was, and the status of its answer."""
    user, verb = rng.choice(USERS), rng.choice(VERBS)
    if verb == "submit":
        season = rng.choice(SEASONS)
        number = {"score": 1 + rng.randrange(9)} if season == "best" else {"delta": 1 + rng.randrange(9)}
        answer = submit(http, season, user, **number)
        assert answer.status in (202, 403), answer.body
        return verb, answer.status
    if verb == "batch":
        items = [f'{{"userId":"{rng.choice(USERS)}","delta":1}}' for _ in range(4)]
        body = f'{{"submissions":[{",".join(items)}]}}'.encode()
        return verb, http.ask("POST", "/v1/seasons/fed/scores/batch", body, JSON).status
    if verb == "erase":
        return verb, http.ask("DELETE", f"/v1/players/{user}").status
    body: Any = None
    if verb == "ban":
        body = {**FOREVER} if rng.random() < 0.5 else {**FOREVER, "seasons": rng.sample(SEASONS, 2)}
    return verb, act(http, verb, user, body).status


EXPECTED = {"submit": {202, 403}, "batch": {200, 202, 207}, "erase": {200, 202}}


def at_once(api: Api, number: int, rng_of: Callable[[int], random.Random], requests: int) -> list[tuple[str, int]]:
    """What so many clients were told, each of so many requests of its own."""
    told: list[tuple[str, int]] = []

    def work(rng: random.Random) -> None:
        with api.client(60.0) as http:
            for _ in range(requests):
                told.append(do_something(http, rng))

    threads = [threading.Thread(target=work, args=(rng_of(n),)) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    return told


@pytest.mark.parametrize("requests", [12, pytest.param(60, marks=pytest.mark.walk)])
def test_no_request_fails_and_boards_are_equal(world: World, requests: int) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    settings = {"LEADERBOARD_WORKERS": "2"}
    with serving(world, "/readyz", **settings) as api, relaying(world, 2), api.client(60.0) as http:
        put(http, "best", operator="best")
        put(http, "fed", feeds=["best"])
        for user in USERS:
            assert submit(http, "sum", user, delta=1).status == 202
        told = at_once(api, 10, lambda n: random.Random(seed + n), requests)
        assert len(told) == 10 * requests
        wrong = [(verb, status) for verb, status in told if status not in EXPECTED.get(verb, {200})]
        assert not wrong
        eventually(lambda: world.value("SELECT count(*) FROM erasure WHERE done_at IS NULL") == 0, 60)
        eventually(lambda: world.value("SELECT count(*) FROM outbox") == 0)
        verified = leaderboard(world, "verify")
        assert verified.returncode == 0, verified.stdout
        for user in USERS:
            # One more change, whose answer tells what counts from now on.
            assert act(http, "ban", user, FOREVER).status == 200
        for season in SEASONS:
            assert http.top(season).json["items"] == []
        for user in USERS:
            assert act(http, "unban", user).status == act(http, "show", user).status == 200
        assert world.value("SELECT count(*) FROM restriction") == 0
        for season in SEASONS:
            assert world.board(season) == world.expected(season)
