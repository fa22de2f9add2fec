"""Quotas: their headers, and the key or player that pays."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from board.config.load import load
from board.errors import BoardUnavailable
from board.redis.keyspace import Keyspace
from service.access.grant import Grant, Player
from service.access.quotas import Quota, Quotas, make_quota, make_quotas
from service.contract.answers import Answer

SECOND_US = 1_000_000


def made(name: str, units: int, window_s: int = 10) -> Quota:
    found = make_quota(name, units, window_s)
    assert found is not None
    return found


def state(asked: Quota, left_us: int) -> tuple[int, int]:
    """r and t of `RateLimit`."""
    policy, text = asked.format_items(left_us)
    assert policy == f'"{asked.name}";q={asked.units};w={asked.window_s}'
    name, rest, wait = text.split(";")
    assert name == f'"{asked.name}"' and rest.startswith("r=") and wait.startswith("t=")
    return int(rest[2:]), int(wait[2:])


def test_no_units_are_no_quota() -> None:
    assert make_quota("key", 0, 10) is None


def test_a_quota_never_changes() -> None:
    asked = made("key", 5)
    with pytest.raises(AttributeError):
        asked.units = 6  # type: ignore[misc]


def test_the_headers_of_a_quota() -> None:
    asked = made("key", 5)
    assert state(asked, 2 * SECOND_US) == (4, 2)
    assert state(asked, 2 * SECOND_US + 1) == (3, 1)
    assert state(asked, 10 * SECOND_US) == (0, 2)
    assert state(asked, 9 * SECOND_US) == (0, 1)
    assert state(asked, 12 * SECOND_US) == (0, 4), "of a time when it was larger, more may be spent than it has"


@given(st.integers(1, 1_000_000), st.integers(1, 3_600), st.data())
def test_what_is_left_and_when_there_is_more(units: int, window_s: int, data: st.DataObject) -> None:
    asked = made("key", units, window_s)
    # All of a quota can be spent in one moment, and it is full again within the window.
    assert asked.each_us * units <= asked.whole_us <= window_s * SECOND_US
    left_us = data.draw(st.integers(0, asked.whole_us))
    rest, wait_s = state(asked, left_us)
    assert 0 <= rest <= units
    assert rest * asked.each_us + left_us <= asked.whole_us
    assert 1 <= wait_s <= window_s
    later = max(0, left_us - wait_s * SECOND_US)
    assert rest == units or state(asked, later)[0] > rest


class Recorder:
    """Stands for a Redis whose quotas are all fresh, or that gives these replies; keeps what was asked of it."""

    def __init__(self, *replies: list[int] | BoardUnavailable) -> None:
        self.spent: list[tuple[bytes, int]] = []
        self.replies = [*replies]
        self.asked: list[tuple[tuple[bytes, ...], bool, float]] = []

    async def run(self, script: Any, *args: bytes, writes: bool, deadline_s: float) -> list[int]:
        self.asked.append((args, writes, deadline_s))
        if self.replies:
            reply = self.replies.pop(0)
            if isinstance(reply, BoardUnavailable):
                raise reply
            return reply
        count = int(args[0])
        numbers = [int(arg) for arg in args[1 + count :]]
        self.spent = list(zip(args[1 : 1 + count], numbers[2::3], strict=True))
        return [0, *(each * units for each, units in zip(numbers[::3], numbers[2::3], strict=True))]


KEY = Grant("k:0123456789", 7, None, 1e12)
TOKEN = Grant("u:ada", 7, None, 1e12, Player("ada"))


def charged(grant: Grant, key: int, player: int, units: int, users: dict[str, int]) -> dict[bytes, int]:
    """What is spent, and of whose quota."""
    pipe = Recorder()
    quotas = Quotas(
        pipe,  # type: ignore[arg-type]
        Keyspace("t"),
        key=make_quota("key", key, 10),
        player=make_quota("player", player, 10),
        deadline_s=1.0,
        closed=False,
    )
    paid = asyncio.run(quotas.charge(grant, units, users))
    assert not isinstance(paid, Answer)
    assert bool(paid) == bool(pipe.spent)
    return dict(pipe.spent)


def test_who_pays() -> None:
    users = {"ada": 2, "bob": 1}
    key, ada, bob = b"t:{limits}:k:0123456789", b"t:{limits}:u:ada", b"t:{limits}:u:bob"
    assert charged(KEY, 9, 9, 3, users) == {key: 3, ada: 2, bob: 1}
    assert charged(KEY, 9, 0, 3, users) == {key: 3}
    assert charged(KEY, 0, 9, 3, users) == {ada: 2, bob: 1}
    assert charged(KEY, 0, 9, 1, {}) == {}
    # A token pays for what it sends as its own player, whoever is named in there.
    assert charged(TOKEN, 9, 9, 3, users) == {ada: 3}
    assert charged(TOKEN, 9, 0, 3, users) == {}


def quotas_on(redis: Recorder, *, closed: bool = False) -> Quotas:
    return Quotas(
        redis,  # type: ignore[arg-type]
        Keyspace("t"),
        key=make_quota("key", 5, 10),
        player=make_quota("player", 3, 10),
        deadline_s=0.25,
        closed=closed,
    )


def code_of(answer: Any) -> tuple[int, str, str]:
    assert isinstance(answer, Answer)
    problem = msgspec.json.decode(answer.body)
    return answer.status, problem["code"], problem.get("detail", "")


def test_units_and_times_are_sent_in_one_call_with_its_deadline() -> None:
    redis = Recorder()
    asyncio.run(quotas_on(redis).charge(KEY, 2, {"ada": 1}))
    keys = (b"t:{limits}:k:0123456789", b"t:{limits}:u:ada")
    numbers = (b"2000000", b"10000000", b"2", b"3333333", b"9999999", b"1")
    assert redis.asked == [((b"2", *keys, *numbers), True, 0.25)]


def test_a_request_is_one_unit_of_its_key() -> None:
    redis = Recorder()
    asyncio.run(quotas_on(redis).charge(KEY))
    assert redis.spent == [(b"t:{limits}:k:0123456789", 1)]


def test_headers_tell_of_all_players_the_one_with_the_fewest_units_left() -> None:
    redis = Recorder([0, 2_000_000, 3_333_333, 6_666_666, 0])
    paid = asyncio.run(quotas_on(redis).charge(KEY, 1, {"ada": 1, "bob": 2, "eve": 1}))
    assert paid == (
        ("ratelimit-policy", '"key";q=5;w=10, "player";q=3;w=10'),
        ("ratelimit", '"key";r=4;t=2, "player";r=1;t=4'),
    )


@pytest.mark.parametrize("reply", [[0], [0, 0, 0]])
def test_a_reply_for_another_number_of_quotas_lets_nothing_through(reply: list[int]) -> None:
    with pytest.raises(ValueError, match="zip"):
        asyncio.run(quotas_on(Recorder(reply)).charge(KEY))


def test_a_quota_that_is_used_up_is_named_with_the_time_until_it_is_enough() -> None:
    redis = Recorder([2, 1_000_001, 9_999_999])
    answer = asyncio.run(quotas_on(redis).charge(KEY, 1, {"ada": 1}))
    assert code_of(answer) == (429, "rate-limited", "Player ada has used up the quota; nothing was done.")
    assert isinstance(answer, Answer) and answer.retry_after_s == 2
    assert answer.headers == (("ratelimit-policy", '"player";q=3;w=10'), ("ratelimit", '"player";r=0;t=4'))
    redis.replies = [[1, 1_000_000, 9_000_000]]
    answer = asyncio.run(quotas_on(redis).charge(KEY, 1, {"ada": 1}))
    assert code_of(answer)[2].startswith("The key has") and isinstance(answer, Answer) and answer.retry_after_s == 1


def test_a_batch_beyond_a_whole_quota_can_never_be_paid() -> None:
    redis = Recorder()
    quotas = quotas_on(redis)
    assert not isinstance(asyncio.run(quotas.charge(KEY, 5, {"ada": 3})), Answer)
    assert len(redis.asked) == 1
    assert code_of(asyncio.run(quotas.charge(KEY, 5, {"bob": 1, "ada": 4}))) == (
        413,
        "batch-over-limit",
        "Player ada has 4 submissions in this batch, and a quota of 3; nothing was written.",
    )
    assert code_of(asyncio.run(quotas.charge(KEY, 6)))[2].startswith("The key has 6 submissions")
    assert len(redis.asked) == 1, "nothing was spent"


@pytest.mark.parametrize("closed", [True, False])
def test_without_redis_requests_are_let_through_or_refused_and_the_log_tells_it_once(
    closed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    away = BoardUnavailable("away")
    quotas = quotas_on(Recorder(away, away, [0, 0], [0, 0], away), closed=closed)
    found = [asyncio.run(quotas.charge(KEY)) for _ in range(5)]
    for at in (0, 1, 4):
        assert code_of(found[at])[:2] == (503, "limits-unavailable") if closed else found[at] == ()
    assert found[2] == found[3] != ()
    refused = "refused" if closed else "let through"
    warning = f"quotas are not enforced, requests are {refused}: away"
    assert [record.getMessage() for record in caplog.records] == [warning, "quotas are enforced again", warning]


def test_the_settings_make_the_quotas() -> None:
    def quotas(**members: str) -> Quotas | None:
        settings = load({f"LEADERBOARD_LIMIT_{name}": value for name, value in members.items()})
        return make_quotas(settings, Recorder(), Keyspace("t"))  # type: ignore[arg-type]

    assert quotas() is None
    only_key, only_player = quotas(KEY="4"), quotas(PLAYER="3", WINDOW_S="7", DEADLINE_MS="250", FAIL="closed")
    assert only_key is not None and only_player is not None
    assert (only_key._key, only_key._player, only_key._closed) == (made("key", 4), None, False)
    assert (only_player._key, only_player._player) == (None, made("player", 3, 7))
    assert (only_player._deadline_s, only_player._closed) == (0.25, True)
