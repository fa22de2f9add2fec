"""Questions to nodes on short-lived connections: several nodes at once, so that a silent one costs its timeout once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

from redis.exceptions import RedisError, ResponseError

from board.errors import BoardUnavailable
from board.redis.options import Address, RedisOptions
from board.redis.wire import begin_plainly, make_connection

NAME: Final = "leaderboard-topology"
Command = tuple[str, ...]
Answer = list[Any] | BoardUnavailable


def ask(options: RedisOptions, address: Address, timeout_s: float, *commands: Command) -> list[Any]:
    """The replies of a node, error replies as `ResponseError` values. Raises `BoardUnavailable`."""
    connection = make_connection(options, address, NAME, timeout_s, begin_plainly)
    replies: list[Any] = []
    try:
        connection.connect()
        for command in commands:
            connection.send_command(*command, check_health=False)
        for _ in commands:
            try:
                replies.append(connection.read_response())
            except ResponseError as error:
                replies.append(error)
    except (RedisError, OSError) as error:
        raise BoardUnavailable(f"Redis does not answer: {address}: {error}") from error
    finally:
        with suppress(RedisError, OSError):
            connection.disconnect()
    return replies


def ask_all(
    options: RedisOptions, addresses: Sequence[Address], timeout_s: float, *commands: Command
) -> dict[Address, Answer]:
    """The replies of each node, or the error of one that does not answer. Waits for all of them."""

    def ask_one(address: Address) -> Answer:
        try:
            return ask(options, address, timeout_s, *commands)
        except BoardUnavailable as error:
            return error

    with ThreadPoolExecutor(len(addresses)) as threads:
        return dict(zip(addresses, threads.map(ask_one, addresses), strict=True))


def raise_silence(answers: dict[Address, Answer]) -> None:
    """Raise the first error if no node has answered."""
    errors = [answer for answer in answers.values() if isinstance(answer, BoardUnavailable)]
    if len(errors) == len(answers):
        raise errors[0]
