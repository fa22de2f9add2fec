"""Bans while relays, Redis or a season are in trouble: the answer waits, or the player is not shown."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from support.http import Http
from support.moderation import act
from support.periods import end_now, submit, turn_all
from support.processes import Api, leaderboard, relaying, serving
from support.proxy import Proxy
from support.relays import Hand, S, carrying, until_visited
from support.waiting import eventually
from support.world import World

from board.partitions import partition_of
from relay.batch import relay_batch

FOREVER = {"reason": "speed hack"}
SHORT = {"LEADERBOARD_WRITE_DEADLINE_MS": "1000"}
WEEKLY: dict[str, Any] = {"operator": "best", "schedule": {"every": "P7D", "startsAt": "2026-01-05T00:00:00Z"}}


@pytest.fixture
def api(world: World) -> Iterator[Api]:
    """A server whose requests do not wait long, two players on the board "s", and no relay any more."""
    world.submit(("s", "ada", 5), ("s", "bob", 1))
    world.carry_everything()
    with serving(world, **SHORT) as made:
        yield made


def result(http: Http, verb: str, user: str = "ada") -> tuple[int, str | None]:
    answer = act(http, verb, user, FOREVER if verb == "ban" else None)
    return answer.status, answer.json.get("code")


PENDING = (503, "moderation-pending")
DONE = (200, None)


def shown(http: Http, season: str = "s") -> list[str]:
    answer = http.top(season)
    assert answer.status == 200, answer.body
    return [item["userId"] for item in answer.json["items"]]


def check_equal(world: World) -> None:
    verified = leaderboard(world, "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_without_relays_the_answer_is_pending_and_the_first_relay_carries_it(world: World, api: Api) -> None:
    with api.client() as http:
        assert result(http, "ban") == PENDING and shown(http) == ["ada", "bob"]
        assert submit(http, "s", "ada", delta=1).json["code"] == "player-banned"
        with relaying(world):
            assert result(http, "ban") == DONE and shown(http) == ["bob"]
            check_equal(world)
        assert result(http, "unban") == PENDING and shown(http) == ["bob"]
        with relaying(world):
            eventually(lambda: shown(http) == ["ada", "bob"])
            check_equal(world)


def test_a_ban_outlives_a_relay_that_is_killed_and_a_redis_that_lost_all(world: World, api: Api) -> None:
    with api.client() as http:
        with relaying(world) as relays:
            assert result(http, "ban") == DONE
            world.flush()
            relays.stop(signal.SIGKILL)
        with relaying(world):
            eventually(lambda: http.top("s").status == 200)
            assert shown(http) == ["bob"]
            until_visited(world)
            check_equal(world)
            for verb, there in (("unban", ["ada", "bob"]), ("hide", ["bob"])):
                assert result(http, verb) == DONE
                world.flush()
                eventually(lambda: http.top("s").status == 200)
                assert shown(http) == there
                until_visited(world)
                check_equal(world)


def test_a_board_of_a_period_that_has_ended_keeps_the_answer_waiting(world: World) -> None:
    """Redis shows it until a relay has carried the turn; the player has no row in the period after it."""
    world.define("week", **WEEKLY)
    world.submit_by_rule(("week", "ada", 5, True), ("week", "bob", 1, True))
    world.carry_everything()
    end_now(world, "week")
    assert turn_all(world) == 1
    with serving(world, **SHORT) as api, api.client() as http:
        assert shown(http, "week") == ["ada", "bob"]
        assert result(http, "ban") == PENDING
        world.carry_everything()
        assert shown(http, "week") == []
        assert result(http, "ban") == DONE, "no board may show the player any more"


def test_a_period_that_ends_after_the_hint_keeps_the_answer_waiting(world: World) -> None:
    """A relay drops the hint of the period that has ended, and shows the next one a batch later."""
    world.define("week", **WEEKLY)
    world.submit_by_rule(("week", "ada", 5, True), ("week", "bob", 1, True))
    world.carry_everything()
    hand = Hand(world, limit=1)
    with serving(world, **SHORT) as api, api.client() as http, api.client() as reader:
        http.send("POST", "/v1/players/ada/ban", b'{"reason":"speed hack"}', {"Content-Type": "application/json"})
        eventually(lambda: world.value("SELECT count(*) FROM outbox WHERE user_id = 'ada'") == 1)
        end_now(world, "week")
        assert turn_all(world) == 1
        assert relay_batch(hand.session, partition_of("week")) is not None
        assert world.value("SELECT count(*) FROM outbox") > 0
        assert shown(reader, "week") == ["ada", "bob"]
        answer = http.receive()
        assert (answer.status, answer.json["code"]) == PENDING
        hand.drain()
        assert shown(reader, "week") == []
    hand.let_go()


def test_a_rebuild_under_way_does_not_bring_the_player_back(world: World, api: Api) -> None:
    hand = Hand(world)
    with api.client() as http:
        for verb, there in (("ban", ["bob"]), ("unban", ["ada", "bob"])):
            hand.start(lambda: hand.rebuild(S), "before swap")
            assert hand.stands
            assert result(http, verb) == PENDING
            hand.go_on()
            hand.drain()
            assert shown(http) == there and [user for user, _, _ in world.board("s")] == there
            check_equal(world)
    hand.let_go()


def test_a_season_that_was_set_aside_before_its_period_ended_keeps_the_answer_waiting(world: World) -> None:
    world.define("week", **WEEKLY)
    world.submit_by_rule(("week", "ada", 5, True), ("week", "bob", 1, True))
    world.carry_everything()
    world.execute(
        "INSERT INTO ailing (season_id, partition, reason, retry_at) "
        "SELECT season_id, partition, 'a test', now() + interval '1 hour' FROM season"
    )
    end_now(world, "week")
    assert turn_all(world) == 1
    with serving(world, **SHORT) as api, carrying(world), api.client() as http:
        eventually(lambda: world.value("SELECT count(*) FROM outbox") == 0)
        assert shown(http, "week") == ["ada", "bob"]
        assert result(http, "ban") == PENDING
        world.execute("UPDATE ailing SET retry_at = now()")
        eventually(lambda: result(http, "ban") == DONE)
        assert shown(http, "week") == []


def test_while_redis_is_away_the_answer_is_pending(world: World, redis_proxy: Proxy) -> None:
    world.submit(("s", "ada", 5), ("s", "bob", 1))
    world.carry_everything()
    url = f"redis://127.0.0.1:{redis_proxy.port}/1"
    with serving(world, **SHORT, REDIS_URL=url) as api, relaying(world, REDIS_URL=url), api.client() as http:
        redis_proxy.cut()
        assert result(http, "ban") == PENDING
        assert http.top("s").status == 503
        redis_proxy.open()
        eventually(lambda: http.top("s").status == 200 and result(http, "ban") == DONE)
        assert shown(http) == ["bob"]
        redis_proxy.cut()
        # It is told where the truth is.
        assert result(http, "unban") == PENDING
        assert http.get("/v1/players/ada/moderation").json["ban"] is None
        redis_proxy.open()
        eventually(lambda: http.top("s").status == 200 and shown(http) == ["ada", "bob"])
        check_equal(world)
