"""An auto-pipelining Redis connection for asyncio.

Commands of all requests in one turn of the loop leave in one write; replies come back in order and are parsed by
hiredis. Each call has a deadline; the connection repairs itself. It lasts as long as the node is the master.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import hiredis

from board.errors import BoardUnavailable
from board.process.backoff import Backoff
from board.process.tasks import LastingTask
from board.process.throttle import Throttle
from board.redis.async_protocol import Call, Protocol, Waiter, pack
from board.redis.node import HELLO, ClusterNode, WrongNode, check_hello
from board.redis.options import Address, RedisOptions
from board.redis.replies import RedisRefused, code_of, describe, is_not_master
from board.redis.scripts import Script

log: Final = logging.getLogger(__name__)

IN_FLIGHT_MOST: Final = 20_000
CONNECT_TIMEOUT_S: Final = 2.0
PATIENCE: Final = 5
"""A reply that is this many deadlines late is a fault of the connection, not of the command."""
LOOK_EVERY_S: Final = 1.0
"""The pause between two looks at the role. A master that was demoted keeps its connections, and answers reads."""


class AsyncNode:
    """One logical connection to one master of Redis for one event loop.

    `place` returns the address at each connect, and may raise `BoardUnavailable`; with `cluster` the node has to be a
    master of a cluster. `deadline_s` is the time for a reply, in seconds. `scripts` are loaded with each new
    connection. CLIENT LIST shows `name`. A reply is bytes, int, list or None. Error replies are logged.
    """

    def __init__(
        self,
        options: RedisOptions,
        place: Callable[[], Awaitable[Address]],
        *,
        deadline_s: float,
        scripts: Sequence[Script] = (),
        name: str,
        cluster: bool = False,
    ) -> None:
        self._options: Final = options
        self._place: Final = place
        self._in_cluster: Final = cluster
        self.address: Address | None = None
        """The address of the last connection."""
        self._deadline_s: Final = deadline_s
        self._scripts: Final = scripts
        self._name: Final = name
        self._loop: Final = asyncio.get_running_loop()
        self._out: list[bytes] = []
        self._repairs: set[asyncio.Task[None]] = set()
        self._protocol: Protocol | None = None
        self._absence = "Redis does not answer"
        """The text of the error while there is no connection."""
        self._throttle: Final = Throttle()
        self._task: LastingTask | None = None
        self._first_try = asyncio.Event()

    def start(self) -> None:
        """Begin to connect, and reconnect from then on; calls fail while there is no connection."""
        self._task = LastingTask(self._keep_connected(), "redis", on_failure=self._first_try.set)

    async def first_try(self) -> None:
        """Wait until the first attempt to connect has succeeded or failed."""
        await self._first_try.wait()

    async def stop(self) -> None:
        """Close for good."""
        if self._task is not None:
            await self._task.stop()

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._protocol is not None

    @property
    def waiting(self) -> int:
        """Number of commands without a reply yet."""
        return 0 if self._protocol is None else len(self._protocol.waiting)

    def send(self, command: bytes) -> asyncio.Future[Any]:
        """Queue a packed command. The future gets the reply; an error reply is a `hiredis.ReplyError` value.

        The future has no deadline; it raises `BoardUnavailable` when the connection is lost. The call itself raises
        `BoardUnavailable` while there is no connection, or too many replies are outstanding.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        self._put(command, future)
        return future

    def tell(self, command: bytes) -> None:
        """Queue a packed command and ignore its reply. It is dropped while there is no connection. Raises nothing."""
        if self._protocol is not None and len(self._protocol.waiting) < IN_FLIGHT_MOST:
            self._put(command, None)

    async def ask(self, command: bytes) -> Any:
        """Send a packed command, wait at most the deadline for its reply.

        Raises `BoardUnavailable`; for an error reply `RedisRefused`.
        """
        reply = await self._reply(command)
        if isinstance(reply, hiredis.ReplyError):
            raise self._refusal(reply)
        return reply

    async def check_node(self) -> None:
        """Raise `BoardUnavailable` unless the node answers within the deadline, and is the master."""
        check_hello(await self._reply(pack(HELLO)), cluster=self._in_cluster)

    async def run(self, script: Script, *args: bytes, writes: bool = False, deadline_s: float | None = None) -> Any:
        """Call a script by its digest; read-only (EVALSHA_RO) unless it `writes`. Returns its reply.

        `args` are those of EVALSHA: the number of keys, the keys, the arguments. `deadline_s` replaces the connection's
        own deadline. A script that Redis has forgotten is loaded and called again. Raises as `ask` does.
        """
        command = pack((b"EVALSHA" if writes else b"EVALSHA_RO", script.sha, *args))
        reply = await self._reply(command, deadline_s)
        if isinstance(reply, hiredis.ReplyError):
            if code_of(reply) != "NOSCRIPT":
                raise self._refusal(reply)
            return await self._again(script, command)
        return reply

    async def _again(self, script: Script, command: bytes) -> Any:
        """Load a script that Redis has forgotten, and repeat the call."""
        await self.ask(pack((b"SCRIPT", b"LOAD", script.source)))
        return await self.ask(command)

    def call(self, script: Script, args: Sequence[bytes], then: Callable[[Any], None]) -> None:
        """Call a read-only script like `run`, without a task: `then` is called once, with the reply.

        `then` gets a `BoardUnavailable` value instead for an error reply and after the deadline. It gets one before
        this returns while there is no connection, or too many replies are outstanding.
        """
        command = pack((b"EVALSHA_RO", script.sha, *args))
        waiter = Call(partial(self._called, script, command, then))
        try:
            self._put(command, waiter)
        except BoardUnavailable as error:
            then(error)
        else:
            waiter.timer = self._loop.call_later(self._deadline_s, _give_up, waiter)

    def _called(self, script: Script, command: bytes, then: Callable[[Any], None], reply: Any) -> None:
        if not isinstance(reply, hiredis.ReplyError):
            then(reply)
        elif code_of(reply) == "NOSCRIPT":
            repair = self._loop.create_task(self._call_again(script, command, then))
            self._repairs.add(repair)
            repair.add_done_callback(self._repairs.discard)
        else:
            then(self._refusal(reply))

    async def _call_again(self, script: Script, command: bytes, then: Callable[[Any], None]) -> None:
        try:
            reply = await self._again(script, command)
        except BoardUnavailable as error:
            reply = error
        then(reply)

    def _refusal(self, reply: hiredis.ReplyError) -> RedisRefused:
        """The error for an error reply, which is logged: once, and again every few seconds while it goes on."""
        if self._throttle.admits(code_of(reply)):
            log.warning("Redis refused a command: %s", describe(reply))
        if is_not_master(reply) and self._protocol is not None:
            self._protocol.abort()
        return RedisRefused(reply)

    async def _reply(self, command: bytes, deadline_s: float | None = None) -> Any:
        """Send and wait at most the deadline; an error reply is returned as a `hiredis.ReplyError`."""
        future = self.send(command)
        # PERF: a bare timer instead of asyncio.timeout: no task bookkeeping, cancelled in nearly every case.
        timer = self._loop.call_later(deadline_s or self._deadline_s, _give_up, future)
        try:
            return await future
        finally:
            timer.cancel()

    def _put(self, command: bytes, waiter: Waiter | None) -> None:
        protocol = self._protocol
        if protocol is None:
            self._put_elsewhere(command, waiter)
            return
        if len(protocol.waiting) >= IN_FLIGHT_MOST:
            raise BoardUnavailable("too many reads are waiting for Redis")
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out.append(command)
        protocol.waiting.append(waiter)
        protocol.sent_at.append(self._loop.time())

    def _put_elsewhere(self, command: bytes, waiter: Waiter | None) -> None:
        """Take a command while this node has no connection. Raises `BoardUnavailable`."""
        raise BoardUnavailable(self._absence)

    def _on_connect(self) -> None:
        """There is a connection; commands can be sent from now on."""

    def _on_loss(self) -> None:
        """There is no connection any more, or another attempt has failed."""

    def flush(self) -> None:
        """Write the queued commands now; otherwise they leave at the end of this turn of the loop."""
        out, self._out = self._out, []
        if out and self._protocol is not None:
            self._protocol.write(b"".join(out))

    async def _keep_connected(self) -> None:
        """Connect, and connect again after each loss. Raises `ClusterNode` where no cluster was looked for."""
        backoff = Backoff(0.02, 1.0)
        while True:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    protocol = await self._connect()
            except ClusterNode:
                raise
            except (OSError, TimeoutError, BoardUnavailable) as error:
                self._absence = str(error) if isinstance(error, WrongNode) else "Redis does not answer"
                self._first_try.set()
                self._on_loss()
                delay = backoff.failed()
                if self._throttle.admits(str(error)):
                    log.warning("Redis does not answer, again in %.2f s: %s", delay, str(error) or type(error).__name__)
                await asyncio.sleep(delay)
                continue
            backoff.succeeded()
            self._throttle.forget()
            self._out.clear()
            self._on_connect()
            self._protocol = protocol
            self._first_try.set()
            try:
                await self._watch(protocol)
            finally:
                self._protocol = None
                self._out.clear()
                protocol.abort()
                # Commands may have been queued between the loss and this turn of the loop.
                protocol.fail_waiting()
                self._on_loss()

    async def _watch(self, protocol: Protocol) -> None:
        """Return when the connection is lost, its oldest reply is too late, or the node is no master any more."""
        look = self._loop.time() + LOOK_EVERY_S
        while not protocol.lost.done():
            await asyncio.wait([protocol.lost], timeout=min(self._deadline_s, LOOK_EVERY_S))
            now = self._loop.time()
            if protocol.sent_at and now - protocol.sent_at[0] > PATIENCE * self._deadline_s:
                log.warning("Redis has not answered for %.1f s, connecting anew", PATIENCE * self._deadline_s)
                protocol.abort()
                await asyncio.wait([protocol.lost], timeout=1.0)
                return
            if now >= look and len(protocol.waiting) < IN_FLIGHT_MOST:
                look = now + LOOK_EVERY_S
                if (reason := self._stray()) is not None:
                    log.warning("the connection to Redis is given up: %s", reason)
                    return
                self._put(pack(HELLO), Call(partial(self._judge, protocol)))

    def _stray(self) -> str | None:
        """The reason for which this is not the right node any more, although it may not know; None if it is."""
        return None

    def _judge(self, protocol: Protocol, reply: Any) -> None:
        """Give the connection up if the node has ceased to be the master."""
        if isinstance(reply, BoardUnavailable):
            return
        try:
            check_hello(reply, cluster=self._in_cluster)
        except WrongNode as error:
            log.warning("the connection to Redis is given up: %s", error)
            protocol.abort()

    async def _connect(self) -> Protocol:
        options = self._options
        protocol = Protocol(self._loop.create_future())
        self.address = address = await self._place()
        if not address.port:
            await self._loop.create_unix_connection(lambda: protocol, address.host)
        else:
            context = options.tls.context() if options.tls is not None else None
            await self._loop.create_connection(lambda: protocol, address.host, address.port, ssl=context)
        greeted = False
        try:
            await self._greet(protocol)
            greeted = True
        finally:
            if not greeted:
                protocol.abort()
        return protocol

    async def _greet(self, protocol: Protocol) -> None:
        """Log in, check the node, load the scripts. Raises `BoardUnavailable`."""
        options = self._options
        hello: list[tuple[bytes | str, ...]] = []
        if options.credentials:
            hello.append(("AUTH", *options.credentials))
        hello.append(HELLO)
        if options.db:
            hello.append(("SELECT", str(options.db)))
        hello.append(("CLIENT", "SETNAME", self._name))
        hello += [("SCRIPT", "LOAD", script.source) for script in self._scripts]
        futures = []
        for _ in hello:
            future = self._loop.create_future()
            protocol.waiting.append(future)
            protocol.sent_at.append(self._loop.time())
            futures.append(future)
        protocol.write(b"".join(pack(command) for command in hello))
        replies = await asyncio.gather(*futures)
        for command, reply in zip(hello, replies, strict=True):
            if command == HELLO:
                check_hello(reply, cluster=self._in_cluster)
            elif isinstance(reply, hiredis.ReplyError):
                raise BoardUnavailable(f"Redis refused {command[0]!s}: {describe(reply)}")


def _give_up(waiter: Waiter) -> None:
    if not waiter.done():
        waiter.set_exception(BoardUnavailable("Redis did not answer in time"))
