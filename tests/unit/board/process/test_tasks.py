"""Lasting tasks: any end by itself is told, answered, and ends the process. No other code starts tasks that last."""

from __future__ import annotations

import ast
import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from support.repository import REPOSITORY

from board.process.tasks import LastingTask

SHORT = {
    ("board/redis/async_node.py", "_called"): "one reply to a script that Redis had forgotten",
    ("service/health/store_probe.py", "ask"): "one look at PostgreSQL, whose callers await it",
    ("service/boards/reader.py", "_join_read"): "one read, whose callers await it",
    ("service/boards/profile_cache.py", "has_some"): "one look at the notes of profiles",
    ("service/boards/profile_cache.py", "_ask"): "one read of profiles, whose callers await it",
    ("service/boards/board_watch.py", "ask_state"): "the looks at boards, which end with the last request that waits",
    ("service/stream/feed.py", "__init__"): "the reads of a board, which end soon after its last listener",
    ("service/stream/feed.py", "_read"): "one read of a board, which its feed awaits",
    ("service/stream/feed.py", "ask_window"): "one read, which its feed keeps",
    ("service/http/fast_path.py", "_start"): "one request, which `run` looks after",
}
"""Places that start a task for one request. A task that lasts is a `LastingTask`."""


async def fail() -> None:
    await asyncio.sleep(0)
    raise ValueError("planted")


async def leave() -> None:
    await asyncio.sleep(0)


async def last() -> None:
    await asyncio.Event().wait()


async def watch(work: Coroutine[Any, Any, None], diary: list[str]) -> LastingTask:
    task = LastingTask(
        work, "one", on_failure=lambda: diary.append("answered"), end=lambda: diary.append("process ended")
    )
    for _ in range(5):
        await asyncio.sleep(0)
    return task


@pytest.mark.parametrize("work", [fail, leave])
def test_an_end_by_itself_is_told_then_answered_then_ends_the_process(
    caplog: pytest.LogCaptureFixture, work: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    diary: list[str] = []
    asyncio.run(watch(work(), diary))
    assert diary == ["answered", "process ended"]
    (record,) = caplog.records
    assert record.levelno == logging.CRITICAL and "the task one has failed" in record.getMessage()
    if work is fail:
        assert record.exc_info is not None and str(record.exc_info[1]) == "planted"


def test_a_failure_to_answer_ends_the_process_all_the_same() -> None:
    diary: list[str] = []

    def answer() -> None:
        raise KeyError("planted, too")

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: diary.append("reported"))
        LastingTask(fail(), "one", on_failure=answer, end=lambda: diary.append("process ended"))
        for _ in range(5):
            await asyncio.sleep(0)

    asyncio.run(run())
    assert diary == ["process ended", "reported"]


def test_a_stopped_task_and_the_end_of_the_loop_are_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    diary: list[str] = []

    async def stop() -> None:
        await (await watch(last(), diary)).stop()

    asyncio.run(stop())
    asyncio.run(watch(last(), diary))
    assert diary == [] and not caplog.records


def test_a_failure_during_the_stop_is_told(caplog: pytest.LogCaptureFixture) -> None:
    diary: list[str] = []

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("planted")

    async def stop() -> None:
        await (await watch(stubborn(), diary)).stop()

    asyncio.run(stop())
    assert diary == [] and "has failed while it was stopped" in caplog.text


def test_every_other_task_is_one_of_a_request() -> None:
    found = set()
    for package in ("board", "service"):
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            name = str(path.relative_to(REPOSITORY))
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    for inner in ast.walk(node):
                        if isinstance(inner, ast.Attribute) and inner.attr in ("create_task", "ensure_future"):
                            found.add((name, node.name))
    assert found - {("board/process/tasks.py", "__init__")} <= SHORT.keys()
