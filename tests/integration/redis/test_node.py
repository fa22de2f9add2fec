"""The node behind REDIS_URL: one that is too old is refused at start, one that is no master at any time."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest
import uvloop
from support.processes import leaderboard, serving
from support.trouble import OwnRedis
from support.waiting import eventually
from support.world import World

from board.errors import BoardUnavailable
from board.redis.async_redis import AsyncRedis, pack
from board.redis.node import WrongNode
from board.redis.sync_redis import SyncRedis

PING = pack((b"PING",))


class OldVersion:
    """A way to the real Redis on which its version reads 6.2 and as long as before."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.stack = ExitStack()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            server.connect(self.target)
            for source, sink in ((client, server), (server, client)):
                self.stack.callback(source.close)
                threading.Thread(target=self.pump, args=(source, sink), daemon=True).start()

    def pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(re.sub(rb"(version\r\n\$\d+\r\n)(\d+\.\d+)", self.older, data))
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # one of both has gone

    @staticmethod
    def older(found: re.Match[bytes]) -> bytes:
        return found[1] + b"6." + b"2" * (len(found[2]) - 2)

    def close(self) -> None:
        self.listener.close()
        self.stack.close()


@pytest.fixture
def old(world: World) -> Iterator[str]:
    """The URL of a Redis that is version 6.2."""
    between = OldVersion(world.socket.removeprefix("unix://"))
    yield f"redis://127.0.0.1:{between.port}/1"
    between.close()


@pytest.mark.parametrize("command", [["serve", "--quiet"], ["relay"], ["rebuild", "--all"], ["verify"]])
def test_an_old_redis_is_refused_in_one_line(world: World, old: str, command: list[str]) -> None:
    done = leaderboard(world, *command, REDIS_URL=old)
    assert done.returncode == 3
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("leaderboard: ")]
    assert "is version 6.2" in line and "7.0 is the oldest supported version" in line
    assert "Traceback" not in done.stderr


def test_the_doctor_names_an_old_redis(world: World, old: str) -> None:
    done = leaderboard(world, "doctor", "--json", REDIS_URL=old)
    (found,) = [f for f in msgspec.json.decode(done.stdout)["findings"] if f["check"] == "Redis"]
    assert (done.returncode, found["severity"]) == (1, "error") and "is version 6.2" in found["found"]


@pytest.mark.parametrize("command", [["serve", "--quiet"], ["relay"], ["doctor"]])
def test_a_replica_is_refused_at_start(own_redis: OwnRedis, command: list[str]) -> None:
    with own_redis.trouble("demoted"):
        done = leaderboard(own_redis.world, *command)
    assert done.returncode == (1 if command == ["doctor"] else 3)
    assert "is a replica" in done.stderr + done.stdout


def test_a_demoted_master_is_not_read(own_redis: OwnRedis) -> None:
    world = own_redis.world
    world.submit(("s", "ada", 1))
    world.carry_everything()
    with serving(world, "/readyz", LEADERBOARD_READ_CACHE_MS="0") as api, api.client() as http:
        assert http.top("s").status == 200
        with own_redis.trouble("demoted"):
            eventually(lambda: http.top("s").status == 503, 5)
            for answer in (http.top("s"), http.rank("s", "ada")):
                assert (answer.status, answer.json["code"]) == (503, "board-unavailable")
            assert http.get("/readyz").json["redis"] == "down"
            assert http.post("s", "ada", 1).status == 202, "submissions go on"
        eventually(lambda: http.top("s").status == 200)
        eventually(lambda: http.get("/readyz").status == 200)
        assert "is a replica" in api.command.text() and "Traceback" not in api.command.text()


def connected(url: str, use: Any) -> Any:
    """What `use` returns, given a connection, on the loop that workers have."""

    async def main() -> Any:
        redis = AsyncRedis(url, deadline_s=5.0, name="test")
        redis.start()
        await redis.first_try()
        try:
            return await use(redis)
        finally:
            await redis.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


def test_a_refused_write_ends_the_connection_to_a_demoted_master(own_redis: OwnRedis) -> None:
    async def use(redis: AsyncRedis) -> str:
        with own_redis.trouble("demoted"):
            with pytest.raises(BoardUnavailable, match="READONLY"):
                await redis.ask(pack(("SET", f"{own_redis.world.name}:x", "1")))
            while True:
                try:
                    await redis.ask(PING)
                except BoardUnavailable as error:
                    if "is a replica" in str(error):
                        return str(error)
                await asyncio.sleep(0.01)

    assert connected(own_redis.world.settings.redis_url, use)


def test_the_other_client_leaves_it_as_well(own_redis: OwnRedis) -> None:
    key = f"{own_redis.world.name}:x"
    redis = SyncRedis(own_redis.world.settings.redis_url, "test")
    redis.connect()
    with own_redis.trouble("demoted"):
        with pytest.raises(BoardUnavailable, match="READONLY"):
            redis.call("SET", key, "1")
        with pytest.raises(WrongNode, match="is a replica"):
            redis.call("GET", key)
    assert redis.call("SET", key, "1") == b"OK"
    redis.close()


def test_a_write_to_a_connection_that_closes_is_no_error_of_the_loop(world: World) -> None:
    async def use(redis: AsyncRedis) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        for _ in range(20):
            eventually_connected = False
            while not eventually_connected:
                try:
                    await redis.ask(PING)
                    eventually_connected = True
                except BoardUnavailable:
                    await asyncio.sleep(0.01)
            assert redis._protocol is not None
            redis._protocol.abort()
            with pytest.raises(BoardUnavailable, match="lost"):
                await redis.ask(PING)
        return told

    assert connected(world.settings.redis_url, use) == []


def test_a_command_between_a_connection_and_the_next_one_is_told_of_the_loss(world: World) -> None:
    """The connection has ended, and the task that connects again has not had its turn yet."""

    async def use(redis: AsyncRedis) -> None:
        await redis.ask(PING)
        assert redis._protocol is not None
        redis._protocol.abort()
        for _ in range(2):
            with pytest.raises(BoardUnavailable, match="lost"):
                await redis.ask(PING)

    connected(world.settings.redis_url, use)
