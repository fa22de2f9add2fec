"""Rebuild a partition, or one season, in Redis from PostgreSQL: in bounded memory, swapped in at once with a fence."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from _speedups import build_load
from board.redis.scripts import script
from board.redis.sync_redis import ResponseError
from board.season import count_columns, mark_of
from relay.batch import Refused, Verdict, claim, verdict_of
from relay.leaders import find_changes, leave_hints
from relay.pieces import PAIRS, send_pieces
from relay.segments import load_segments
from relay.session import RelaySession
from relay.watermarks import FIELDS, watermark

log: Final = logging.getLogger(__name__)

PROFILES: Final = ""
"""In the place of a season: the profiles of a partition, which belong to none."""


class Rebuilt(msgspec.Struct, frozen=True):
    """The number of seasons and players that were put in place."""

    seasons: int
    players: int


def rebuild(
    session: RelaySession,
    partition: int,
    progress: Callable[[int], None] | None = None,
    *,
    only: str | None = None,
) -> Rebuilt | None:
    """Load all boards and profiles of the partition, or `only` one season, or `PROFILES`, and swap them in.

    None if another relay holds the partition.

    Snapshot and claim are one: the transaction is REPEATABLE READ, so a claim of a row that was committed to after the
    snapshot is a serialisation failure, not a stale read. Hints younger than the snapshot stay in the outbox and are
    relayed afterwards. `progress` is called with the number of players loaded so far. Raises `Refused`, and
    `psycopg.OperationalError` (also for the serialisation failure: try again).
    """
    redis, keys = session.redis, session.keys
    # PostgreSQL sorts a period before it sends the first row of it, which takes long for millions of players.
    with session.beat.waiting(), session.snapshot():
        claimed = claim(session, partition)
        if claimed is None:
            return None
        committed = claimed.fence
        fence = session.value("draw_fence")
        if only is not None:
            # Checked first, so that nothing is loaded which the swap would refuse.
            (answer,) = redis.pipeline(("HMGET", keys.watermark[partition], *FIELDS))
            held = watermark(partition, committed, answer)
            if held.fence is None or held.identity != session.identity or held.epoch not in (None, session.epoch):
                raise Refused(partition, Verdict("lost", 0, ""))
        if only is None or only == PROFILES:
            (noted,) = redis.pipeline(("HMGET", keys.watermark[partition], "fence", "profiled"))
            if not isinstance(noted, ResponseError) and noted[0] != noted[1]:
                # A release without profiles has dropped hints of some. They may have moved players between segments.
                session.execute("load_segments")
        drop_temporary(session, partition)
        profiles = load_profiles(session, partition) if only is None or only == PROFILES else None
        names = [keys.watermark[partition], keys.periods[partition], keys.temporary[partition]]
        names += (keys.profiles[partition], keys.loaded_profiles[partition])
        head = [b"%d" % fence, b"%d" % committed, session.identity.encode(), keys.tag[partition]]
        head += (b"all" if only is None else b"some", session.epoch.encode())
        head.append(b"" if profiles is None else b"%d" % profiles)
        players = 0
        rows = []
        for row in session.fetch("partition_seasons", partition=partition):
            if only is not None and row.season_id != only:
                continue
            season = row.season_id.encode()
            board, members = keys.loaded_board(partition, season), keys.loaded_members(partition, season)
            redis.call("SADD", keys.temporary[partition], board, members)
            loaded = 0
            for count in load(session, board, members, row.period_id):
                loaded += count
                if progress is not None:
                    progress(players + loaded)
            players += loaded
            rows.append(row)
            names += (keys.board(partition, season), keys.members(partition, season), board, members)
            label = mark_of(row.ranking, row.columns, row.period_number)
            if row.segments is not None:
                label = load_segments(session, partition, row, label)
            head += (season, b"%d" % row.period_id, label, b"%d" % loaded)
        verdict = verdict_of(redis.run(script("swap"), names, head))
        if verdict.word != "ok":
            raise Refused(partition, verdict)
        commit = "commit_rebuild" if only is None else "commit_season"
        parameters = {
            "fence": fence,
            "identity": session.identity,
            "stamp": session.stamp(fence),
            "partition": partition,
            "season": only,
        }
        session.cursor.execute(session.sql[commit], parameters)
        if changes := find_changes(rows, verdict.firsts):
            leave_hints(session, partition, changes)
        return Rebuilt(len(rows), players)


def load(session: RelaySession, board: bytes, members: bytes, period: int) -> Iterator[int]:
    """Stream a period's rows into two temporary keys; yields the number of players of each piece."""
    name = "season_runs" if count_columns(period) else "season_rows"
    return send_pieces(
        session, board, session.sql[name], {"period": period}, lambda piece: build_load(board, members, piece, PAIRS)
    )


def load_profiles(session: RelaySession, partition: int) -> int:
    """Load a partition's profiles into their temporary key, page by page; returns their number."""
    redis, key = session.redis, session.keys.loaded_profiles[partition]
    redis.call("SADD", session.keys.temporary[partition], key)
    after, loaded = "", 0
    while rows := session.fetch("partition_profiles", partition=partition, after=after, limit=PAIRS):
        redis.call("HSET", key, *(text for row in rows for text in (row.user_id, row.shown)))
        after = rows[-1].user_id
        loaded += len(rows)
    return loaded


def drop_temporary(session: RelaySession, partition: int) -> None:
    """Delete the temporary keys of an earlier rebuild that died."""
    key = session.keys.temporary[partition]
    (left,) = session.redis.pipeline(("SMEMBERS", key))
    if isinstance(left, ResponseError):
        left = []  # the key is of another type
    for at in range(0, len(left), 1_000):
        session.redis.call("UNLINK", *left[at : at + 1_000])
    session.redis.call("DEL", key)


def clear_leftovers(session: RelaySession) -> None:
    """Delete the temporary keys of dead rebuilds. A rebuild in progress holds its partition, which is left out."""
    found = session.redis.pipeline(*(("EXISTS", key) for key in session.keys.temporary))
    for partition in [partition for partition, exists in enumerate(found) if exists == 1]:
        with session.db.transaction():
            if claim(session, partition) is not None:
                drop_temporary(session, partition)
                log.info("partition %d: deleted the temporary keys of a dead rebuild", partition)
