"""`leaderboard run` outlives its own servers, a full disk under its logs, and processes that stand still."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.absent import absent
from support.house import House
from support.http import Http
from support.processes import Command, alive, answers, children_of, commandline
from support.waiting import eventually

from board.process.beats import SILENCE_S

pytestmark = [pytest.mark.acceptance, pytest.mark.walk]


def top(house: House) -> list[tuple[str, int]] | None:
    """The board of the season "s", or None while it is not answered."""
    with Http(house.port) as http:
        answer = http.top("s")
        return [(item["userId"], item["score"]) for item in answer.json["items"]] if answer.status == 200 else None


def posted(house: House, user: str) -> bool:
    """Whether a submission of one point is accepted."""
    with Http(house.port) as http:
        answer = http.post("s", user, 1)
        assert answer.status in (202, 503, 504), answer.body
        return answer.status == 202


def told(command: Command, word: str) -> str:
    """The log lines that have a word."""
    return "\n".join(line for line in command.text().splitlines() if word in line)


def test_a_redis_that_is_killed_is_started_again_and_submissions_go_on(house: House) -> None:
    with house.start() as command:
        assert posted(house, "ada")
        command.until(lambda: top(house) == [("ada", 1)])
        gone = house.server("redis")
        os.kill(gone, signal.SIGKILL)
        assert posted(house, "bob"), "PostgreSQL is there, so it counts"
        command.until(lambda: "answers again" in command.text())
        command.until(lambda: top(house) == [("ada", 1), ("bob", 1)])
        assert house.server("redis") != gone
        assert "was killed (SIGKILL)" in told(command, "it is started again in")
        house.verified()
        assert command.stop() == 0


def test_a_redis_that_is_killed_again_and_again_comes_back(house: House) -> None:
    with house.start() as command:
        for n in range(3):
            os.kill(house.server("redis"), signal.SIGKILL)
            command.until(lambda n=n: command.text().count("answers again") == n + 1)
        assert posted(house, "ada")
        command.until(lambda: top(house) == [("ada", 1)])
        assert command.stop() == 0


def test_a_postgres_whose_postmaster_is_killed_is_started_again_and_reads_go_on(house: House) -> None:
    with house.start() as command:
        assert posted(house, "ada")
        command.until(lambda: top(house) == [("ada", 1)])
        os.kill(house.server("postgres"), signal.SIGKILL)
        assert top(house) == [("ada", 1)], "Redis is there, so boards are read"
        command.until(lambda: "answers again" in command.text())
        command.until(lambda: posted(house, "bob"))
        command.until(lambda: "bob" in dict(top(house) or []))
        assert "was killed (SIGKILL)" in told(command, "it is started again in")
        house.verified()
        assert command.stop() == 0


def test_both_servers_are_killed_at_once(house: House) -> None:
    with house.start() as command:
        assert posted(house, "ada")
        for directory in ("postgres", "redis"):
            os.kill(house.server(directory), signal.SIGKILL)
        command.until(lambda: command.text().count("answers again") == 2)
        command.until(lambda: posted(house, "bob"))
        command.until(lambda: {"ada", "bob"} <= dict(top(house) or []).keys())
        house.verified()
        processes = children_of(command.process.pid)
        assert command.stop(signal.SIGINT) == 0
        eventually(lambda: not alive(processes))


def test_servers_that_stand_still_are_replaced(house: House) -> None:
    with house.start() as command:
        assert posted(house, "ada")
        command.until(lambda: top(house) == [("ada", 1)])
        stopped = {house.server(directory) for directory in ("postgres", "redis")}
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        command.until(lambda: command.text().count("answers again") == 2, 4 * SILENCE_S)
        assert not alive(stopped)
        assert len(told(command, "gave no sign of life for 30 s and was killed").splitlines()) == 2
        command.until(lambda: posted(house, "bob"))
        command.until(lambda: {"ada", "bob"} <= dict(top(house) or []).keys())
        house.verified()
        assert command.stop() == 0


@contextmanager
def small_file_system(directory: Path, size: int) -> Iterator[None]:
    """Mount a file system of so many bytes on a directory."""
    if os.geteuid() != 0:
        absent("mounting a small file system needs root")
    options = f"size={size},mode=0700"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory], capture_output=True).returncode:
        absent("a small file system cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def test_a_log_that_cannot_be_bounded_on_a_full_disk_ends_nothing(house: House) -> None:
    logs = house.data / "log"
    logs.mkdir(parents=True)
    house.data.chmod(0o711)
    with small_file_system(logs, 20 << 20):
        log = logs / "redis.log"
        log.write_bytes(b"old\n" * (17 << 18))
        log.chmod(0o600)
        with house.start() as command:
            command.until(lambda: "redis.log stays as long as it is for now" in command.text())
            assert posted(house, "ada")
            command.until(lambda: top(house) == [("ada", 1)])
            assert {path.name for path in logs.iterdir()} == {"postgres.log", "redis.log"}
            assert log.stat().st_size >= 17 << 20
            assert command.stop() == 0


def is_child(pid: int, command: Command) -> bool:
    """Whether this is the API that the command has started."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    parent = int(stat.rpartition(")")[2].split()[1])
    return parent == command.process.pid and b"serve" in commandline(pid).split(b"\0")


def test_an_api_that_stands_still_is_replaced(house: House) -> None:
    with house.start() as command:
        assert posted(house, "ada")
        # Workers are forks of the master, with its command line.
        (stopped,) = [pid for pid in children_of(command.process.pid) if is_child(pid, command)]
        os.kill(stopped, signal.SIGSTOP)
        command.until(lambda: not alive({stopped}), 4 * SILENCE_S)
        # The workers of the old one still answer for a moment.
        command.until(lambda: any(is_child(pid, command) for pid in children_of(command.process.pid)))
        command.until(lambda: answers(house.port, "/readyz"))
        assert f"API (pid {stopped}) has given no sign of life for 40 s and is killed" in command.text()
        assert posted(house, "ada")
        assert command.stop() == 0
