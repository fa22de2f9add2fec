"""Submissions near the edge of 64 bits, each of which needs a statement of its own, leave their share to others."""

from __future__ import annotations

import json
import select
from collections import Counter

from support.http import JSON, Http, base
from support.processes import serving
from support.waiting import eventually
from support.world import World

EDGE = 2**62
MOST = 5_000


def send(http: Http, items: list[tuple[str, int]]) -> None:
    body = {"submissions": [{"userId": user, "delta": delta} for user, delta in items]}
    http.send("POST", f"{base('s')}/scores/batch", json.dumps(body).encode(), JSON)


def statuses(http: Http) -> Counter[int]:
    answer = http.receive()
    return (
        Counter(result["status"] for result in answer.json["results"])
        if answer.status == 200
        else Counter([answer.status])
    )


def answered(http: Http) -> bool:
    """Whether an answer has begun to arrive."""
    return bool(select.select([http.connection.sock], [], [], 0)[0])


def test_batches_of_others_are_accepted_meanwhile(world: World) -> None:
    """Two clients with 5,000 each, of which one can be decided in a statement; and batches of other players."""
    world.create("s")
    with (
        serving(world, LEADERBOARD_WRITE_DEADLINE_MS="4000") as api,
        api.client() as one,
        api.client() as two,
        api.client() as other,
    ):
        send(one, [("edge one", EDGE)] * MOST)
        send(two, [("edge two", -EDGE)] * MOST)
        eventually(
            lambda: world.value("SELECT count(DISTINCT user_id) FROM ledger WHERE starts_with(user_id, 'edge ')") == 2
        )
        for n in range(20):
            send(other, [(f"p{n} {player}", 1) for player in range(100)])
            assert statuses(other) == {202: 100}
        send(other, [(f"many {player}", 1) for player in range(MOST)])
        assert statuses(other) == {202: MOST}, "one that fills a statement of its own"
        assert not answered(one) and not answered(two), "those near the edge are still being decided"
        for http, accepted in ((one, 1), (two, 2)):
            told = statuses(http)
            assert told[202] == accepted and set(told) <= {202, 409, 503, 504}
            assert told[409] > 0, "they have a share, too"
    scores = {user: score for user, score, _ in world.expected("s") if user.startswith("edge")}
    assert scores == {"edge one": EDGE, "edge two": -2 * EDGE}


def test_another_submission_of_that_player_waits_for_no_turn(world: World) -> None:
    """It is not in the statements of those set apart, and still decided exactly."""
    world.create("s")
    with serving(world, LEADERBOARD_WRITE_DEADLINE_MS="4000") as api, api.client() as one, api.client() as other:
        send(one, [("edge", EDGE)] * 2_000)
        eventually(lambda: world.value("SELECT count(*) FROM ledger WHERE user_id = 'edge'") == 1)
        for n in range(5):
            send(other, [("edge", -1), (f"p{n}", 1)])
            assert statuses(other) == {202: 2}
        told = statuses(one)
    (score,) = [score for user, score, _ in world.expected("s") if user == "edge"]
    assert score == told[202] * EDGE - 5
