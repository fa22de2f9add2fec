"""The relay: what it carries, in which order of steps, and what the fence refuses."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest
from support.processes import relaying
from support.relays import Hand, Stepped
from support.waiting import eventually
from support.world import World

from board.partitions import PARTITIONS, partition_of
from board.pg.arrays import adapt_arrays
from relay.batch import BatchResult, Refused, pending_partitions, relay_batch
from relay.history import is_past
from relay.rebuild import rebuild
from relay.session import RelaySession

S = partition_of("s")


def equal(world: World, *seasons: str) -> bool:
    """Whether Redis holds what PostgreSQL has, read by the test itself."""
    return all(world.board(season) == world.expected(season) for season in seasons or ("s",))


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


def test_somebody_elses_long_transaction_holds_nothing_up(world: World) -> None:
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


# --- The fence


def watermark(world: World, **fields: Any) -> None:
    """Write what Redis remembers of the partition; None takes a field away."""
    for name, value in fields.items():
        if value is None:
            world.redis.hdel(world.keys.watermark[S], name)
        else:
            world.redis.hset(world.keys.watermark[S], name, value)


def refusal(world: World, session: RelaySession) -> str:
    """The verdict when a batch is carried; it must have changed nothing on either side."""
    before = (world.board("s"), world.redis.hgetall(world.keys.watermark[S]), world.counts())
    committed = world.rows("SELECT fence, identity, low_xid::text FROM partition ORDER BY id")
    with pytest.raises(Refused) as caught:
        relay_batch(session, S, check=True)
    assert (world.board("s"), world.redis.hgetall(world.keys.watermark[S]), world.counts()) == before
    assert world.rows("SELECT fence, identity, low_xid::text FROM partition ORDER BY id") == committed
    return caught.value.verdict.word


@pytest.fixture
def carried(world: World) -> RelaySession:
    """A session that has carried one board; one more hint waits."""
    world.submit(("s", "ada", 5))
    session = world.session()
    relay_batch(session, S)
    world.submit(("s", "ada", 1))
    return session


def test_fence_lost_everything(world: World, carried: RelaySession) -> None:
    world.redis.flushdb()
    assert refusal(world, carried) == "lost"


def test_fence_lost_the_latest(world: World, carried: RelaySession) -> None:
    held = world.fence("s")
    assert held is not None
    watermark(world, fence=held - 1)
    assert refusal(world, carried) == "lost"


def test_fence_of_another_postgresql(world: World, carried: RelaySession) -> None:
    watermark(world, identity="1:00000001")
    assert refusal(world, carried) == "identity"
    watermark(world, identity=None)
    assert refusal(world, carried) == "identity"


def test_fence_ahead(world: World, carried: RelaySession) -> None:
    watermark(world, fence=10**15)
    assert refusal(world, carried) == "ahead"


def test_fence_between_is_a_crash_before_the_commit(world: World, carried: RelaySession) -> None:
    # Redis holds an attempt that PostgreSQL never committed: above the committed one, below the next.
    world.value("SELECT nextval('fence')")
    watermark(world, fence=world.value("SELECT nextval('fence')"))
    relay_batch(carried, S)
    assert equal(world)


def test_fence_never_committed_and_nothing_held(world: World) -> None:
    world.submit(("s", "ada", 5))
    relay_batch(world.session(), S)
    assert equal(world)


@pytest.mark.parametrize("loss", ["everything", "watermark", "board", "latest", "stale"])
def test_what_redis_lost_is_rebuilt(world: World, carried: RelaySession, loss: str) -> None:
    stale = {key: world.redis.dump(key) for key in world.redis.keys(f"{world.name}:*")}
    hand = Hand(world)
    if loss == "stale":
        # A failover to a replica that was behind: all of it is of one moment, but an old one.
        hand.serve(S)
        world.submit(("s", "bob", 9))
        hand.serve(S)
        world.redis.flushdb()
        for key, value in stale.items():
            world.redis.restore(key, 0, value)
    elif loss == "everything":
        world.redis.flushdb()
    elif loss == "watermark":
        world.redis.delete(world.keys.watermark[S])
    elif loss == "latest":
        watermark(world, fence=0)
    else:
        world.redis.delete(world.keys.board(S, b"s"), world.keys.members(S, b"s"), world.keys.watermark[S])
    hand.drain()
    assert equal(world)
    assert all(world.redis.hget(key, "fence") for key in world.keys.watermark)


def test_another_postgresql_is_rebuilt_unless_it_is_a_later_one(world: World, carried: RelaySession) -> None:
    system, _, timeline = carried.identity.partition(":")
    later = f"{system}:{int(timeline, 16) + 1:08X}"
    watermark(world, identity=later)
    hand = Hand(world)
    hand.serve(S)
    assert world.redis.hget(world.keys.watermark[S], "identity").decode() == later, "we are the past: hands off"
    watermark(world, identity="1:00000009")
    hand.drain()
    assert equal(world)
    assert world.redis.hget(world.keys.watermark[S], "identity").decode() == carried.identity


def test_a_rebuild_from_before_a_failover_is_refused(world: World, carried: RelaySession) -> None:
    """A relay of the old timeline stood still in its rebuild while the new one wrote."""
    system, _, timeline = carried.identity.partition(":")
    later = f"{system}:{int(timeline, 16) + 1:08X}"
    hand = Hand(world)
    hand.start(lambda: hand.rebuild(S), "before swap")
    watermark(world, identity=later, fence=1)
    board = world.board("s")
    world.redis.zadd(world.keys.board(S, b"s"), {b"\0" * 10 + b"new": -9})
    newer = world.board("s")
    assert newer != board
    hand.go_on()
    assert world.board("s") == newer
    assert world.redis.hget(world.keys.watermark[S], "identity").decode() == later


def test_is_past() -> None:
    assert is_past("7:00000001", "7:00000002")
    assert not is_past("7:00000002", "7:00000002")
    assert not is_past("7:00000002", "7:00000001")
    assert not is_past("7:00000001", "8:00000002")
    assert is_past("7:00000009", "7:0000000A") and is_past("7:000000FF", "7:00000100")


def test_postgresql_that_lost_history_overtakes_redis(world: World, carried: RelaySession) -> None:
    # A restore in place: same identity, but the sequence has fallen behind what Redis has seen.
    watermark(world, fence=10**12)
    hand = Hand(world)
    hand.drain()
    assert equal(world)
    held = world.fence("s")
    assert held is not None and held > 10**12
    assert world.value("SELECT fence FROM partition WHERE id = %s", S) == held
    world.submit(("s", "ada", 1))
    hand.drain()
    assert equal(world)


def test_postgresql_that_went_back_is_noticed_on_every_board(world: World) -> None:
    """Also on those that nobody writes to, and on those whose last lost batch is older than fences drawn since."""
    world.submit(("s", "ada", 5), ("t", "bob", 5), ("u", "cy", 5))
    hand = Hand(world)
    hand.drain()
    world.keep()
    world.submit(("t", "bob", 100))
    hand.drain()
    for _ in range(20):
        world.submit(("s", "ada", 1))
        hand.drain()
    world.go_back()
    hand.let_go()
    assert not equal(world, "s", "t")
    world.submit(("s", "ada", 1))
    hand.drain()
    assert equal(world, "s", "t", "u")
    assert world.value("SELECT last_value FROM fence") >= max(world.fence(season) or 0 for season in "stu")


@pytest.mark.parametrize("fence", [2**53, 2**63, 10**40])
def test_a_fence_that_nobody_can_have_drawn_does_no_harm(world: World, carried: RelaySession, fence: int) -> None:
    watermark(world, fence=fence)
    hand = Hand(world)
    hand.drain()
    assert equal(world)
    assert world.fence("s") == world.value("SELECT fence FROM partition WHERE id = %s", S)
    assert world.value("SELECT last_value FROM fence") < 10**6


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
    with psycopg.connect(world.settings.database_url, autocommit=True) as gate:
        gate.execute("SELECT pg_advisory_lock(4711)")
        gate.execute(
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
            gate.execute("SELECT pg_advisory_unlock(4711)")
            thread.join(20)
    assert [(u, s) for u, s, _ in world.board("s")] == [("ada", 1_101)], "Redis only moves forward"


# --- Rebuild


def test_a_rebuild_is_identical_to_what_the_relay_made(world: World) -> None:
    rows = [("s", f"p{n}", (n * 7919) % 1000 - 500) for n in range(1, 2_500) if (n * 7919) % 1000 != 500]
    world.submit(*rows, ("s", "top", 2**63 - 1), ("s", "low", -(2**63)))
    session = world.session()
    while (done := relay_batch(session, S)) is not None and done.more:
        pass
    key, members = world.keys.board(S, b"s"), world.keys.members(S, b"s")
    before = (world.redis.zrange(key, 0, -1, withscores=True), world.redis.hgetall(members))
    rebuilt = rebuild(session, S)
    assert rebuilt is not None and (rebuilt.seasons, rebuilt.players) == (1, len(world.expected("s")))
    assert (world.redis.zrange(key, 0, -1, withscores=True), world.redis.hgetall(members)) == before
    assert equal(world)
    assert world.redis.keys(f"{world.name}:*t[zh]:*") == []


def test_a_rebuild_keeps_hints_for_afterwards(world: World) -> None:
    world.submit(("s", "ada", 5))
    session = world.session()
    rebuild(session, S)
    assert equal(world) and world.counts()["outbox"] == 2
    world.submit(("s", "ada", 1))
    relay_batch(session, S)
    assert equal(world) and world.counts()["outbox"] == 0


def test_a_rebuild_takes_away_seasons_that_are_no_more(world: World, carried: RelaySession) -> None:
    ghost = next(name for n in range(500) if partition_of(name := f"ghost{n}") == S)
    world.redis.hset(world.keys.periods[S], ghost, 1)
    world.redis.zadd(world.keys.board(S, ghost.encode()), {b"x" * 12: 1})
    world.redis.hset(world.keys.members(S, ghost.encode()), "ada", "x")
    rebuild(carried, S)
    assert world.redis.hkeys(world.keys.periods[S]) == [b"s"]
    assert not world.redis.exists(world.keys.board(S, ghost.encode()), world.keys.members(S, ghost.encode()))


def test_what_a_dead_rebuild_left_is_cleared(world: World, carried: RelaySession) -> None:
    loaded = world.keys.loaded_board(S, b"s")
    world.redis.zadd(loaded, {b"y" * 12: 1})
    world.redis.sadd(world.keys.temporary[S], loaded)
    rebuild(carried, S)
    assert equal(world)
    assert not world.redis.exists(loaded, world.keys.temporary[S])


def test_a_rebuild_of_an_emptied_season(world: World, carried: RelaySession) -> None:
    relay_batch(carried, S)
    world.reset("s")
    assert rebuild(carried, S) is not None
    assert world.board("s") == []
    assert int(world.redis.hget(world.keys.periods[S], "s")) == world.value("SELECT period_id FROM season")


def test_a_zombies_rebuild_is_refused(world: World, carried: RelaySession) -> None:
    watermark(world, fence=10**12)
    with pytest.raises(Refused) as caught:
        rebuild(carried, S)
    assert caught.value.verdict.word == "ahead"


# --- The real process


def test_pokes_are_followed_at_once(world: World) -> None:
    world.create("s")
    with relaying(world, LEADERBOARD_RELAY_IDLE_MS="10000", LEADERBOARD_RELAY_CHECK_MS="600000") as relay:
        relay.until(lambda: world.counts()["outbox"] == 0)
        for n in range(1, 6):
            world.submit(("s", "ada", 1))
            world.redis.zadd(world.keys.poke, {str(S): 0})
            # Far below the idle interval of ten seconds.
            eventually(lambda: equal(world), 5)
            assert world.board("s")[0][1] == n


def test_lost_pokes_do_not_matter(world: World) -> None:
    with relaying(world):
        world.submit(("s", "ada", 1))
        eventually(lambda: world.board("s") != [] and equal(world))


@pytest.mark.parametrize("poke", [{"nonsense": 0}, {"64": 0}, {"-1": 0}, {"": 0}, {"9" * 40: 0}])
def test_strange_pokes_do_not_matter(world: World, poke: dict[str, int]) -> None:
    hand = Hand(world)
    world.redis.zadd(world.keys.poke, poke)
    world.submit(("s", "ada", 1))
    for _ in range(3):
        hand.relay.turn(hand.session)
    hand.drain()
    assert equal(world)


@pytest.mark.parametrize("key", ["poke", "held"])
def test_a_key_of_a_wrong_kind_does_not_stop_the_relay(world: World, key: str) -> None:
    world.redis.set(getattr(world.keys, key), "nonsense")
    with relaying(world):
        world.submit(("s", "ada", 1))
        eventually(lambda: world.board("s") != [] and equal(world))


def test_lost_connections_are_made_again(world: World) -> None:
    with relaying(world, 2) as relay:
        for _ in range(3):
            world.submit(("s", "ada", 1))
            relay.until(lambda: equal(world))
            world.terminate("leaderboard-relay")
            world.redis.client_kill_filter(_type="normal", skipme=True)
            world.submit(("s", "ada", 1))
            relay.until(lambda: equal(world))
    assert relay.process.returncode == 0


class Cut(RelaySession):
    """Its session is ended by the server as soon as it has seen that nothing waits."""

    world: World

    def fetch(self, name: str, **parameters: Any) -> list[Any]:
        rows = super().fetch(name, **parameters)
        if name == "take":
            assert self.world.value("SELECT pg_terminate_backend(%s, 5000)", self.db.info.backend_pid)
        return rows


def test_a_connection_lost_with_nothing_to_carry_is_an_ordinary_loss(world: World) -> None:
    session = world.session(Cut)
    assert isinstance(session, Cut)
    session.world = world
    assert relay_batch(session, 3) == BatchResult(0, 0, False, 0.0)
    with pytest.raises(psycopg.OperationalError):
        relay_batch(session, 3)


def test_a_flush_is_noticed_without_any_traffic(world: World) -> None:
    world.submit(("s", "ada", 1), ("t", "bob", 2))
    with relaying(world, 2) as relay:
        relay.until(lambda: equal(world, "s", "t"))
        for _ in range(3):
            world.redis.flushdb()
            relay.until(
                lambda: equal(world, "s", "t") and all(world.redis.hexists(k, "fence") for k in world.keys.watermark)
            )


def test_many_relays_on_few_partitions(world: World) -> None:
    seasons = ("s", "t", "u")
    with relaying(world, 3) as relay:
        for n in range(40):
            world.submit(*((season, f"p{n % 7}", n - 20 or 1) for season in seasons))
        relay.until(lambda: world.counts()["outbox"] == 0)
        assert equal(world, *seasons)
        assert relay.stop() == 0
    assert equal(world, *seasons)
