"""Copies of the product that have lost a guard. The faults have to find each of them: ``make test-faults`` shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from support.defects import plant


class Mutant(msgspec.Struct, frozen=True):
    """Which guard goes (file, text, what stands there instead), which fault must find it, as what.

    The short fault suite runs `SAMPLE`.
    """

    guard: str
    edits: tuple[tuple[str, str, str], ...]
    fault: str
    found_as: tuple[str, ...]


LOW_FENCE: Final = (
    ("board/redis/lua/apply.lua", "elseif tonumber(held[1]) < committed then", "elseif false then"),
    ("relay/watermarks.py", "        or w.fence < w.committed\n", ""),
)

SECOND: Final = """        self.fed_partitions = 0
        second = getattr(self, "second", False)
"""
FED_AFTERWARDS: Final = """            text = texts[5]
            if second:
                text = text.replace(b"j.is_fed = false", b"j.is_fed").replace(b"j.digest IS NULL OR", b"true OR")
            rows = await self._run(text, parameters, fetch=True)
            found = self._read_full(batch, rows)
            for item, (status, _) in zip(batch, found, strict=True):
                self.second = not second and status == WRITTEN and item.full
                while self.second:
                    try:
                        await self.submit([item])
                        self.second = False
                    except SubmissionsTorn:
                        pass
            return found"""
"""A second statement, and a second commit, for the fed seasons of each submission that the first one has written."""

MUTANTS: Final = (
    Mutant(
        "the fence is not compared",
        # What an old batch leaves behind is a low fence, which relays would notice, and mend it within moments.
        (
            ("board/redis/lua/apply.lua", "elseif tonumber(held[1]) > mine then", "elseif false then"),
            *LOW_FENCE,
        ),
        "relay: zombie after-take",
        ("I2", "I3", "I4"),
    ),
    Mutant(
        "a lower fence in Redis goes unnoticed",
        LOW_FENCE,
        "redis: kill -9, restarted with old data",
        ("I3",),
    ),
    Mutant(
        "an empty Redis goes unnoticed",
        (("board/redis/lua/apply.lua", "if committed > 0 then return {'lost', '', ''} end", ""),),
        "redis: FLUSHALL",
        ("I3",),
    ),
    Mutant(
        "the identity of PostgreSQL is not compared",
        (
            ("board/redis/lua/apply.lua", "elseif not mine_wrote and not known then", "elseif false then"),
            ("relay/watermarks.py", "        or w.identity != session.identity\n", ""),
        ),
        "postgres: lagging standby promoted",
        ("I3",),
    ),
    Mutant(
        "a PostgreSQL set back in time goes unnoticed",
        (
            ("relay/watermarks.py", "if highest <= drawn:", "if True:"),
            ("relay/watermarks.py", "        or w.epoch not in (None, session.epoch)\n", ""),
            ("board/redis/lua/apply.lua", " and (not epoch or epoch == ARGV[4])", ""),
        ),
        "postgres: volume set back",
        ("I3", "I6"),
    ),
    Mutant(
        "idempotency keys are not looked at",
        (
            (
                "board/pg/sql/submissions.sql",
                "AND (i.digest IS NULL OR i.ord IN (SELECT ord FROM first)) -- keyed",
                "-- keyed",
            ),
            (
                "board/pg/sql/submissions.sql",
                "FROM done WHERE digest IS NOT NULL ORDER BY digest -- keyed",
                "FROM done WHERE digest IS NOT NULL ORDER BY digest ON CONFLICT DO NOTHING -- keyed",
            ),
        ),
        "api: clients reset after sending",
        ("I2",),
    ),
    Mutant(
        "an unknown outcome is called not written",
        (
            (
                "service/submissions/statements.py",
                "return meaning",
                "return NotWritten(str(meaning))",
            ),
        ),
        "postgres: connection cut during COMMIT",
        ("I2",),
    ),
    Mutant(
        "the period is not checked",
        (("board/redis/lua/apply.lua", "if redis.call('HGET', KEYS[2], season) ~= period then", "if false then"),),
        "reset: seasons reset under load",
        ("I3",),
    ),
    Mutant(
        "hints of an ended period are carried",
        (
            (
                "board/pg/sql/relay.sql",
                "JOIN season s ON s.period_id = c.period_id AND NOT EXISTS",
                "JOIN period e ON e.period_id = c.period_id JOIN season s ON s.season_id = e.season_id AND NOT EXISTS",
            ),
        ),
        "reset: relays stand still meanwhile",
        ("I3", "I4", "I8"),
    ),
    Mutant(
        "the hints are committed before the script",
        (
            (
                "relay/batch.py",
                "        try:\n            verdict = apply(session, partition, fence, claimed, seasons",
                '        session.db.execute("COMMIT")\n'
                "        try:\n            verdict = apply(session, partition, fence, claimed, seasons",
            ),
        ),
        "relay: kill -9 mid-payload",
        ("I3",),
    ),
    Mutant(
        "a board without a watermark is read",
        (("board/redis/lua/board.lua", "if not fence then return {} end", "if not fence then fence = '0' end"),),
        "redis: FLUSHALL",
        ("I8",),
    ),
    Mutant(
        "a client that hangs up cancels its batch",
        (
            (
                "service/http/fast_path.py",
                "    def _write(self",
                "    def connection_lost(self, exc: Exception | None) -> None:\n"
                "        super().connection_lost(exc)\n"
                "        for task in list(self.tasks):\n"
                "            task.cancel()\n\n"
                "    def _write(self",
            ),
            (
                "service/submissions/outcomes.py",
                "                if not item.future.done():\n                    item.future.set_result",
                "                if True:\n                    item.future.set_result",
            ),
        ),
        "api: clients reset after sending",
        ("I5",),
    ),
    Mutant(
        "a master that is demoted goes on being read",
        (("board/redis/node.py", 'if self.role in ("replica", "slave"):', "if False:"),),
        "redis: master demoted",
        ("I5",),
    ),
    Mutant(
        "pipelined requests are queued without bound",
        (("service/http/uvicorn_seam.py", "return QUEUED_MOST - queued", "return 10**9"),),
        "overload: pipelining flood",
        ("I5",),
    ),
    Mutant(
        "a feed gives up when a board cannot be read",
        (("service/stream/feed.py", "await asyncio.sleep(backoff.failed())", "await asyncio.Event().wait()"),),
        "live: redis away and back",
        ("live",),
    ),
    Mutant(
        "boards that batches have touched are not asked",
        (
            (
                "service/boards/board_watch.py",
                "looks.append(self._look_into(partition, moved))",
                "looks.append(self._look_into(partition, moved[1:]))",
            ),
        ),
        "live: relay kill -9",
        ("live",),
    ),
    Mutant(
        "streams hold up the stop of a worker",
        (("service/stream/streams.py", "        leaving.add(self._end_all)\n", ""),),
        "live: SIGTERM of a worker",
        ("I5",),
    ),
    Mutant(
        "a client that does not read is written to",
        (("service/http/streaming.py", "connection.is_writing_paused() or ", ""),),
        "live: listeners that never read",
        ("I5",),
    ),
    Mutant(
        "a client that reads again gets nothing of what it has missed",
        (
            (
                "service/stream/listener.py",
                "            self._send_state()\n            if self._feed.failure",
                "            if self._feed.failure",
            ),
        ),
        "live: listeners that never read",
        ("I5", "live"),
    ),
    Mutant(
        "a keeper begins standings anew",
        (("relay/keeper.py", "                rows.scroll(done)\n", "                pass\n"),),
        "keeper: kill -9 committed write_standings",
        ("ends",),
    ),
    Mutant(
        "a change of the leader is not written with the fence",
        (("relay/batch.py", "            write_changes(session, changes)\n", "            pass\n"),),
        "relay: kill -9 after-script",
        ("leader",),
    ),
    Mutant(
        "a feed is written in a transaction of its own",
        (
            (
                "board/pg/sql/submissions_by_rule.sql",
                "AND j.ord NOT IN (SELECT ord FROM blocked) -- fed",
                "AND j.ord NOT IN (SELECT ord FROM blocked) AND j.is_fed = false -- fed",
            ),
            (
                "board/pg/sql/submissions_by_rule.sql",
                "WHERE j.is_fed AND f.ord IS NULL -- fed",
                "WHERE j.is_fed AND j.refusal > 0 -- fed",
            ),
            (
                "service/submissions/statements.py",
                "        self.fed_partitions = 0\n        is_moderated",
                SECOND + "        is_moderated",
            ),
            (
                "service/submissions/statements.py",
                "            return self._read_full(batch, await self._run(texts[5], parameters, fetch=True))",
                FED_AFTERWARDS,
            ),
        ),
        "api: kill -9 of a worker",
        ("feeds",),
    ),
    Mutant(
        "the columns of a better run are not kept",
        (
            (
                "board/pg/sql/submissions_by_rule.sql",
                "WHEN 1 THEN excluded.score > s.score OR (excluded.score = s.score -- columned",
                "WHEN 1 THEN excluded.score >= s.score AND (excluded.score = s.score -- columned",
            ),
        ),
        "relay: kill -9",
        ("I2",),
    ),
    Mutant(
        "the first answer is not whole",
        (
            (
                "service/submissions/statements.py",
                "figures = row[8:14] if status == REPLAYED else",
                "figures = (*row[8:10], row[8], False, *row[12:14]) if status == REPLAYED else",
            ),
        ),
        "api: clients reset after sending",
        ("I2",),
    ),
)


# What a reader suspects is not examined: it is the guard that is looked at, not the net below it.
NO_EXAMINATION: Final = ("relay/repairs.py", "for _ in range(EXAMINE_TRIES):", "for _ in ():")


SAMPLE: Final = (
    "the fence is not compared",
    "a lower fence in Redis goes unnoticed",
    "an empty Redis goes unnoticed",
    "idempotency keys are not looked at",
    "an unknown outcome is called not written",
    "the period is not checked",
    "the hints are committed before the script",
    "a board without a watermark is read",
    "a client that does not read is written to",
    "a keeper begins standings anew",
    "a feed is written in a transaction of its own",
)


def make(mutant: Mutant, tree: Path) -> Path:
    """A copy of the product without this guard. Fails if the guard is not where it was."""
    return plant(tree, NO_EXAMINATION, *mutant.edits)
