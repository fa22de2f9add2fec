"""A forked child is as one with an interpreter of its own, but for its start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.processes import alive, children_of, commandline
from support.repository import REPOSITORY
from support.waiting import eventually

CHILD = """
import json, os, signal, sys, threading

def main(argv):
    names = ("SIGTERM", "SIGINT", "SIGHUP", "SIGCHLD", "SIGUSR1", "SIGUSR2")
    handlers = {name: repr(signal.getsignal(getattr(signal, name))) for name in names}
    found = {
        "handlers": handlers,
        "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
        "leads a session": os.getsid(0) == os.getpid(),
        "arguments": argv,
        "words": open("/proc/self/cmdline").read().rstrip("\\0").split("\\0"),
        "environment": {name: value for name, value in os.environ.items() if name != "LC_CTYPE"},
        "inherited": os.read(int(argv[0]), 9).decode(),
        "descriptors": sorted(set(map(int, os.listdir("/proc/self/fd"))) & set(range(3, 50))),
    }
    print(json.dumps(found), flush=True)
    if argv[1:] == ["goes on"]:
        signal.pause()
    return 7

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""

PARENT = """
import os, signal, sys
from board.process import children, supervisor
from support import forked_children
from support.forks import finish

os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)  # not the child's
passed, end = os.pipe()
os.write(end, b"inherited")
os.set_inheritable(passed, True)
signal.signal(signal.SIGHUP, lambda *_: None)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
forked_children.MAINS["child"] = "child"
if sys.argv[1] == "forked":
    forked_children.fork_children(finish)
words = [sys.executable, "-m", "child", str(passed), *filter(str.strip, sys.argv[2:])]
child = supervisor.spawn(words, env={"PYTHONPATH": os.environ["PYTHONPATH"], "OTHER": "x"}, pass_fds=(passed,))
print(child.pid, flush=True)
sys.exit(child.wait())
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "child.py").write_text(CHILD)
    return tmp_path


def start(place: Path, kind: str, *words: str) -> subprocess.Popen[str]:
    path = os.pathsep.join(map(str, (place, REPOSITORY / "tests", REPOSITORY)))
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, kind, *words, " " * 600],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )


def found(place: Path, kind: str) -> Any:
    with start(place, kind) as parent:
        lines = parent.communicate(timeout=60)[0].splitlines()
    assert parent.returncode == 7
    # The parent's line, a number, may have no end yet when the child writes its own.
    return next(json.loads(line[line.index("{") :]) for line in lines if "{" in line)


def test_it_begins_as_a_new_program(place: Path) -> None:
    forked = found(place, "forked")
    assert forked == found(place, "started")
    assert forked["inherited"] == "inherited" and forked["arguments"] == [forked["words"][3]]


def test_it_ends_with_its_parent(place: Path) -> None:
    with start(place, "forked", "goes on") as parent:
        try:
            (child,) = eventually(lambda: {p for p in children_of(parent.pid) if b"goes on" in commandline(p)})
        finally:
            parent.kill()
        eventually(lambda: not alive({child}))
