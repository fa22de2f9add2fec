"""Bounds of a relay's connections: it waits for no lock for long, and one that hangs gives its claim back."""

from __future__ import annotations

import time

import psycopg
import pytest
from support.relays import S
from support.world import World

from board.errors import BoardUnavailable
from relay.batch import relay_batch
from relay.session import SESSION


def test_a_relay_waits_for_a_lock_a_few_seconds_only(world: World) -> None:
    world.submit(("s", "ada", 1))
    session = world.session()
    with psycopg.connect(world.settings.database_url) as holder:
        holder.execute("LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        with pytest.raises(psycopg.errors.LockNotAvailable):
            relay_batch(session, S)
        assert 4 < time.monotonic() - began < 15
    assert relay_batch(session, S) is not None, "the session goes on"


def test_a_relay_that_hangs_in_a_batch_loses_its_claim(world: World) -> None:
    session = world.session()
    assert session.db.execute("SHOW idle_in_transaction_session_timeout").fetchone() == ("1min",)
    assert SESSION["idle_in_transaction_session_timeout"] == "60s"
    # What PostgreSQL does then, in less time.
    session.db.execute("SET idle_in_transaction_session_timeout = '200ms'")
    session.db.execute("BEGIN")
    session.fetch("claim", partition=S, identity=session.identity)
    other = world.session()
    deadline = time.monotonic() + 20
    while not other.fetch("claim", partition=S, identity=other.identity):
        assert time.monotonic() < deadline


def test_a_reply_of_redis_is_awaited_a_bounded_time(world: World) -> None:
    session = world.session(redis_timeout_s=0.3)
    began = time.monotonic()
    world.redis.client_pause(2_000)
    with pytest.raises(BoardUnavailable):
        session.redis.call("SET", f"{world.name}:x", "1")
    assert time.monotonic() - began < 1.5
    world.redis.client_unpause()
