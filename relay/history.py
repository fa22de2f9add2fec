"""Whether Redis and PostgreSQL are of one history, or one of them is behind what the other has seen."""

from __future__ import annotations

import logging
from typing import Any, Final

import msgspec

from board.partitions import PARTITIONS
from board.redis.sync_redis import ResponseError
from relay.carrier import Carrier

log: Final = logging.getLogger("relay")

PLAUSIBLE: Final = 2**53
"""No fence reaches this; Redis' scripts compare doubles, which are exact below it."""


class Watermark(msgspec.Struct, frozen=True):
    """What both sides hold of one partition. `fence` is None where Redis has no usable one."""

    partition: int
    committed: int
    fence: int | None
    identity: str


def watermarks(carrier: Carrier) -> list[Watermark]:
    """All partitions, looked at without a lock: a batch may be between Redis and its commit."""
    fences = carrier.fetch("partition_fences", partitions=PARTITIONS)
    names = carrier.keys.watermark
    replies = carrier.link.pipeline(*(("HMGET", names[p], "fence", "identity") for p, _, _ in fences))
    return [watermark(p, committed, held) for (p, committed, _), held in zip(fences, replies, strict=True)]


def watermark(partition: int, committed: int, held: Any) -> Watermark:
    """An error is a key of another type in the watermark's place, which the fenced call finds lost."""
    fence, identity = (None, None) if isinstance(held, ResponseError) else held
    number = int(fence) if fence is not None and fence.isdigit() else None
    return Watermark(partition, committed, number, (identity or b"").decode("utf-8", "replace"))


def suspects(carrier: Carrier) -> list[int]:
    """Partitions whose boards are to be looked at under the claim, because of what their watermarks say."""
    held = watermarks(carrier)
    lost_future = from_lost_future(carrier, held)
    return [
        w.partition
        for w in held
        if w.fence is None or w.fence < w.committed or w.identity != carrier.identity or w.partition in lost_future
    ]


def from_lost_future(carrier: Carrier, held: list[Watermark]) -> set[int]:
    """Partitions with batches that PostgreSQL does not know any more, since it was set back to an older copy.

    Redis then holds a fence that nobody has drawn. That shows only until others have drawn as many, and only on the
    partitions with the latest fences, so all that may have such batches are marked at once, by taking away the identity
    they are written under: whoever meets one rebuilds it. Then fences start above all that Redis holds. A new
    connection looks before it draws, so the first one that comes back finds it.
    """
    ahead = [w for w in held if w.identity == carrier.identity and w.fence is not None and w.fence > w.committed]
    if not ahead:
        return set()
    # Asked after Redis: a batch in flight has drawn its fence before it wrote it.
    drawn = carrier.fetch("last_fence")[0][0]
    highest = max(w.fence or 0 for w in ahead)
    if highest <= drawn:
        return set()
    log.error(
        "PostgreSQL has gone back in time: its fences end at %d, Redis holds %d; rebuilding %d partitions",
        drawn, highest, len(ahead),
    )  # fmt: skip
    marks = carrier.link.pipeline(*(("HDEL", carrier.keys.watermark[w.partition], "identity") for w in ahead))
    if not any(isinstance(mark, ResponseError) for mark in marks):
        floor = max((w.fence for w in ahead if w.fence is not None and w.fence < PLAUSIBLE), default=0)
        carrier.fetch("advance_fence", floor=floor)
    return {w.partition for w in ahead}


def is_past(mine: str, theirs: str) -> bool:
    """True if the other identity is a later timeline (8 hex digits) of the same cluster."""
    system, _, timeline = mine.partition(":")
    other, _, later = theirs.partition(":")
    return system == other and later > timeline
