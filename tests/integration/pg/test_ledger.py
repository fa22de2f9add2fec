"""The ledger's days: made and dropped while submissions go on, and never in their way."""

from __future__ import annotations

import threading
import time
from typing import Any

import msgspec
import psycopg
import pytest
from support.relays import Unsignalled
from support.waiting import eventually
from support.world import World

from board.pg.arrays import adapt_arrays
from board.pg.connections import connect
from relay.janitor import SESSION, Janitor

DAYS = 30


class Clock:
    """Seconds that a test turns."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def janitor(world: World) -> Janitor:
    return Janitor(msgspec.structs.replace(world.settings, ledger_days=DAYS), Unsignalled(), clock=Clock())


def make_day(world: World, days_ago: int) -> str:
    """A day of the past with a row in it; its table's name."""
    day = world.value("SELECT ((now() AT TIME ZONE 'UTC')::date - %s::integer)::text", days_ago)
    name = f"ledger_{day.replace('-', '')}"
    world.execute(
        f"CREATE TABLE {name} PARTITION OF ledger FOR VALUES FROM ('{day} 00:00+00') "
        f"TO ('{day} 00:00+00'::timestamptz + interval '1 day')",
        "INSERT INTO ledger (submission, period_id, user_id, delta, accepted_at) "
        f"VALUES (0, 0, 'old', 1, '{day} 12:00+00')",
    )
    return name


def exists(world: World, name: str) -> bool:
    return bool(world.value("SELECT to_regclass(%s) IS NOT NULL", name))


class Submissions:
    """A client that submits all the time; `longest` is the longest that one submission took, in seconds."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.count = 0
        self.longest = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Submissions:
        self.world.create("s")
        self._thread.start()
        self.more()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)

    def more(self, number: int = 20) -> None:
        """Wait until so many more have been accepted."""
        wanted = self.count + number
        eventually(lambda: self.count >= wanted, 20)

    def _run(self) -> None:
        with psycopg.connect(self.world.settings.database_url, autocommit=True) as db:
            adapt_arrays(db)
            while not self._stop.is_set():
                began = time.monotonic()
                ((status, _, _),) = self.world.submit(("s", "ada", 1), db=db)
                self.longest = max(self.longest, time.monotonic() - began)
                assert status == 0
                self.count += 1


def housekeeping(world: World, **session: str) -> psycopg.Connection[Any]:
    """A connection like the janitor's own."""
    return connect(world.settings.database_url, "leaderboard-janitor", session={**SESSION, **session})


def test_old_days_go_while_submissions_come(world: World, janitor: Janitor) -> None:
    old = [make_day(world, ago) for ago in (400, 45, DAYS + 1)]
    young = make_day(world, DAYS)
    with housekeeping(world) as db, Submissions(world) as load:
        assert janitor.keep_ledger(db) == 3
        load.more()
    assert not any(exists(world, name) for name in old)
    assert exists(world, young)
    assert world.value("SELECT count(*) FROM ledger WHERE user_id = 'ada'") == load.count
    assert load.longest < 1.0


def test_a_long_report_makes_submissions_wait_only_once(
    world: World, janitor: Janitor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "relay.janitor")
    old = make_day(world, 100)
    assert isinstance(janitor.clock, Clock)
    with housekeeping(world) as db, Submissions(world) as load:
        with psycopg.connect(world.settings.database_url) as report:
            report.execute("SELECT count(*) FROM ledger")
            assert janitor.keep_ledger(db) == 0
            load.more()
            # One lock that was not given, 100 ms; a busy machine may add to it.
            assert load.longest < 1.0
            # For the next minute the lock is not even asked for.
            for _ in range(5):
                assert janitor.keep_ledger(db) == 0
            assert caplog.text.count("the ledger is busy") == 1
            janitor.clock.now += 61
            assert janitor.keep_ledger(db) == 0
            assert caplog.text.count("the ledger is busy") == 2
        janitor.clock.now += 61
        assert janitor.keep_ledger(db) == 1
    assert not exists(world, old)
    assert world.value("SELECT count(*) FROM ledger WHERE user_id = 'ada'") == load.count


def test_a_day_that_is_already_written_to_is_made_all_the_same(world: World, janitor: Janitor) -> None:
    """A dump of last month was restored: no day is there, all submissions go to the default partition."""
    today = world.value("SELECT 'ledger_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')")
    world.create("s")
    world.execute(f"DROP TABLE {today}")
    world.submit(("s", "ada", 1))
    with housekeeping(world, lock_timeout="20s") as db, psycopg.connect(world.settings.database_url) as other:
        adapt_arrays(other)
        # This one has written to the default partition, and commits only when the janitor is waiting for it.
        world.submit(("s", "bob", 1), db=other)
        thread = threading.Thread(target=janitor.keep_ledger, args=(db,))
        thread.start()
        eventually(lambda: world.waiting("leaderboard-janitor") == 1)
        other.commit()
        thread.join(20)
        assert exists(world, today)
    assert world.value(f"SELECT count(*) FROM {today}") == 2
    assert world.value("SELECT count(*) FROM ledger_default") == 0
    world.submit(("s", "cy", 1))
    assert world.value(f"SELECT count(*) FROM {today}") == 3


def test_rows_that_no_day_was_made_for_go_when_their_time_has_come(world: World, janitor: Janitor) -> None:
    world.execute(
        "INSERT INTO ledger (submission, period_id, user_id, delta, accepted_at) "
        "SELECT n, 0, 'late', 1, now() - interval '20 days' * (1 + n % 2) FROM generate_series(1, 9000) AS n"
    )
    assert world.value("SELECT count(*) FROM ledger_default") == 9_000
    with housekeeping(world) as db:
        janitor.keep_ledger(db)
    assert world.value("SELECT count(*) FROM ledger_default") == 4_500
