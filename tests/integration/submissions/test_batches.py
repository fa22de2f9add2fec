"""Submissions of one batch: sums near the edge of 64 bits, own scores, new seasons."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.processes import Api, serving
from support.submitting import clients, problem, queued_together
from support.waiting import eventually
from support.world import World

TOP, LOW = 2**63 - 1, -(2**63)

CROWDS: dict[str, tuple[int, list[int], Callable[[list[int]], bool]]] = {
    "two of three fit": (TOP - 10, [4, 4, 4], lambda got: sorted(got) == [202, 202, 409]),
    "none fits": (TOP, [1, 2, 3], lambda got: got == [409] * 3),
    "all fit to the edge": (TOP - 6, [1, 2, 3], lambda got: got == [202] * 3),
    "down at the other edge": (LOW + 10, [-4, -4, -4], lambda got: sorted(got) == [202, 202, 409]),
    "huge ones against each other": (1, [TOP, LOW, TOP], lambda got: 202 in got),
    "one far too large among small ones": (5, [1, TOP, 1], lambda got: got.count(202) >= 2),
}


@pytest.mark.parametrize("crowd", CROWDS)
def test_several_sums_of_one_player_near_the_edge_in_one_batch(lone_api: Api, crowd: str) -> None:
    world = lone_api.world
    start, deltas, promised = CROWDS[crowd]
    player = f"edge {crowd}"
    world.submit(("s", player, start))
    # Bystanders of the same batch, and one near the edge whose single submission fits.
    world.submit(("s", f"{player} calm", TOP - 1))
    posts = [(player, delta) for delta in deltas] + [("calm", 1), (f"{player} calm", 1), ("calm", 1)]
    answers = queued_together(world, lone_api, posts)
    mine, bystanders = answers[: len(deltas)], answers[len(deltas) :]
    assert [answer.status for answer in bystanders] == [202] * 3
    assert promised([answer.status for answer in mine]), [answer.status for answer in mine]
    for answer in mine:
        if answer.status == 409:
            problem(answer, 409, "score-out-of-range")
    taken = sum(delta for delta, answer in zip(deltas, mine, strict=True) if answer.status == 202)
    final = {user: score for user, score, _ in world.expected("s")}
    assert final[player] == start + taken
    told = [answer.json["score"] for answer in mine if answer.status == 202]
    assert all(LOW <= score <= TOP for score in told)
    assert not told or final[player] in told, "the last one told is what is there"
    ledger = "SELECT coalesce(sum(delta), 0)::text FROM ledger WHERE user_id = %s"
    assert int(world.value(ledger, player)) == start + taken


def test_answers_of_one_batch_tell_each_its_own_score(lone_api: Api) -> None:
    answers = queued_together(lone_api.world, lone_api, [("many", 5), ("many", -2), ("one", 7), ("many", 10)])
    assert [answer.json["score"] for answer in answers] == [5, 3, 7, 13]
    versions = [answer.json["version"] for answer in answers if answer.json["userId"] == "many"]
    assert versions == sorted(set(versions))
    again = queued_together(lone_api.world, lone_api, [("many", 1), ("many", 1)])
    assert min(answer.json["version"] for answer in again) > max(versions)


def test_new_seasons_in_one_batch_are_all_made(lone_api: Api) -> None:
    world = lone_api.world
    with clients(lone_api, 7) as many:
        with world.held("s"):
            many[-1].send_post("s", "plug", 1)
            eventually(lambda: world.waiting() == 1)
            for n, http in enumerate(many[:-1]):
                http.send_post(f"new {n % 3}", "ada", 1)
        assert [http.receive().status for http in many] == [202] * 7
    for n in range(3):
        assert [(u, s) for u, s, _ in world.expected(f"new {n}")] == [("ada", 2)]
        assert world.value("SELECT count(*) FROM period WHERE season_id = %s", f"new {n}") == 1


def test_two_workers_make_one_season(world: World) -> None:
    with serving(world, LEADERBOARD_WORKERS="2", LEADERBOARD_INTAKE_CONNECTIONS="2") as api:
        for n in range(15):
            with clients(api, 12) as many:
                for http in many:
                    http.send_post(f"race {n}", "ada", 1)
                assert [http.receive().status for http in many] == [202] * 12
            assert world.value("SELECT count(*) FROM period WHERE season_id = %s", f"race {n}") == 1
            assert [(u, s) for u, s, _ in world.expected(f"race {n}")] == [("ada", 12)]


def test_a_version_grows_although_a_later_batch_was_first(world: World) -> None:
    """Of two batches at once, the one with the higher numbers may write first."""
    world.submit(("s", "ada", 1))
    world.execute("UPDATE score SET reached = reached + 1000")
    before = world.value("SELECT reached FROM score")
    assert world.submit(("s", "ada", 1), ("s", "ada", 1)) == [(0, 2, before + 1), (0, 3, before + 2)]
    assert world.value("SELECT reached FROM score") == before + 2
