"""`minVersion`: a read waits until the board shows that version of the player, and not longer than a read may take."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from support.http import Answer, Http
from support.operations import SPELLING
from support.processes import Api, serving
from support.redis_calls import LOOKS, counting_calls, wait_for_looks
from support.relays import S
from support.waiting import eventually
from support.world import World

from relay.batch import relay_batch

READS = ["rank?userId=ada", "around?userId=ada&range=2"]
READS += ["around?userId=ada&range=1&fill=true", "around?range=0&userId=ada"]
Path = Callable[[str], str]


@pytest.fixture
def filled(world: World) -> World:
    """Five players, carried."""
    world.submit(*(("s", user, score) for user, score in (("ada", 3), ("bob", 5), ("cy", 4), ("dee", 2), ("eve", 1))))
    world.carry_everything()
    return world


def carry(world: World) -> None:
    """Do a relay's work for the partition."""
    relay_batch(world.session(), S, check=True)


@pytest.fixture
def patient(filled: World) -> Iterator[Api]:
    """A server with a minute for a read."""
    with serving(filled, "/readyz", LEADERBOARD_READ_DEADLINE_MS="60000") as api:
        yield api


@pytest.fixture
def hasty(filled: World) -> Iterator[Api]:
    """A server with half a second for a read."""
    with serving(filled, "/readyz", LEADERBOARD_READ_DEADLINE_MS="500") as api:
        yield api


def submit(world: World, user: str, delta: int = 1) -> int:
    """Submit to "s" without carrying it; the player's version."""
    ((_, _, version),) = world.submit(("s", user, delta))
    return version


def target(read: str, version: int, season: str = "s") -> str:
    return f"/v1/seasons/{season}/leaderboard/{read}&minVersion={version}"


def score_of(answer: Answer) -> int:
    """The score of ada."""
    found: int = answer.json.get("score") or next(i for i in answer.json["items"] if i["userId"] == "ada")["score"]
    return found


@SPELLING
def test_a_read_waits_for_the_version(patient: Api, spelt: Path) -> None:
    world = patient.world
    with patient.client() as http:
        for n, read in enumerate(READS):
            shown = http.get("/v1/seasons/s/leaderboard/rank?userId=ada").json["version"]
            for version in (0, 1, shown):
                assert score_of(http.get(target(read, version, spelt("s")))) == 3 + n
            later = submit(world, "ada")
            http.send("GET", target(read, later, spelt("s")))
            wait_for_looks(world)
            carry(world)
            answer = http.receive()
            assert (answer.status, score_of(answer)) == (200, 4 + n), answer.body


def test_it_goes_on_waiting_while_others_move(patient: Api) -> None:
    world = patient.world
    with patient.client() as http:
        later = submit(world, "bob") + 1  # the next number is ada's
        http.send("GET", target(READS[0], later))
        for _ in range(3):
            wait_for_looks(world)
            carry(world)
            world.rows(
                "INSERT INTO outbox (partition, period_id, user_id) SELECT partition, period_id, 'bob' FROM season "
                "WHERE season_id = 's' RETURNING 1"
            )
        assert submit(world, "ada") == later
        carry(world)
        assert http.receive().json["version"] == later


@pytest.mark.parametrize("season", ["s", "t"])
def test_a_player_who_is_not_on_the_board_may_come(patient: Api, season: str) -> None:
    world = patient.world
    with patient.client() as http:
        http.send("GET", f"/v1/seasons/{season}/leaderboard/rank?userId=new&minVersion=1")
        wait_for_looks(world)
        world.submit((season, "new", 7))
        world.carry_everything()
        answer = http.receive()
        assert (answer.status, answer.json["score"]) == (200, 7)


@SPELLING
def test_at_the_deadline_it_says_that_it_is_not_visible(hasty: Api, spelt: Path) -> None:
    later = submit(hasty.world, "ada")
    with hasty.client() as http:
        for read, version in (
            (READS[0], later),
            (READS[1], 2**63 - 1),
            ("rank?userId=zoe", 1),
            ("around?userId=zoe", 0),
        ):
            for season in ("s", "never-submitted-to") if "zoe" in read else ("s",):
                began = time.monotonic()
                answer = http.get(target(read, version, spelt(season)))
                assert (answer.status, answer.json["code"]) == (409, "not-yet-visible"), answer.body
                assert int(answer.headers["retry-after"]) >= 1
                assert 0.4 < time.monotonic() - began < 5


def test_many_who_wait_are_one_look(hasty: Api) -> None:
    world, later = hasty.world, submit(hasty.world, "ada")
    with ExitStack() as stack:
        clients = [stack.enter_context(hasty.client()) for _ in range(40)]
        calls = stack.enter_context(counting_calls(world))
        for http in clients:
            http.send("GET", target(READS[0], later))
        answers = [http.receive() for http in clients]
        asked = calls.count(*LOOKS)
    assert {answer.status for answer in answers} == {409}
    # Two reads of each, of which many are one call; and looks at the fence from the first wait to the last deadline.
    assert 10 < asked < 2 * 40 + 2 * 500 / 5, asked


def test_nothing_is_looked_at_when_nobody_waits(hasty: Api) -> None:
    world, later = hasty.world, submit(hasty.world, "ada")
    with hasty.client() as http, counting_calls(world) as calls:
        assert http.get(target(READS[0], later)).status == 409
        assert calls.count(*LOOKS) > 0

        def is_quiet() -> bool:
            before = calls.count(*LOOKS)
            assert http.get("/livez").status == 200
            time.sleep(0.1)  # several looks
            return calls.count(*LOOKS) == before

        eventually(is_quiet, 5)


def test_a_board_that_is_lost_meanwhile_is_no_board(patient: Api) -> None:
    world, later = patient.world, submit(patient.world, "ada")
    with patient.client() as http:
        http.send("GET", target(READS[0], later))
        wait_for_looks(world, 8)  # two reads, of which the second would find the board lost, and then the fence alone
        kept = world.redis.hgetall(world.keys.watermark[S])
        world.redis.delete(world.keys.watermark[S])
        wait_for_looks(world)
        world.redis.hset(world.keys.watermark[S], mapping=kept)
        carry(world)
        assert http.receive().json["version"] == later


def test_what_is_no_version_is_refused(hasty: Api) -> None:
    with hasty.client() as http:
        for read, text in itertools.product(READS[:2], ["-1", "x", "", "1.0", str(2**63), "1" * 30]):
            answer: Answer = http.get(f"/v1/seasons/s/leaderboard/{read}&minVersion={text}")
            assert (answer.status, answer.json["code"]) == (400, "invalid-min-version"), (read, text)


def test_a_stop_answers_those_who_wait(hasty: Api) -> None:
    later = submit(hasty.world, "ada")
    http: Http
    with hasty.client() as http:
        http.send("GET", target(READS[0], later))
        wait_for_looks(hasty.world)
        assert hasty.command.stop() == 0
        assert http.receive().status == 409
