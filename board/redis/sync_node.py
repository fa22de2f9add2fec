"""One synchronous connection to one master of Redis. It sends whole payloads, and never retries by itself.

redis-py connects, authenticates and reads. Its retries are off: only the caller knows the fence, and so whether a
payload may be sent twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from _speedups import build_apply
from board.errors import BoardUnavailable
from board.redis.node import HELLO, check_hello
from board.redis.options import Address, RedisOptions
from board.redis.replies import describe, is_not_master
from board.redis.scripts import Script
from board.redis.wire import begin_plainly, make_connection

CONNECTION_ERRORS: Final = (RedisConnectionError, RedisTimeoutError, OSError)
"""After one of these the connection is lost, or requests and replies may be out of step."""
ASKING: Final = b"*1\r\n$6\r\nASKING\r\n"
Argument = bytes | str | int | float


class SyncNode:
    """One connection to the master at the address that `place` returns, for one thread. CLIENT LIST shows `name`.

    `place` is asked at each connect, and may raise `BoardUnavailable`. With `cluster` the node has to be a master of a
    cluster. Replies are bytes, int, list or None. An error reply raises `ResponseError`. A lost connection, a reply
    that takes longer than `timeout_s` seconds, and a node that is no master, or too old, raise `BoardUnavailable`. They
    close the connection; the next call opens it.
    """

    def __init__(
        self, options: RedisOptions, place: Callable[[], Address], name: str, timeout_s: float, *, cluster: bool = False
    ) -> None:
        self._options: Final = options
        self._place: Final = place
        self._name: Final = name
        self._timeout_s: Final = timeout_s
        self._in_cluster: Final = cluster
        self._connection: Any = None
        self.address: Address | None = None
        """The address of the last connection."""

    def connect(self) -> None:
        """Open the connection now. Raises `BoardUnavailable`."""
        self.close()
        self.address = address = self._place()
        connection = make_connection(self._options, address, self._name, self._timeout_s, self._begin)
        try:
            connection.connect()
        except (RedisError, OSError) as error:
            raise BoardUnavailable(f"Redis does not answer: {error}") from error
        self._connection = connection

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def call(self, *args: Argument) -> Any:
        """Send one command, return its reply."""
        return self.exchange(self.pack(args), 1)[0]

    def pipeline(self, *commands: tuple[Argument, ...]) -> list[Any]:
        """Send several commands in one write; return the replies in order, error replies as `ResponseError` values."""
        return self.exchange(self.pack(*commands), len(commands), keep_errors=True)

    def pack(self, *commands: tuple[Argument, ...]) -> bytes:
        """Commands as one payload. Opens a closed connection, and raises as `connect` does."""
        connection = self._connection
        if connection is None:
            self.connect()
            connection = self._connection
        return b"".join(connection.pack_commands(commands))

    def exchange(self, payload: bytes, replies: int, *, keep_errors: bool = False) -> list[Any]:
        """Send a payload of RESP commands and read as many replies; with `keep_errors` error replies are values."""
        self.send(payload)
        return self.receive(replies, keep_errors=keep_errors)

    def send(self, payload: bytes) -> None:
        """Send a payload of RESP commands; the caller reads the reply of each, in order, by `receive`."""
        if self._connection is None:
            self.connect()
        try:
            self._connection.send_packed_command([payload], check_health=False)
        except CONNECTION_ERRORS as error:
            self.close()
            raise BoardUnavailable(f"Redis does not answer: {error}") from error

    def receive(self, replies: int, *, keep_errors: bool = False) -> list[Any]:
        """Read that many replies to payloads of `send`. The first error reply is raised after the last was read."""
        connection = self._connection
        if connection is None:
            raise BoardUnavailable("the connection to Redis was lost")
        try:
            answers: list[Any] = []
            failed: ResponseError | None = None
            astray: ResponseError | None = None
            for _ in range(replies):
                try:
                    answers.append(connection.read_response())
                except ResponseError as error:
                    failed = failed or error
                    if is_not_master(error):
                        astray = error
                    answers.append(error)
        except CONNECTION_ERRORS as error:
            self.close()
            raise BoardUnavailable(f"Redis does not answer: {error}") from error
        if astray is not None:
            # A new connection may lead to the new master; this one never will.
            self.close()
            raise BoardUnavailable(f"Redis is no master: {describe(astray)}")
        if failed is not None and not keep_errors:
            raise failed
        return answers

    def run(self, script: Script, keys: list[bytes], args: list[bytes], groups: Any = ()) -> Any:
        """Call a script by its digest, return its reply; a script that Redis does not know is loaded first.

        `groups` are seasons with their arrays of players, scores and versions, as `_speedups.build_apply` takes them.
        """
        return self.run_here(script, keys, args, groups, asking=False)

    def run_here(self, script: Script, keys: list[bytes], args: list[bytes], groups: Any = (), *, asking: bool) -> Any:
        """`run`; with `asking` the slot is on its way to this node."""
        payload = build_apply(script.sha, keys, args, groups)
        if asking:
            payload = ASKING + payload
        try:
            return self._reply(payload, asking)
        except NoScriptError:
            self.exchange(self.pack(("SCRIPT", "LOAD", script.source)), 1)
            return self._reply(payload, asking)

    def ask(self, *args: Argument, asking: bool = False) -> Any:
        """`call`; with `asking` the slot is on its way to this node."""
        payload = self.pack(args)
        return self._reply(ASKING + payload if asking else payload, asking)

    def _reply(self, payload: bytes, asking: bool) -> Any:
        if not asking:
            return self.exchange(payload, 1)[0]
        reply = self.exchange(payload, 2, keep_errors=True)[1]
        if isinstance(reply, ResponseError):
            raise reply
        return reply

    def scan(self, pattern: bytes, count: int = 1_000) -> Iterator[bytes]:
        """Keys that match a glob-style pattern; a key may come twice."""
        cursor = b"0"
        while True:
            cursor, found = self.call("SCAN", cursor, "MATCH", pattern, "COUNT", count)
            yield from found
            if cursor == b"0":
                return

    def _begin(self, connection: Any) -> None:
        """Begin a connection as redis-py does, check the node, choose the database. Raises `WrongNode`."""
        begin_plainly(connection)
        connection.send_command(*HELLO, check_health=False)
        try:
            reply = connection.read_response()
        except ResponseError as error:
            reply = error
        try:
            check_hello(reply, cluster=self._in_cluster)
        except BoardUnavailable:
            connection.disconnect()
            raise
        if self._options.db:
            connection.send_command("SELECT", self._options.db, check_health=False)
            connection.read_response()
