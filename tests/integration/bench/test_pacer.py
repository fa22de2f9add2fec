"""The open-loop generator against a server that stalls: what a closed loop would hide has to be in its percentiles."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import msgspec
from support.repository import REPOSITORY

from bench.load.open_loop_result import OpenLoopResult

ANSWERS = {
    b"POST": b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}",
    b"GET ": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
}
STALL_S = 0.8


class Server:
    """Answers every request in two pieces; told to stall, none for a while."""

    def __init__(self) -> None:
        self.seen = {b"POST": 0, b"GET ": 0}
        self.last = self.line = b""
        self.open = asyncio.Event()
        self.open.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                for one in head.lower().split(b"\r\n"):
                    if one.startswith(b"content-length:"):
                        self.last = await reader.readexactly(int(one.partition(b":")[2]))
                self.seen[head[:4]] += 1
                self.line = head.partition(b"\r\n")[0]
                await self.open.wait()
                answer = ANSWERS[b"GET " if b"/lookup " in head else head[:4]]
                writer.write(answer[:20])
                await writer.drain()
                writer.write(answer[20:])
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def stall(self) -> None:
        """Once enough has come, answer nothing for a while."""
        while sum(self.seen.values()) < 100:
            await asyncio.sleep(0.01)
        self.open.clear()
        await asyncio.sleep(STALL_S)
        self.open.set()


async def paced(*arguments: str, stalls: bool) -> tuple[OpenLoopResult, Server]:
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    argv = [sys.executable, "-m", "bench.load.generator", "--url", url, "--season", "s", *arguments]
    async with listener:
        process = await asyncio.create_subprocess_exec(
            *argv, cwd=REPOSITORY, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": ""}
        )
        stalling = asyncio.create_task(server.stall()) if stalls else None
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        if stalling is not None:
            await stalling
    return msgspec.json.decode(out.splitlines()[-1], type=OpenLoopResult), server


def test_a_stall_is_in_the_latency_of_all_that_was_due_meanwhile() -> None:
    # Four connections: a closed loop would have four slow answers in a thousand, far above p99.
    found, _ = asyncio.run(paced("--rate", "400", "--seconds", "2.5", "--connections", "4", stalls=True))
    assert found.errors == 0
    assert found.accepted == found.offered
    share = STALL_S / 2.5
    assert found.all.p99_ms > STALL_S * 1000 * 0.8
    slow = [percent for percent, ms in found.all.curve if ms > 20]
    assert min(slow) <= 100 * (1 - share) + 20, "about a third of the requests were due during the stall"


def test_reads_and_writes_are_asked_and_counted_in_their_proportion() -> None:
    arguments = ("--rate", "1000", "--seconds", "1.5", "--reads", "80", "--seed", "7")
    found, server = asyncio.run(paced(*arguments, stalls=False))
    seen = server.seen
    assert found.errors == 0
    assert (found.writes.count, found.reads.count) == (seen[b"POST"], seen[b"GET "])
    assert found.written == seen[b"POST"]
    assert 0.75 < found.reads.count / found.offered < 0.85
    assert 1_400 <= found.offered <= 1_520


def test_reads_of_several_players_name_different_ones_and_are_no_writes() -> None:
    asked = ("--ask", "/v1/seasons/s/leaderboard/lookup", "--players", "3", "--player", "ada-", "--pool", "3")
    found, server = asyncio.run(paced(*asked, "--rate", "200", "--seconds", "0.5", stalls=False))
    assert (found.errors, found.written, found.reads.count) == (0, 0, found.offered)
    assert server.seen == {b"POST": found.offered, b"GET ": 0}
    assert sorted(msgspec.json.decode(server.last)["userIds"]) == ["ada-0", "ada-1", "ada-2"]


def test_reads_of_one_player_end_with_it() -> None:
    asked = ("--ask", "/rank?userId=", "--player", "ada", "--pool", "1", "--rate", "200", "--seconds", "0.5")
    found, server = asyncio.run(paced(*asked, stalls=False))
    assert (found.errors, found.written, found.reads.count) == (0, 0, found.offered)
    assert server.line == b"GET /rank?userId=ada0 HTTP/1.1"
