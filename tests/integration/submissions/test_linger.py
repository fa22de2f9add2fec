"""Under load the intake gives those it has answered the time to come again; a quiet one waits for nobody."""

from __future__ import annotations

import asyncio

import pytest
from support.world import World

from service.submissions import group_commit as intake
from service.submissions.group_commit import Intake


def sizes_of(world: World, crowds: list[tuple[int, ...]]) -> list[int]:
    """Sizes of the statements when crowds come one after another, the parts of each a few turns of the loop apart."""
    sizes: list[int] = []

    async def play() -> None:
        settings = world.settings
        made = Intake(
            settings.database_url,
            queue=1_000,
            batch=500,
            deadline_s=20.0,
            connections=1,
            on_commit=lambda partitions: None,
            on_batch=lambda size, ns: sizes.append(size),
        )
        made.start()
        for crowd in crowds:
            waiting = []
            for part in crowd:
                waiting += [made.submit("s", f"u{len(waiting) + n}", 1) for n in range(part)]
                for _ in range(5):
                    await asyncio.sleep(0)
            await asyncio.wait_for(asyncio.gather(*waiting), 10)
        await made.stop()

    asyncio.run(play())
    return sizes


def test_who_comes_again_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.create("s")
    monkeypatch.setattr(intake, "GATHER_S", 1.0)
    sizes = sizes_of(world, [(20, 20), (6, 6)])
    assert sum(sizes) == 52
    assert sizes[-1] == 12, "both halves, since the statements before were large"


def test_the_wait_ends_when_all_have_come_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.create("s")
    monkeypatch.setattr(intake, "GATHER_S", 3_600.0)
    assert sizes_of(world, [(20,), (8, 12), (20,)]) == [20, 20, 20]


def test_nobody_waits_after_a_small_statement(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.create("s")
    monkeypatch.setattr(intake, "GATHER_S", 3_600.0)
    assert sum(sizes_of(world, [(1, 1), (1, 1), (1, 1)])) == 6
