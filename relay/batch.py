"""One partition batch: claim, take hints, apply in Redis, commit; new leaders are written with the fence.

The order of the steps is the guarantee. The claim locks the partition's row. The take, a statement of its own with a
younger snapshot, deletes the hints and reads the rows that they point at. The script applies absolute rows under a
fence that was drawn for this attempt. Only then is the deletion committed. A crash at any point leaves the hints, and
absolute rows may be applied again.
"""

from __future__ import annotations

import logging
from time import perf_counter_ns
from typing import Any, Final

import msgspec

from board.errors import FenceRefused
from board.observe.metrics import NS
from board.partitions import PARTITIONS
from board.redis.replies import concerns_server, describe
from board.redis.scripts import script
from board.redis.sync_redis import ResponseError
from board.season import mark_of
from board.segments import label_segments
from relay.leaders import First, find_changes, list_firsts, write_changes
from relay.segments import Carried, hint_segments, read_segments
from relay.session import RelaySession

log: Final = logging.getLogger(__name__)


class BatchResult(msgspec.Struct, frozen=True):
    """Counts and times of one batch: hints taken, seasons written, whether more hints may wait.

    `oldest_s` is the age of the oldest hint when it was taken, `lag_s` its age when Redis had the batch, `redis_ns` the
    time that Redis took. `traces` are the `traceparent`s of the hints, each with its age in seconds. `touched` are the
    partitions in which the batch has left hints, `left_out` counts players whose value of a segment has no board.
    """

    hints: int
    seasons: int
    more: bool
    oldest_s: float
    lag_s: float = 0.0
    redis_ns: int = 0
    traces: tuple[tuple[str, float], ...] = ()
    touched: tuple[int, ...] = ()
    left_out: int = 0


class Verdict(msgspec.Struct, frozen=True):
    """The answer of the fence: ok, lost, identity, ahead or short; and the fence and identity that Redis holds.

    `firsts`, after ok: the first entry of each board that was written, in their order; None for one that was refused.
    """

    word: str
    fence: int
    identity: str
    firsts: list[First | None] = []


def verdict_of(reply: list[bytes]) -> Verdict:
    """Decode the reply of ``apply.lua`` and ``swap.lua``."""
    word, fence, identity, *rest = reply
    number = int(fence) if fence.isdigit() else 0
    return Verdict(word.decode(), number, identity.decode("utf-8", "replace"), list_firsts(rest))


class Refused(FenceRefused):
    """Redis refused the batch with this `Verdict`; the transaction has been rolled back."""

    def __init__(self, partition: int, verdict: Verdict) -> None:
        super().__init__(f"partition {partition}: Redis refused the batch: {verdict.word}")
        self.partition = partition
        self.verdict = verdict


def pending_partitions(session: RelaySession) -> list[int]:
    """Partitions that have hints; first those whose last commit is the longest ago."""
    return [row.id for row in session.fetch("pending_partitions", identity=session.identity, partitions=PARTITIONS)]


def relay_batch(session: RelaySession, partition: int, *, check: bool = False) -> BatchResult | None:
    """Relay one batch of a partition; None if another relay holds the partition.

    With `check` Redis is called even without hints: the script then writes a first watermark, or tells that Redis has
    lost data. Raises `Refused`.
    """
    with session.db.transaction() as transaction:
        claimed = claim(session, partition)
        if claimed is None:
            return None
        rows = take(session, partition, claimed.low_xid)
        # Every row repeats the figures of the batch; a batch without seasons is one row without a season.
        first = rows[0]
        fence, hints, low_xid, oldest_s = first.fence, first.hints, first.low_xid, first.oldest_s or 0.0
        traces = first.traces if session.traced else None
        if not hints and not check:
            # Not `raise psycopg.Rollback`: it escapes when the connection is lost before the rollback.
            transaction.force_rollback = True
            return BatchResult(0, 0, False, 0.0)
        profiles = read_profiles(session, partition, first.profiles) if first.profiles is not None else []
        touched = hint_segments(session, first.moved) if first.moved is not None else []
        seasons = [row for row in rows if row.season_id is not None]
        # PERF: seasons without segments cost no statement, and their payload is the same.
        carried = {row.season_id: read_segments(session, row) for row in seasons if row.segments is not None}
        begun = perf_counter_ns()
        try:
            verdict = apply(session, partition, fence, claimed, seasons, profiles, carried)
        except ResponseError as error:
            if concerns_server(error) or not seasons:
                raise
            verdict = apply_singly(session, partition, fence, claimed, seasons, profiles, carried)
        redis_ns = perf_counter_ns() - begun
        if verdict.word != "ok":
            raise Refused(partition, verdict)
        if changes := find_changes(seasons, verdict.firsts):
            write_changes(session, changes)
        commit(session, partition, fence, low_xid)
        return BatchResult(
            hints,
            len(seasons),
            hints >= session.limit,
            oldest_s,
            oldest_s + redis_ns * NS,
            redis_ns,
            parse_traces(traces, redis_ns) if traces else (),
            tuple(touched),
            sum(one.left_out for one in carried.values()),
        )


def claim(session: RelaySession, partition: int) -> Any | None:
    """Lock the partition's row: committed `fence`, `identity`, `stamp`; `low_xid`. None if another relay holds it."""
    rows = session.fetch("claim", partition=partition, identity=session.identity)
    return rows[0] if rows else None


def take(session: RelaySession, partition: int, low_xid: str) -> list[Any]:
    """Delete at most `session.limit` hints and read their rows: a row for each season (columns: query `take`)."""
    name = "take_traced" if session.traced else "take"
    return session.fetch(name, partition=partition, low_xid=low_xid, limit=session.limit)


def commit(session: RelaySession, partition: int, fence: int, low_xid: str) -> None:
    """Write the fence and the low mark; they are committed with the deletion of the hints."""
    stamp = session.stamp(fence)
    session.execute(
        "commit_fence", fence=fence, identity=session.identity, stamp=stamp, low_xid=low_xid, partition=partition
    )


def read_profiles(session: RelaySession, partition: int, players: str) -> list[bytes]:
    """Players, one a line, and their profiles: user id, profile, user id, … as Redis holds them."""
    rows = session.fetch("shown_profiles", partition=partition, users=players.split("\n"))
    return [text.encode() for row in rows for text in (row.user_id, row.shown)]


def apply(
    session: RelaySession,
    partition: int,
    fence: int,
    claimed: Any,
    seasons: list[Any],
    profiles: list[bytes],
    carried: dict[str, Carried],
) -> Verdict:
    """Send these seasons' rows, and these profiles, through the fenced script. `claimed` is the row of the claim.

    `carried` are the segments of the seasons that have some.
    """
    space = session.keys
    keys = [space.watermark[partition], space.periods[partition]]
    groups = []
    segments: list[bytes] = []
    for row in seasons:
        season = row.season_id.encode()
        keys += (space.board(partition, season), space.members(partition, season))
        label = mark_of(row.ranking, row.named, row.period_number)
        if row.segments is not None:
            of = carried[row.season_id]
            label = label_segments(label, row.segments, of.full)
            segments += (season, b"%d" % (len(of.pairs) // 2), *of.pairs)
        labels = (season, b"%d" % row.period_id, label)
        arrays = (row.users, row.scores, row.reached)
        groups.append((labels, *arrays) if row.columns is None else (labels, *arrays, row.columns))
    committed = b"%d" % claimed.fence, claimed.identity.encode(), claimed.stamp.encode()
    head = [b"%d" % fence, committed[0], session.identity.encode(), session.epoch.encode(), *committed[1:]]
    written = b"%d" % (len(profiles) // 2)
    head += (written + b":%d" % len(segments) if segments else written, *profiles, *segments)
    if profiles:
        keys.append(space.profiles[partition])
    return verdict_of(session.redis.run(script("apply"), keys, head, groups))


def apply_singly(
    session: RelaySession,
    partition: int,
    fence: int,
    claimed: Any,
    seasons: list[Any],
    profiles: list[bytes],
    carried: dict[str, Carried],
) -> Verdict:
    """Write each season of a refused batch by itself, and set aside those that are refused again."""
    # The watermark first: it has to follow the fence that is committed, even if Redis refuses every season.
    verdict = apply(session, partition, fence, claimed, [], profiles, {})
    firsts: list[First | None] = []
    for row in seasons:
        if verdict.word != "ok":
            break
        try:
            verdict = apply(session, partition, fence, claimed, [row], [], carried)
            firsts += verdict.firsts
        except ResponseError as error:
            if concerns_server(error):
                raise
            log.error("season %r is set aside: %s", row.season_id, describe(error))
            set_aside(session, partition, row.season_id, error)
            firsts.append(None)
    return msgspec.structs.replace(verdict, firsts=firsts)


def set_aside(session: RelaySession, partition: int, season: str, error: ResponseError) -> None:
    """Note that Redis refuses this season: batches leave it out until it has been rebuilt whole."""
    session.execute("set_aside", season=season, partition=partition, reason=describe(error)[:500])


def parse_traces(traces: str, redis_ns: int) -> tuple[tuple[str, float], ...]:
    """The `traces` column of ``take_traced``: (traceparent, seconds) with the ages when Redis had the batch."""
    pairs = (one.split("@") for one in traces.split(" "))
    return tuple((parent, float(age_s) + redis_ns * NS) for parent, age_s in pairs)
