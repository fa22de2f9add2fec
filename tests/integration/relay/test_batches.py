"""The relay: the content of a batch, and what becomes of hints."""

from __future__ import annotations

import psycopg
import pytest
from support.relays import S, equal
from support.world import World

from board.partitions import PARTITIONS, partition_of
from board.pg.arrays import adapt_arrays
from relay.batch import pending_partitions, relay_batch
from relay.rebuild import rebuild

pytestmark = pytest.mark.topology


def test_a_submission_is_carried(world: World) -> None:
    world.submit(("s", "ada", 5), ("s", "bob", 7), ("s", "ada", 1))
    carried = relay_batch(world.session(), S)
    assert carried is not None
    # One hint of the new season and one of each player, however often the player submitted.
    assert (carried.hints, carried.seasons, carried.more) == (3, 1, False)
    assert [(u, s) for u, s, _ in world.board("s")] == [("bob", 7), ("ada", 6)]
    assert equal(world) and world.counts()["outbox"] == 0


def test_nothing_to_carry_leaves_no_trace(world: World) -> None:
    session = world.session()
    carried = relay_batch(session, S)
    assert carried is not None and carried.hints == 0
    assert world.fence("s") is None
    assert world.value("SELECT fence FROM partition WHERE id = %s", S) == 0


def test_a_check_writes_the_first_watermark(world: World) -> None:
    session = world.session()
    for partition in range(PARTITIONS):
        relay_batch(session, partition, check=True)
    assert all(world.redis.hget(key, "fence") for key in world.keys.watermark)
    assert {world.redis.hget(key, "identity").decode() for key in world.keys.watermark} == {session.identity}


def test_batches_are_bounded_and_say_that_more_waits(world: World) -> None:
    world.create("s")
    session = world.session(limit=4)
    relay_batch(session, S)
    world.submit(*(("s", f"p{n}", n + 1) for n in range(10)))
    seen = []
    for _ in range(4):
        carried = relay_batch(session, S)
        assert carried is not None
        seen.append((carried.hints, carried.more))
    assert seen == [(4, True), (4, True), (2, False), (0, False)]
    assert equal(world)


def test_several_seasons_of_one_partition_go_together(world: World) -> None:
    names = [name for n in range(500) if partition_of(name := f"s{n}") == S][:3]
    world.submit(*((name, "ada", n + 1) for n, name in enumerate(names)))
    carried = relay_batch(world.session(), S)
    assert carried is not None and carried.seasons == 3
    assert equal(world, *names)


def test_a_batch_larger_than_lua_can_unpack(world: World) -> None:
    world.submit(*(("s", f"player {n}", n % 70 + 1) for n in range(4_900)))
    session = world.session(limit=50_000)
    relay_batch(session, S)
    assert equal(world)
    world.submit(*(("s", f"player {n}", 1) for n in range(0, 4_900, 2)))
    relay_batch(session, S)
    assert equal(world)
    with world.db.transaction():
        for n in range(0, 4_900, 3):
            world.correct("s", f"player {n}", None)
    relay_batch(session, S)
    assert equal(world) and len(world.board("s")) == 4_900 - 1_634


def test_corrections_and_removals_travel_the_same_way(world: World) -> None:
    world.submit(("s", "ada", 5), ("s", "bob", 7), ("s", "cy", 7))
    session = world.session()
    relay_batch(session, S)
    world.correct("s", "ada", 100)
    world.correct("s", "bob", None)
    world.correct("s", "nobody", None)
    relay_batch(session, S)
    assert [(u, s) for u, s, _ in world.board("s")] == [("ada", 100), ("cy", 7)]
    assert set(world.redis.hkeys(world.keys.members(S, b"s"))) == {b"ada", b"cy"}
    assert equal(world)


def test_the_number_of_players_is_noted_exactly(world: World) -> None:
    """Readers refuse a board of another size; see docs/architecture.md, "The board in Redis"."""
    session = world.session()

    def noted() -> list[bytes | None]:
        return list(world.redis.hmget(world.keys.watermark[S], "n:s", "counted", "fence"))

    world.submit(("s", "ada", 5), ("s", "bob", 7), ("s", "cy", 7))
    period = world.value("SELECT period_id FROM season")
    for number, change in (
        (3, lambda: None),
        (3, lambda: world.submit(("s", "ada", 1), ("s", "bob", 1))),
        (2, lambda: world.correct("s", "bob", None)),
        (2, lambda: world.correct("s", "bob", None)),
        (4, lambda: world.submit(("s", "bob", 1), ("s", "dan", 1), ("s", "ada", 1))),
    ):
        change()
        relay_batch(session, S)
        players, counted, fence = noted()
        assert (players or b"").rpartition(b":")[0] == b"%d:%d" % (number, period) and counted == fence


def test_hints_twice_are_harmless(world: World) -> None:
    world.submit(("s", "ada", 5))
    session = world.session()
    for _ in range(3):
        world.rows(
            "INSERT INTO outbox (partition, period_id, user_id) SELECT partition, period_id, 'ada' FROM season, "
            "generate_series(1, 5) RETURNING 1"
        )
        relay_batch(session, S)
        assert equal(world)


def test_a_reset_empties_the_board_and_nothing_brings_it_back(world: World) -> None:
    world.submit(("s", "ada", 5))
    session = world.session()
    relay_batch(session, S)
    old = world.value("SELECT period_id FROM season")
    world.reset("s")
    world.rows("INSERT INTO outbox (partition, period_id, user_id) VALUES (%s, %s, 'ada') RETURNING 1", S, old)
    relay_batch(session, S)
    assert world.board("s") == []
    assert int(world.redis.hget(world.keys.periods[S], "s")) == world.value("SELECT period_id FROM season") > old
    world.submit(("s", "ada", 1))
    relay_batch(session, S)
    assert [(u, s) for u, s, _ in world.board("s")] == [("ada", 1)]


def test_a_hint_that_commits_late_is_not_passed_over(world: World) -> None:
    """A full batch must not move the low mark past a transaction that is still in progress."""
    world.create("s")
    session = world.session(limit=2)
    relay_batch(session, S)
    with psycopg.connect(world.settings.database_url) as slow:
        adapt_arrays(slow)
        world.submit(("s", "slow", 1), db=slow)
        world.submit(("s", "a", 1), ("s", "b", 2))
        carried = relay_batch(session, S)
        assert carried is not None and carried.hints == 2
        relay_batch(session, S)
        slow.commit()
    while pending_partitions(session):
        relay_batch(session, S)
    assert equal(world) and len(world.board("s")) == 3
    assert world.counts()["outbox"] == 0


def test_a_hint_that_commits_late_is_not_passed_over_by_an_empty_batch_either(world: World) -> None:
    world.create("s")
    session = world.session()
    relay_batch(session, S)
    with psycopg.connect(world.settings.database_url) as slow:
        adapt_arrays(slow)
        world.submit(("s", "slow", 1), db=slow)
        world.submit(("s", "a", 1))
        relay_batch(session, S, check=True)
        relay_batch(session, S, check=True)
        slow.commit()
    assert pending_partitions(session) == [S]
    relay_batch(session, S)
    assert equal(world) and world.counts()["outbox"] == 0


def test_a_foreign_long_transaction_holds_nothing_up(world: World) -> None:
    world.create("s")
    session = world.session()
    with psycopg.connect(world.settings.database_url) as other:
        other.execute("SELECT pg_current_xact_id()")
        for n in range(5):
            world.submit(("s", "ada", n + 1))
            relay_batch(session, S)
            assert equal(world)


def test_a_held_partition_is_left_alone(world: World) -> None:
    world.submit(("s", "ada", 5))
    session = world.session()
    with psycopg.connect(world.settings.database_url) as other:
        other.execute("SELECT FROM partition WHERE id = %s FOR UPDATE", (S,))
        assert relay_batch(session, S) is None
        assert rebuild(session, S) is None
    assert relay_batch(session, S) is not None
    assert equal(world)


def test_the_low_mark_of_another_postgresql_hides_no_hint(world: World) -> None:
    """After a restore the numbers of transactions begin anew, below the mark that came with the dump."""
    world.submit(("s", "ada", 1))
    world.execute("UPDATE partition SET identity = '1:00000001', low_xid = '1000000000000'")
    session = world.session()
    assert pending_partitions(session) == [S]
    carried = relay_batch(session, S)
    assert carried is not None and carried.hints == 2


def test_partitions_that_wait_longest_come_first(world: World) -> None:
    names = {partition_of(name): name for name in map(str, range(500))}
    world.submit(*((names[partition], "ada", 1) for partition in (3, 4, 5)))
    world.execute(
        "UPDATE partition SET committed_at = now() - id * interval '1 minute'",
        "UPDATE partition SET committed_at = NULL WHERE id = 4",
    )
    assert pending_partitions(world.session()) == [4, 5, 3]


def test_no_fence_is_drawn_twice(world: World) -> None:
    session = world.session()
    drawn = [session.value("draw_fence") for _ in range(3)]
    drawn += [session.value("advance_fence", floor=1), session.value("draw_fence")]
    drawn += [session.value("advance_fence", floor=1_000), session.value("draw_fence")]
    assert drawn == sorted(set(drawn)) and drawn[-2] == 1_001
