"""Relays that crash or stand still in the middle: no hint is lost, and no write of a fenced relay counts."""

from __future__ import annotations

import threading

import psycopg
import pytest
from support.relays import Hand, S, Stepped, equal
from support.waiting import eventually
from support.world import World

from relay.batch import Refused, relay_batch

pytestmark = pytest.mark.topology


class Paused(Stepped):
    """Stands still between reading PostgreSQL and writing Redis, until told."""

    reached: threading.Event
    go: threading.Event

    def pass_by(self, point: str) -> None:
        if point == "before apply":
            self.reached.set()
            assert self.go.wait(20)


def test_a_zombies_write_is_refused(world: World) -> None:
    """A reads, loses its claim unnoticed, B reads newer rows and writes; then A wakes up."""
    world.submit(("s", "ada", 5))
    a = world.session(Paused)
    assert isinstance(a, Paused)
    a.reached, a.go = threading.Event(), threading.Event()
    outcome: list[object] = []

    def zombie() -> None:
        try:
            outcome.append(relay_batch(a, S))
        except (Refused, psycopg.OperationalError) as error:
            outcome.append(error)

    thread = threading.Thread(target=zombie)
    thread.start()
    assert a.reached.wait(20)
    assert world.rows("SELECT pg_terminate_backend(%s)", a.db.info.backend_pid) == [(True,)]
    b = world.session()
    world.submit(("s", "ada", 1))
    eventually(lambda: (done := relay_batch(b, S)) is not None and done.hints)
    newest = world.board("s")
    held = world.fence("s")
    assert [(u, s) for u, s, _ in newest] == [("ada", 6)]
    a.go.set()
    thread.join(20)
    assert isinstance(outcome[0], Refused) and outcome[0].verdict.word == "ahead"
    assert world.board("s") == newest and world.fence("s") == held
    assert equal(world)


def test_a_zombie_that_writes_first_is_overwritten(world: World) -> None:
    """The other order: A's claim is gone, A writes all the same, then B carries the hints that A never deleted."""
    world.submit(("s", "ada", 5))
    a = world.session(Paused)
    assert isinstance(a, Paused)
    a.reached, a.go = threading.Event(), threading.Event()
    outcome: list[BaseException] = []

    def zombie() -> None:
        try:
            relay_batch(a, S)
        except psycopg.OperationalError as error:
            outcome.append(error)

    thread = threading.Thread(target=zombie)
    thread.start()
    assert a.reached.wait(20)
    assert world.rows("SELECT pg_terminate_backend(%s)", a.db.info.backend_pid) == [(True,)]
    world.submit(("s", "ada", 1))
    a.go.set()
    thread.join(20)
    assert outcome, "its commit failed"
    assert world.counts()["outbox"] > 0, "the deletion was rolled back with the claim"
    Hand(world).drain()
    assert equal(world)


@pytest.mark.parametrize("point", ["after claim", "after take", "before apply", "after apply"])
def test_a_crash_leaves_the_hints(world: World, point: str) -> None:
    world.submit(("s", "ada", 5))
    hand = Hand(world)
    before = world.counts()["outbox"]
    hand.crash(S, at=point)
    assert world.counts()["outbox"] == before
    assert (world.board("s") != []) == (point == "after apply")
    hand.drain()
    assert equal(world)


def test_rows_are_read_after_the_claim(world: World) -> None:
    """The claim and the take are two statements, so that the rows are never older than the claim.

    B stands still inside its claim, before it locks the row, with a snapshot already taken. Meanwhile A carries a
    newer score. If B read rows with the snapshot of its claim, it would put the older score back.
    """
    world.create("s")
    relay_batch(world.session(), S)
    world.submit(("s", "ada", 100))
    world.submit(("s", "ada", 1))
    a, b = world.session(limit=1), world.session()
    b.db.execute("SET application_name = 'slow'")
    with psycopg.connect(world.settings.database_url, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(4711)")
        holder.execute(
            "ALTER TABLE partition RENAME TO partition_table;"
            "CREATE FUNCTION pause() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN "
            "IF current_setting('application_name') = 'slow' THEN PERFORM pg_advisory_xact_lock_shared(4711); END IF; "
            "RETURN true; END $$;"
            "CREATE VIEW partition AS SELECT ctid, * FROM partition_table WHERE pause();"
        )
        thread = threading.Thread(target=relay_batch, args=(b, S))
        thread.start()
        try:
            eventually(lambda: world.waiting("slow") == 1)
            world.submit(("s", "ada", 1_000))
            assert (done := relay_batch(a, S)) is not None and done.hints == 1
            assert [(u, s) for u, s, _ in world.board("s")] == [("ada", 1_101)]
        finally:
            holder.execute("SELECT pg_advisory_unlock(4711)")
            thread.join(20)
    assert [(u, s) for u, s, _ in world.board("s")] == [("ada", 1_101)], "Redis only moves forward"
