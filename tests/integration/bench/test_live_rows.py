"""The rows of live boards: every listener ends with the list that `top` answers, or the row has a fault."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from support.processes import serving
from support.relays import carrying
from support.tampering import alter_an_entry, only, options
from support.waiting import eventually
from support.world import World

from bench.load.audience import percentile_of
from bench.load.open_loop import listen_in_background
from bench.rows import live
from board.partitions import partition_of


def short(world: World, path: Path, tamper: object = None) -> live.RunOptions:
    found = options(world, path, tamper)  # type: ignore[arg-type]
    return msgspec.structs.replace(found, listeners=20, idle_listeners=20, rate=200, seconds=1)


def test_each_mark_is_heard_and_the_lists_are_those_of_top(world: World) -> None:
    world.submit(("s-0", "ada", 1), ("s-1", "bob", 2))
    world.carry_everything()
    with carrying(world), serving(world, "/readyz") as api:
        url = f"http://127.0.0.1:{api.port}"
        with listen_in_background(url, "s", boards=2, listeners=5, marks=40, key="") as heard:
            began = time.monotonic()
            eventually(lambda: time.monotonic() > began + 1.5)
    (got,) = heard
    assert (got.listeners, got.boards, got.apart, got.refused, got.ended, got.marks_refused) == (5, 2, 0, 0, 0, 0)
    # Marks of both boards, each heard by its two or three listeners; those of the first second do not count.
    assert 20 < got.marks <= 40 * (got.seconds + 1) and got.marks < got.delays <= 3 * got.marks
    # A change in a quarter of a second at most, whatever the number of marks.
    assert 0 < got.p50_ms <= got.p99_ms <= got.max_ms < 10_000
    assert got.events <= 5 * (2 + 4 * (got.seconds + 1.5))


def test_a_listener_with_another_list_is_a_fault(world: World) -> None:
    world.submit(("s", "ada", 5), ("s", "bob", 2))
    world.carry_everything()
    with serving(world, "/readyz", LEADERBOARD_READ_CACHE_MS="0") as api:
        url = f"http://127.0.0.1:{api.port}"
        with listen_in_background(url, "s", boards=1, listeners=3, marks=0, key="", settle_s=0.2) as heard:
            # A list that changes without a batch: no listener hears of it.
            board = world.keys.board(partition_of("s"), b"s")
            world.redis.zincrby(board, 1, world.redis.zrange(board, 0, 0)[0])
    (got,) = heard
    assert got.apart == 3
    (fault,) = live.find_faults(got)
    assert fault.startswith("3 listeners have another list than top answers; a listener of s has ")


def test_streams_that_are_refused_are_a_fault(world: World) -> None:
    world.submit(("s", "ada", 5))
    world.carry_everything()
    with serving(world, "/readyz", LEADERBOARD_STREAMS="2") as api:
        url = f"http://127.0.0.1:{api.port}"
        with listen_in_background(url, "s", boards=1, listeners=3, marks=0, key="", settle_s=0.2) as heard:
            pass
    (got,) = heard
    assert (got.refused, got.ended, got.apart) == (1, 0, 1)
    (_, fault) = live.find_faults(got)
    assert fault.startswith("1 streams were refused, 0 ended; 503 ") and "too-many-streams" in fault


@pytest.mark.walk
@pytest.mark.parametrize("name", live.NAMES)
def test_sound_rows_have_no_faults(world: World, tmp_path: Path, name: str) -> None:
    measure = only(live.measure(short(world, tmp_path), name))
    assert measure.faults == () and len(measure.checks) == 3
    assert measure.figures["listeners"] == 20


@pytest.mark.walk
def test_a_board_with_another_score_is_a_fault(world: World, tmp_path: Path) -> None:
    faults = only(live.measure(short(world, tmp_path, alter_an_entry), "live_idle")).faults
    assert len(faults) == 1 and faults[0].startswith("PostgreSQL and Redis differ: 1 differences")


@pytest.mark.walk
def test_fewer_open_files_are_told_in_one_line(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live.resource, "getrlimit", lambda what: (266, 266))
    measure = only(live.measure(short(world, tmp_path), "live_idle"))
    assert measure.notes == ("the limit of 266 open files allows 10 listeners, not 20",)
    assert measure.figures["listeners"] == 10


def test_percentiles_are_the_nearest_rank() -> None:
    assert [percentile_of([0, 5, 0, 4, 1], percent) for percent in (50, 90, 99, 100)] == [1, 3, 4, 4]
    assert percentile_of([0, 0], 99) == 0
