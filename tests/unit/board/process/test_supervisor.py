"""The supervisor, with real processes: restarts what dies, gives up where no restart helps, stops all."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.waiting import eventually

from board.process.stop import Stop
from board.process.supervisor import Child, ChildSpec, Supervisor


class Request(Stop):
    """A stop that only the test requests; signals stay with pytest."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self.requested = False


class Rehearsal:
    """A supervisor that runs in a thread, over scripts which write down what happens to them."""

    def __init__(self, diary: Path) -> None:
        self.diary = diary
        self.stop = Request()
        self.status: int | None = None
        self.error: BaseException | None = None
        self.children: list[Child] = []

    def child(self, name: str, script: str) -> ChildSpec:
        head = f"import os,signal,sys,time\ndef note(t): open({str(self.diary)!r},'a').write(t+'\\n')\n"
        return ChildSpec(name, [sys.executable, "-c", head + script])

    def run(
        self, *specs: ChildSpec, grace_s: float = 10.0, watch: Callable[[], None] = lambda: None
    ) -> threading.Thread:
        def body() -> None:
            try:
                supervisor = Supervisor(specs, self.stop, env=os.environ, grace_s=grace_s, watch=watch)
                self.children = supervisor.children
                self.status = supervisor.run()
            except RuntimeError as error:
                self.error = error

        thread = threading.Thread(target=body)
        thread.start()
        return thread

    def lines(self) -> list[str]:
        return self.diary.read_text().splitlines() if self.diary.exists() else []


@pytest.fixture
def rehearsal(tmp_path: Path) -> Rehearsal:
    return Rehearsal(tmp_path / "diary")


PATIENT = """
signal.signal(signal.SIGTERM, lambda *_: (note('{name} told'), sys.exit(0)))
note('{name} up')
while True: signal.pause()
"""


def test_all_are_started_and_all_are_stopped(rehearsal: Rehearsal) -> None:
    specs = [rehearsal.child(name, PATIENT.format(name=name)) for name in ("one", "two")]
    thread = rehearsal.run(*specs)
    eventually(lambda: {"one up", "two up"} <= set(rehearsal.lines()))
    rehearsal.stop.request()
    thread.join(20)
    assert not thread.is_alive() and rehearsal.status == 0
    assert sorted(rehearsal.lines()[2:]) == ["one told", "two told"]
    assert [child.process for child in rehearsal.children] == [None, None]


def test_what_dies_is_started_again(rehearsal: Rehearsal) -> None:
    mortal = rehearsal.child(
        "mortal",
        "note(f'born {os.getpid()}')\n"
        f"if len(open({str(rehearsal.diary)!r}).readlines()) < 3: sys.exit(9)\n"
        "time.sleep(60)",
    )
    thread = rehearsal.run(mortal)
    eventually(lambda: len(rehearsal.lines()) >= 3)
    rehearsal.stop.request()
    thread.join(20)
    assert rehearsal.status == 0
    assert len(set(rehearsal.lines())) == 3, "three processes, not one three times"


def test_what_is_killed_is_started_again(rehearsal: Rehearsal) -> None:
    mortal = rehearsal.child("mortal", "note(str(os.getpid()))\ntime.sleep(60)")
    thread = rehearsal.run(mortal)
    os.kill(int(eventually(rehearsal.lines)[0]), signal.SIGKILL)
    eventually(lambda: len(rehearsal.lines()) == 2)
    rehearsal.stop.request()
    thread.join(20)
    assert rehearsal.status == 0


@pytest.mark.parametrize("status", [2, 4, 5])
def test_a_status_that_no_restart_can_mend_ends_it_all(rehearsal: Rehearsal, status: int) -> None:
    steady = rehearsal.child("steady", PATIENT.format(name="steady"))
    wait = f"while not os.path.exists({str(rehearsal.diary)!r}): time.sleep(0.01)\n"
    thread = rehearsal.run(steady, rehearsal.child("doomed", f"{wait}sys.exit({status})"))
    thread.join(20)
    assert not thread.is_alive() and rehearsal.status == status
    assert rehearsal.lines() == ["steady up", "steady told"]


def test_one_that_does_not_listen_is_killed_after_the_grace(rehearsal: Rehearsal) -> None:
    deaf = rehearsal.child("deaf", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nnote('up')\ntime.sleep(60)")
    thread = rehearsal.run(deaf, grace_s=0.5)
    eventually(rehearsal.lines)
    asked = time.monotonic()
    rehearsal.stop.request()
    thread.join(20)
    assert not thread.is_alive() and rehearsal.status == 0
    assert 0.4 < time.monotonic() - asked < 10


def test_a_watch_that_raises_ends_it_and_the_children_are_stopped(rehearsal: Rehearsal) -> None:
    def watch() -> None:
        if rehearsal.lines():
            raise RuntimeError("a server has gone")

    thread = rehearsal.run(rehearsal.child("steady", PATIENT.format(name="steady")), watch=watch)
    thread.join(20)
    assert not thread.is_alive() and str(rehearsal.error) == "a server has gone"
    assert rehearsal.lines() == ["steady up", "steady told"]


def test_a_stop_wakes_whoever_waits() -> None:
    stop = Request()
    threading.Timer(0.05, stop.request).start()
    began = time.monotonic()
    assert stop.wait(30)
    assert time.monotonic() - began < 10
    assert stop.wait(None)
    assert select.select([stop._read], [], [], 0)[0], "it stays requested"
