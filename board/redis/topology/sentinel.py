"""Sentinels, which know the master by its name.

https://redis.io/docs/latest/develop/reference/sentinel-clients/
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from board.errors import BoardUnavailable
from board.redis.node import WrongNode
from board.redis.options import Address, RedisOptions
from board.redis.replies import ErrorReply, code_of, describe
from board.redis.topology.asking import Answer, ask_all, raise_silence
from board.redis.topology.layout import Layout

EVEN: Final = "an even number of Sentinels agrees no better than one fewer: use three, or five"


class SentinelView(msgspec.Struct, frozen=True):
    """The answer of one Sentinel: the master's address, the epoch of that, the number of Sentinels, and the quorum."""

    master: Address
    epoch: int
    sentinels: int
    quorum: int


def count_sentinels(views: dict[Address, SentinelView]) -> int:
    """The number of Sentinels of the master, also of those that the URL does not name."""
    return max(view.sentinels for view in views.values())


def choose(views: dict[Address, SentinelView]) -> Layout:
    """Believe the latest epoch: a Sentinel that was cut off names an old master."""
    latest = max(views.values(), key=lambda view: view.epoch)
    return Layout("sentinel", (latest.master,), epoch=latest.epoch)


def look(options: RedisOptions, timeout_s: float) -> dict[Address, SentinelView]:
    """The views of the Sentinels that answer and know the master; at least one.

    Raises `BoardUnavailable`, `WrongNode`.
    """
    name = options.sentinel
    commands = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name), ("SENTINEL", "MASTER", name)
    answers = ask_all(options.for_sentinels(), options.addresses, timeout_s, *commands)
    raise_silence(answers)
    views: dict[Address, SentinelView] = {}
    complaint = ""
    for address, answer in answers.items():
        try:
            if (view := _read(address, answer)) is not None:
                views[address] = view
        except WrongNode as error:
            complaint = complaint or str(error)
    if not views:
        raise WrongNode(complaint) if complaint else WrongNode(f"no Sentinel knows a master with the name {name!r}")
    return views


def _read(address: Address, answer: Answer) -> SentinelView | None:
    """The view of a Sentinel; None for one that does not answer or does not know the master. Raises `WrongNode`."""
    if isinstance(answer, BoardUnavailable):
        return None
    found, details = answer
    if isinstance(found, ErrorReply):
        if code_of(found) == "ERR":
            raise WrongNode(f"{address} is no Sentinel; redis+sentinel:// must name Sentinels, not Redis")
        raise WrongNode(f"the Sentinel {address} refuses: {describe(found)}")
    if found is None:
        return None
    host, port = (_text(value) for value in found)
    # A user with fewer rights may only ask for the address.
    pairs: dict[str, str] = {}
    if not isinstance(details, ErrorReply):
        texts = [_text(value) for value in details]
        pairs = dict(zip(texts[::2], texts[1::2], strict=True))
    return SentinelView(
        Address(host, int(port)),
        int(pairs.get("config-epoch", 0)),
        int(pairs.get("num-other-sentinels", 0)) + 1,
        int(pairs.get("quorum", 0)),
    )


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
