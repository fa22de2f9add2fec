"""Whether Redis and PostgreSQL are of one history, or one of them is behind what the other has seen."""

from __future__ import annotations

import logging
from typing import Any, Final

import msgspec

from board.partitions import PARTITIONS
from board.redis.sync_redis import ResponseError
from relay.session import RelaySession

log: Final = logging.getLogger(__name__)

PLAUSIBLE: Final = 2**53
"""No fence reaches this; Redis' scripts compare doubles, which are exact below it."""


class Watermark(msgspec.Struct, frozen=True):
    """What both sides hold of one partition. `fence` is None where Redis has no usable one."""

    partition: int
    committed: int
    fence: int | None
    identity: str


def watermarks(session: RelaySession) -> list[Watermark]:
    """All partitions, looked at without a lock: a batch may be between Redis and its commit."""
    fences = session.fetch("partition_fences", partitions=PARTITIONS)
    names = session.keys.watermark
    replies = session.redis.pipeline(*(("HMGET", names[row.id], "fence", "identity") for row in fences))
    return [watermark(row.id, row.fence, held) for row, held in zip(fences, replies, strict=True)]


def watermark(partition: int, committed: int, held: Any) -> Watermark:
    """An error is a key of another type in the watermark's place, which the fenced call finds lost."""
    fence, identity = (None, None) if isinstance(held, ResponseError) else held
    number = int(fence) if fence is not None and fence.isdigit() else None
    return Watermark(partition, committed, number, (identity or b"").decode("utf-8", "replace"))


def suspects(session: RelaySession) -> list[int]:
    """Partitions whose boards are to be looked at under the claim, because of what their watermarks say."""
    held = watermarks(session)
    lost_future = from_lost_future(session, held)
    return [
        w.partition
        for w in held
        if w.fence is None or w.fence < w.committed or w.identity != session.identity or w.partition in lost_future
    ]


def from_lost_future(session: RelaySession, held: list[Watermark]) -> set[int]:
    """Partitions with batches that PostgreSQL does not know any more, since it was set back to an older copy.

    Redis then holds a fence that nobody has drawn. That shows only until others have drawn as many, and only on the
    partitions with the latest fences, so all that may have such batches are marked at once, by taking away the identity
    they are written under: whoever meets one rebuilds it. Then fences start above all that Redis holds. A new
    connection looks before it draws, so the first one that comes back finds it.
    """
    ahead = [w for w in held if w.identity == session.identity and w.fence is not None and w.fence > w.committed]
    if not ahead:
        return set()
    # Asked after Redis: a batch in flight has drawn its fence before it wrote it.
    drawn = session.value("last_fence")
    highest = max(w.fence or 0 for w in ahead)
    if highest <= drawn:
        return set()
    log.error(
        "PostgreSQL has gone back in time: its fences end at %d, Redis holds %d; rebuilding %d partitions",
        drawn, highest, len(ahead),
    )  # fmt: skip
    marks = session.redis.pipeline(*(("HDEL", session.keys.watermark[w.partition], "identity") for w in ahead))
    if not any(isinstance(mark, ResponseError) for mark in marks):
        floor = max((w.fence for w in ahead if w.fence is not None and w.fence < PLAUSIBLE), default=0)
        session.value("advance_fence", floor=floor)
    return {w.partition for w in ahead}


def is_past(mine: str, theirs: str) -> bool:
    """True if the other identity is a later timeline (8 hex digits) of the same cluster."""
    system, _, timeline = mine.partition(":")
    other, _, later = theirs.partition(":")
    return system == other and later > timeline
