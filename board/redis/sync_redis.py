"""A synchronous Redis connection that sends whole payloads and never retries by itself.

redis-py connects, authenticates and reads. Its retries are off: only the caller knows the fence, and so whether a
payload may be sent twice.
"""

from __future__ import annotations

from typing import Any, Final

from redis.backoff import NoBackoff
from redis.connection import Connection, ConnectionPool, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from _speedups import build_apply
from board.errors import BoardUnavailable
from board.redis.node import HELLO, check_hello
from board.redis.options import RedisOptions, TlsOptions, parse_redis_url
from board.redis.replies import describe, is_not_master
from board.redis.scripts import Script

__all__ = ["CONNECTION_ERRORS", "ResponseError", "SyncRedis"]

CONNECTION_ERRORS: Final = (RedisConnectionError, RedisTimeoutError, OSError)
"""After one of these the connection is lost, or requests and replies may be out of step."""


class SyncRedis:
    """One connection to one master of Redis, for one thread. CLIENT LIST shows `name`.

    Replies are bytes, int, list or None. An error reply raises `ResponseError`. A lost connection, a reply that takes
    longer than `timeout_s` seconds, and a node that is no master, or too old, raise `BoardUnavailable`. They close the
    connection; the next call opens it. Raises `InvalidSetting` for a URL that cannot be used.
    """

    def __init__(self, url: str, name: str, timeout_s: float = 2.0) -> None:
        self._connection: Any = _connection(parse_redis_url(url), name, timeout_s)

    def connect(self) -> None:
        """Open the connection now. Raises `BoardUnavailable`."""
        try:
            self._connection.connect()
        except (RedisError, OSError) as error:
            raise BoardUnavailable(f"Redis does not answer: {error}") from error

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        self._connection.disconnect()

    def call(self, *args: bytes | str | int | float) -> Any:
        """Send one command, return its reply."""
        return self.exchange(b"".join(self._connection.pack_command(*args)), 1)[0]

    def pipeline(self, *commands: tuple[bytes | str | int | float, ...]) -> list[Any]:
        """Send several commands in one write; return the replies in order, error replies as `ResponseError` values."""
        return self.exchange(b"".join(self._connection.pack_commands(commands)), len(commands), keep_errors=True)

    def exchange(self, payload: bytes, replies: int, *, keep_errors: bool = False) -> list[Any]:
        """Send a payload of RESP commands and read as many replies; with `keep_errors` error replies are values."""
        self.send(payload)
        return self.receive(replies, keep_errors=keep_errors)

    def send(self, payload: bytes) -> None:
        """Send a payload of RESP commands; the caller reads the reply of each, in order, by `receive`."""
        try:
            self._connection.send_packed_command([payload], check_health=False)
        except CONNECTION_ERRORS as error:
            self.close()
            raise BoardUnavailable(f"Redis does not answer: {error}") from error

    def receive(self, replies: int, *, keep_errors: bool = False) -> list[Any]:
        """Read that many replies to payloads of `send`. The first error reply is raised after the last was read."""
        try:
            answers: list[Any] = []
            failed: ResponseError | None = None
            astray: ResponseError | None = None
            for _ in range(replies):
                try:
                    answers.append(self._connection.read_response())
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
        payload = build_apply(script.sha, keys, args, groups)
        try:
            return self.exchange(payload, 1)[0]
        except NoScriptError:
            self.call("SCRIPT", "LOAD", script.source)
            return self.exchange(payload, 1)[0]


class _TlsConnection(Connection):
    """A TLS connection with the context of `TlsOptions`, which the asynchronous client has, too.

    NOTE: redis-py's own makes a context that trusts the system's authorities beside those of ``ssl_ca_certs``.
    """

    def __init__(self, tls: TlsOptions, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._tls: Final = tls

    def _connect(self) -> Any:
        plain = super()._connect()  # type: ignore[no-untyped-call]
        try:
            return self._tls.context().wrap_socket(plain, server_hostname=self.host)
        except OSError:
            plain.close()
            raise


def _begin(connection: Any) -> None:
    """Begin a connection as redis-py does, and check the node. Raises `WrongNode`."""
    connection.on_connect()
    connection.send_command(*HELLO, check_health=False)
    try:
        reply = connection.read_response()
    except ResponseError as error:
        reply = error
    try:
        check_hello(reply)
    except BoardUnavailable:
        connection.disconnect()
        raise


def _connection(options: RedisOptions, name: str, timeout_s: float) -> Any:
    common: dict[str, Any] = {
        "db": options.db,
        "username": options.username or None,
        "password": options.password or None,
        "client_name": name,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "redis_connect_func": _begin,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
    }
    if options.path:
        kind: type = UnixDomainSocketConnection
        address: dict[str, Any] = {"path": options.path}
    else:
        kind = Connection if options.tls is None else _TlsConnection
        address = {"host": options.host, "port": options.port}
        if options.tls is not None:
            address["tls"] = options.tls
    pool: Any = ConnectionPool(connection_class=kind, **address, **common)
    return pool.make_connection()
