"""A synchronous Redis connection that sends whole payloads and never retries by itself.

redis-py keeps what is topology: the URL, TLS, authentication, reconnecting sockets. Its retries are off, because a
payload sent twice is a decision for the caller, who knows the fence.
"""

from __future__ import annotations

from typing import Any, Final

from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from _speedups import build_apply
from board.errors import BoardUnavailable, InvalidSetting
from board.redis.scripts import Script

__all__ = ["LINK_ERRORS", "Link", "ResponseError"]

LINK_ERRORS: Final = (RedisConnectionError, RedisTimeoutError, OSError)
"""What tells that the connection is gone, or may be out of step."""


class Link:
    """One connection to one Redis. Not for several threads.

    Replies are bytes, ints, lists and None. A reply that is an error raises `ResponseError`; a lost connection or a
    reply that takes longer than `timeout_s` raises `BoardUnavailable` and closes the link.
    """

    def __init__(self, url: str, name: str, timeout_s: float = 2.0) -> None:
        if not url:
            raise InvalidSetting("REDIS_URL is empty; set it, or use `leaderboard run`, which starts its own server")
        try:
            pool: Any = ConnectionPool.from_url(
                url,
                client_name=name,
                protocol=2,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
            )
            self._connection: Any = pool.make_connection()
        except (ValueError, TypeError) as error:
            raise InvalidSetting(f"REDIS_URL cannot be used: {error}") from error

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
        """One command, one reply."""
        return self.exchange(b"".join(self._connection.pack_command(*args)), 1)[0]

    def pipeline(self, *commands: tuple[bytes | str | int | float, ...]) -> list[Any]:
        """Several commands in one write; the replies in order, errors among them as `ResponseError` values."""
        return self.exchange(b"".join(self._connection.pack_commands(commands)), len(commands), keep_errors=True)

    def exchange(self, payload: bytes, replies: int, *, keep_errors: bool = False) -> list[Any]:
        """Send a payload of ready RESP commands and read that many replies."""
        self.send(payload)
        return self.receive(replies, keep_errors=keep_errors)

    def send(self, payload: bytes) -> None:
        """Send a payload of ready RESP commands; `receive` has to follow for the replies of each, in order."""
        try:
            self._connection.send_packed_command([payload], check_health=False)
        except LINK_ERRORS as error:
            self.close()
            raise BoardUnavailable(f"Redis does not answer: {error}") from error

    def receive(self, replies: int, *, keep_errors: bool = False) -> list[Any]:
        """Read that many replies of what was sent before."""
        try:
            answers: list[Any] = []
            failed: ResponseError | None = None
            for _ in range(replies):
                try:
                    answers.append(self._connection.read_response())
                except ResponseError as error:
                    failed = failed or error
                    answers.append(error)
        except LINK_ERRORS as error:
            self.close()
            raise BoardUnavailable(f"Redis does not answer: {error}") from error
        if failed is not None and not keep_errors:
            raise failed
        return answers

    def run(self, script: Script, keys: list[bytes], args: list[bytes], groups: Any = ()) -> Any:
        """Call a script by its digest, loading it first where Redis does not know it."""
        payload = build_apply(script.sha, keys, args, groups)
        try:
            return self.exchange(payload, 1)[0]
        except NoScriptError:
            self.call("SCRIPT", "LOAD", script.source)
            return self.exchange(payload, 1)[0]
