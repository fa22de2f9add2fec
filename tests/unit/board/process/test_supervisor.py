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

from board.process.beats import Beats
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

    def child(self, name: str, script: str, silence_s: float = 60.0) -> ChildSpec:
        head = f"import os,signal,sys,time\ndef note(t): open({str(self.diary)!r},'a').write(t+'\\n')\n"
        return ChildSpec(name, [sys.executable, "-c", head + script], silence_s)

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


BEATING = """
from board.process.beats import Beat
beat = Beat.inherit(os.environ)
beat.give()
note(str(os.getpid()))
{then}
"""
"""A child that gives a sign of life, and what it does then."""

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


def test_such_a_status_is_fatal_at_the_first_start_only(rehearsal: Rehearsal) -> None:
    """Later on it can be cured: another process has taken the port for a moment."""
    unlucky = rehearsal.child(
        "unlucky",
        "note(str(os.getpid()))\n"
        f"born = len(open({str(rehearsal.diary)!r}).readlines())\n"
        "if born < 4: sys.exit(9 if born == 1 else 5)\n"
        "time.sleep(60)",
    )
    thread = rehearsal.run(unlucky)
    eventually(lambda: len(rehearsal.lines()) == 4)
    rehearsal.stop.request()
    thread.join(20)
    assert not thread.is_alive() and rehearsal.status == 0


def test_it_is_not_fatal_once_the_first_process_has_given_a_sign_of_life(rehearsal: Rehearsal) -> None:
    unlucky = rehearsal.child("unlucky", BEATING.format(then="sys.exit(5)"))
    thread = rehearsal.run(unlucky)
    eventually(lambda: len(rehearsal.lines()) >= 2)
    rehearsal.stop.request()
    thread.join(20)
    assert not thread.is_alive() and rehearsal.status == 0


def test_a_child_that_stands_still_is_replaced_and_others_are_not(rehearsal: Rehearsal) -> None:
    forever = "while True:\n    beat.give()\n    time.sleep(0.02)"
    thread = rehearsal.run(
        rehearsal.child("one", BEATING.format(then=forever), 3.0),
        rehearsal.child("two", BEATING.format(then=forever), 3.0),
    )
    eventually(lambda: len(rehearsal.lines()) == 2)
    one, two = (child.process for child in rehearsal.children)
    assert one is not None and two is not None
    os.kill(one.pid, signal.SIGSTOP)
    eventually(lambda: len(rehearsal.lines()) == 3)
    assert one.poll() == -signal.SIGKILL and two.poll() is None
    rehearsal.stop.request()
    thread.join(20)
    assert rehearsal.status == 0


def test_a_program_that_cannot_be_started_is_tried_again(rehearsal: Rehearsal, tmp_path: Path) -> None:
    program = tmp_path / "late"
    steady = rehearsal.child("steady", PATIENT.format(name="steady"))
    thread = rehearsal.run(ChildSpec("late", [str(program)]), steady)
    eventually(lambda: rehearsal.lines() == ["steady up"])
    fresh = tmp_path / "fresh"
    fresh.write_text(f"#!/bin/sh\necho late up >> {rehearsal.diary}\nexec sleep 60\n")
    fresh.chmod(0o755)
    fresh.rename(program)
    eventually(lambda: "late up" in rehearsal.lines())
    rehearsal.stop.request()
    thread.join(20)
    assert rehearsal.status == 0


def test_one_that_does_not_listen_is_killed_after_the_grace(rehearsal: Rehearsal) -> None:
    deaf = rehearsal.child("deaf", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nnote('up')\ntime.sleep(60)")
    thread = rehearsal.run(deaf, grace_s=0.5)
    eventually(rehearsal.lines)
    asked = time.monotonic()
    rehearsal.stop.request()
    thread.join(20)
    assert not thread.is_alive() and rehearsal.status == 0
    assert 0.4 < time.monotonic() - asked < 10


def test_all_that_do_not_listen_share_one_grace(rehearsal: Rehearsal) -> None:
    script = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nnote('up')\ntime.sleep(60)"
    thread = rehearsal.run(*(rehearsal.child(f"deaf {n}", script) for n in range(4)), grace_s=2.0)
    eventually(lambda: len(rehearsal.lines()) == 4)
    asked = time.monotonic()
    rehearsal.stop.request()
    thread.join(20)
    assert 1.9 < time.monotonic() - asked < 5


def test_a_child_that_ran_for_long_starts_again_soon() -> None:
    beats = Beats(1)
    child = Child(ChildSpec("brief", [sys.executable, "-c", ""]), beats, 0, env=os.environ)

    def restart(now: float) -> float:
        """Start it, let it end, and see its end at this time; the delay of the next start."""
        child.keep_running(child.due)
        assert child.process is not None
        child.process.wait()
        child.keep_running(child.due + now)
        return child.due - (child.started + now)

    delays = [restart(1.0) for _ in range(8)]
    assert delays[0] <= 0.2 and delays[-1] > 2
    assert restart(10.5) <= 0.2


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
