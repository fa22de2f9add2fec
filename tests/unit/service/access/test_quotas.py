"""Quotas: their headers, and the key or player that pays."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from board.redis.keyspace import Keyspace
from service.access.grant import Grant, Player
from service.access.quotas import Quota, Quotas, make_quota
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


def test_the_headers_of_a_quota() -> None:
    asked = made("key", 5)
    assert state(asked, 2 * SECOND_US) == (4, 2)
    assert state(asked, 2 * SECOND_US + 1) == (3, 1)
    assert state(asked, 10 * SECOND_US) == (0, 2)
    assert state(asked, 9 * SECOND_US) == (0, 1)


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
    """Stands for a Redis whose quotas are all fresh; keeps what was asked of it."""

    def __init__(self) -> None:
        self.spent: list[tuple[bytes, int]] = []

    async def run(self, script: Any, *args: bytes, writes: bool, deadline_s: float) -> list[int]:
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
