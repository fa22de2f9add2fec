"""Watermarks: are Redis and PostgreSQL of one history, or has one of them lost a part that the other still has?"""

from __future__ import annotations

import logging
from typing import Any, Final

import msgspec

from board.partitions import PARTITIONS
from board.redis.replies import concerns_server, raise_server_error
from board.redis.sync_redis import ResponseError
from relay.session import RelaySession

log: Final = logging.getLogger(__name__)

FIELDS: Final = ("fence", "identity", "stamp")
"""The fields of a watermark that tell who has written last."""
PLAUSIBLE: Final = 2**53
"""No real fence reaches this number: the scripts in Redis compare doubles, which are exact below it."""


class Watermark(msgspec.Struct, frozen=True):
    """The fence that PostgreSQL has `committed` for a partition, and the watermark in Redis.

    `fence` is None if Redis has no usable one; `identity` is then of no meaning. `epoch` is that of the fence; None if
    a release without stamps has written it.
    """

    partition: int
    committed: int
    fence: int | None
    identity: str
    epoch: str | None


def watermarks(session: RelaySession) -> list[Watermark]:
    """The watermarks of all partitions. Read without a lock: a batch may be between Redis and its commit.

    Those of a node that is away, or refuses, are unknown, and left out. Raises `ResponseError` if all are unknown.
    """
    fences = session.fetch("partition_fences", partitions=PARTITIONS)
    names = session.keys.watermark
    replies = session.redis.pipeline(*(("HMGET", names[row.id], *FIELDS) for row in fences))
    known = [
        watermark(row.id, row.fence, held) for row, held in zip(fences, replies, strict=True) if not is_unknown(held)
    ]
    if not known:
        raise_server_error(*replies)
    return known


def is_unknown(held: Any) -> bool:
    """Whether a reply says nothing about the key."""
    return isinstance(held, ResponseError) and concerns_server(held)


def watermark(partition: int, committed: int, held: Any) -> Watermark:
    """The watermark of a reply to HMGET; an error reply (a key of another type) counts as no fence."""
    fence, identity, stamp = (None, None, None) if isinstance(held, ResponseError) else held
    number = int(fence) if fence is not None and fence.isdigit() else None
    stamped, _, epoch = (stamp or b"").decode("utf-8", "replace").partition(".")
    known = fence is not None and stamped.encode() == fence
    return Watermark(
        partition, committed, number, (identity or b"").decode("utf-8", "replace"), epoch if known else None
    )


def suspects(session: RelaySession) -> list[int]:
    """Partitions whose watermark differs; the fenced call under the claim decides. Raises `ResponseError`."""
    held = watermarks(session)
    lost_future = from_lost_future(session, held)
    return [
        w.partition
        for w in held
        if w.fence is None
        or w.fence < w.committed
        or w.identity != session.identity
        or w.epoch not in (None, session.epoch)
        or w.partition in lost_future
    ]


def from_lost_future(session: RelaySession, held: list[Watermark]) -> set[int]:
    """Partitions that may have batches which PostgreSQL has lost, because it was set back to an older copy.

    Redis then holds a fence that was never drawn. This shows only until as many have been drawn again, and only on
    the partitions with the latest fences. So all partitions that may have such batches are marked at once: their
    identity in Redis is deleted, and the relay that finds one without it rebuilds the partition. Afterwards fences
    start above all that Redis holds. A new session checks before it draws, so the first one finds the loss.
    """
    ahead = [w for w in held if w.identity == session.identity and w.fence is not None and w.fence > w.committed]
    if not ahead:
        return set()
    # Read after Redis: a batch in flight has drawn its fence before it wrote it.
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
