"""The judge: decides from a history, PostgreSQL and Redis whether the invariants hold; shares no code with the product.

    python -m faults.judge HISTORY --database URL --redis URL [--prefix lb]

Reads the tables as they are and decodes Redis by the layout in docs/architecture.md. Prints a verdict for each
invariant, names the operations that break it, and exits with 1 if one does.
"""

from __future__ import annotations

import argparse
import heapq
import sys
import zlib
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import psycopg
import redis

from faults.counts import Counted, count, judge_rows, judge_runs_told
from faults.history import History, Submission
from faults.model import NUMBER, Row, Run, entry_of, place, prefix_of, row_of, run_of
from faults.moves import judge_moves, judge_segment_reads, judge_segments
from faults.periods import Periods, judge_leaders, judge_periods

INVARIANTS: Final = {
    "I1": "every acknowledged submission is in PostgreSQL, and every change of a player's attributes",
    "I2": "no submission counts twice, and none that was refused counts",
    "I3": "every board, and every segment of it, equals PostgreSQL: members, scores, columns, order",
    "I4": "per player, what readers see only moves forward, and was once true",
    "I5": "the backlog is gone",
    "I6": "the watermark of every partition is this PostgreSQL's, and not below what it has committed",
    "I7": "no temporary key, no hint, no connection is left behind",
    "I8": "no reader saw an empty or half-built board, or a player in a segment of others",
    "feeds": "a submission counts once in each season that it reaches and that takes it, or in none",
    "reset": "nothing accepted before a reset counts after it, nothing accepted after it is lost",
    "period": "an answer names the period that its submission counts in, and no read shows rows of two",
    "ends": "each end has one event and one closing, in their order, and the standings are those of the ledger",
    "live": "whoever listens to a board ends with the one that PostgreSQL has",
    "leader": "events of leaders are a chain that ends with the first player of the board",
}
Breaches = dict[str, list[str]]

CACHED_S: Final = 0.02
"""A top may be this old: docs/api.md promises a few milliseconds."""


class Store:
    """What PostgreSQL holds, of the seasons of this history."""

    def __init__(self, database: str, history: History) -> None:
        with psycopg.connect(database) as db:
            names = [*history.seasons()]
            self.current: dict[str, int] = dict(
                db.execute("SELECT season_id, period_id FROM season WHERE season_id = ANY (%s)", (names,)).fetchall()
            )
            self.rows: dict[str, list[Row]] = defaultdict(list)
            for season, *row in db.execute(
                "SELECT s.season_id, r.user_id, r.score, r.columns, r.reached, r.submissions FROM score r "
                "JOIN season s USING (period_id) WHERE s.season_id = ANY (%s)",
                (names,),
            ):
                self.rows[season].append(row_of(history.rule(season), *row))
            # Periods that have ended may have been collected: the ledger still has their numbers, not their seasons.
            self.ledger: list[Run] = [
                run
                for row in db.execute(
                    "SELECT submission, period_id, user_id, delta, run, accepted_at FROM ledger "
                    "WHERE accepted_at >= to_timestamp(%s) ORDER BY submission",
                    (history.since,),
                )
                if (run := run_of(history.submissions, *row)) is not None
            ]
            self.metadata: dict[tuple[int, str], tuple[int, int]] = {
                (period, user): (reached & NUMBER, op)
                for period, user, reached, op in db.execute(
                    "SELECT period_id, user_id, reached, (metadata::json ->> 'op')::bigint FROM run_metadata"
                )
            }
            """By period and player: the number of the run that the metadata are of, and their `op`."""
            self.attributes: dict[str, dict[str, str]] = dict(
                db.execute("SELECT user_id, attributes::json FROM player").fetchall()
            )
            self.fences: list[tuple[int, int, str]] = db.execute("SELECT id, fence, identity FROM partition").fetchall()
            self.hints: int = db.execute("SELECT count(*) FROM outbox").fetchall()[0][0]
            self.connections: dict[str, int] = dict(
                db.execute(
                    "SELECT application_name, count(*) FROM pg_stat_activity WHERE usename = current_user GROUP BY 1"
                ).fetchall()
            )
        self.runs: dict[tuple[int, str], list[Run]] = defaultdict(list)
        self.by_number: dict[tuple[int, int], Run] = {}
        """The runs of a player in a period, and each run by period and number: fed ones share the number."""
        for run in self.ledger:
            self.runs[run.period, run.user].append(run)
            self.by_number[run.period, run.number] = run


def judge(history: History, database: str, redis_url: str, *, prefix: str = "lb") -> Breaches:
    """The breaches of each invariant; empty lists where it holds."""
    store = Store(database, history)
    breaches: Breaches = {name: [] for name in INVARIANTS}
    counted = count(history, store.ledger, breaches)
    judge_rows(history, store, counted, breaches)
    judge_runs_told(history, store, counted, breaches)
    with redis.Redis.from_url(redis_url, socket_timeout=30) as client:
        boards(history, store, client, prefix, breaches)
        judge_segments(history, store, client, prefix, breaches)
        watermarks(store, client, prefix, breaches)
    moves_forward(history, store, breaches)
    never_empty(history, breaches)
    judge_moves(history, store, breaches)
    judge_segment_reads(history, breaches)
    resets(history, counted, breaches)
    listeners(history, store, breaches)
    with psycopg.connect(database) as db:
        kept = Periods(db, history.seasons())
    judge_periods(history, kept, counted, store, breaches)
    judge_leaders(history, kept, store, breaches)
    if store.hints:
        breaches["I5"].append(f"{store.hints} hints wait")
    for name, most in (("leaderboard-intake", 16), ("leaderboard-relay", 16), ("leaderboard-janitor", 4)):
        if store.connections.get(name, 0) > most:
            breaches["I7"].append(f"{store.connections[name]} connections of {name}")
    return breaches


def listeners(history: History, store: Store, breaches: Breaches) -> None:
    """The last list of each listener."""
    for heard in history.heard:
        season, rule = heard["season"], history.rule(heard["season"])
        rows = sorted(store.rows.get(season, []), key=lambda row: place(rule, row))
        wanted = [(row.user, row.score) for row in rows][: heard["limit"]]
        found = [*zip(heard["users"], heard["scores"], strict=True)]
        who = f"{heard['how']} {heard['client']} of {season}"
        if heard["wrong"]:
            breaches["live"].append(f"{who}: {heard['wrong']}")
        elif found != wanted or heard["total"] != len(rows):
            at = next((n for n, pair in enumerate(zip(found, wanted, strict=False)) if pair[0] != pair[1]), "the end")
            breaches["live"].append(f"{who} has {len(found)} rows of {heard['total']}, and another list from {at} on")


def boards(history: History, store: Store, client: Any, prefix: str, breaches: Breaches) -> None:
    """Members, scores and order in Redis; I3. Temporary keys; I7."""
    for season, period in store.current.items():
        rule, rows = history.rule(season), store.rows.get(season, [])
        tag = f"{prefix}:{{{zlib.crc32(season.encode()) % 64}}}:"
        wanted = sorted(place(rule, row) for row in rows)
        entries = client.zrange(f"{tag}z:{season}", 0, -1, withscores=True)
        found = [entry_of(member, double, len(rule.columns)) for member, double in entries]
        if found != wanted:
            differing = set(found) ^ set(wanted)
            players = sorted({user for *_, user in differing})[:5]
            breaches["I3"].append(f"{season}: {len(differing)} entries differ or their order does, {players}")
        elif client.hgetall(f"{tag}h:{season}") != {row.user.encode(): prefix_of(rule, row) for row in rows}:
            breaches["I3"].append(f"{season}: the hash of members differs")
        held = client.hget(f"{tag}p", season)
        if held != str(period).encode():
            breaches["I3"].append(f"{season}: Redis shows period {held!r} instead of {period}")
    left = [key for key in client.scan_iter(match=f"{prefix}:{{*", count=1000) if key.split(b":")[2][:1] == b"t"]
    if left:
        breaches["I7"].append(f"temporary keys: {left[:5]}")


def watermarks(store: Store, client: Any, prefix: str, breaches: Breaches) -> None:
    """What the fence in Redis says of who wrote last; I6."""
    for partition, fence, identity in store.fences:
        held, whose = client.hmget(f"{prefix}:{{{partition}}}:w", "fence", "identity")
        if fence and (held is None or int(held) < fence or whose != identity.encode()):
            breaches["I6"].append(f"partition {partition}: Redis has {held!r} of {whose!r}, not {fence} of {identity}")


def moves_forward(history: History, store: Store, breaches: Breaches) -> None:
    """I4: a read that began after another had ended shows no older version; a version means one score, and one run."""
    truth: dict[tuple[str, str, int], set[int]] = defaultdict(set)
    for one in history.submissions.values():
        for answer in one.answers:
            truth[one.season, one.user, answer.version].add(answer.score)
    columns: dict[tuple[int, str, int], set[bytes]] = defaultdict(set)
    for run in store.ledger:
        columns[run.fold, run.user, run.number].add(run.columns)
    by_player: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for read in history.reads:
        if read["do"] == "rank" and read["status"] == 200:
            by_player[read["season"], read["user"]].append(read)
            said = truth.get((read["season"], read["user"], read["version"]))
            if said and read["score"] not in said:
                breaches["I4"].append(
                    f"read {read['op']} of {read['user']}: version {read['version']} with {read['score']}, not {said}"
                )
            rule = history.rule(read["season"])
            if rule.columns and rule.operator != "sum":
                ran = columns[rule.fold, read["user"], read["version"]]
                if rule.pack(read["columns"][0]) not in ran:
                    breaches["I4"].append(f"read {read['op']} of {read['user']} shows {read['columns']}, not {ran}")
    for (_, user), reads in by_player.items():
        reads.sort(key=lambda read: read["began"])
        running: list[tuple[float, int, int]] = []
        newest, by = 0, 0
        for read in reads:
            while running and running[0][0] < read["began"]:
                _, version, op = heapq.heappop(running)
                if version > newest:
                    newest, by = version, op
            if read["version"] < newest:
                breaches["I4"].append(f"read {read['op']} of {user} shows {read['version']}, read {by} had {newest}")
            heapq.heappush(running, (read["t"], read["version"], read["op"]))


def never_empty(history: History, breaches: Breaches) -> None:
    """I8: who was on a board is on it in every later read, unless a reset came between."""
    resets: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for reset in history.resets:
        resets[reset["season"]].append((reset["began"], reset["ended"]))
    # Players seen on a board, by season: since when.
    seen: dict[str, dict[str, float]] = defaultdict(dict)
    pending: list[tuple[float, int, dict[str, Any]]] = []
    for read in sorted(history.reads, key=lambda read: read["began"]):
        while pending and pending[0][0] + CACHED_S < read["began"]:
            _, _, done = heapq.heappop(pending)
            shown = done.get("users") or ([done["user"]] if done["status"] == 200 and done["do"] == "rank" else [])
            for user in shown:
                seen[done["season"]][user] = done["began"]
        heapq.heappush(pending, (read["t"], read["op"], read))
        season = read["season"]

        def still(since: float, season: str = season, until: float = read["t"]) -> bool:
            # A reset that may have taken effect after the player was seen and before this read was answered.
            return not any(began <= until and ended >= since for began, ended in resets[season])

        if "users" in read and (
            len(set(read["users"])) < len(read["users"])
            or (shown := shown_runs(history, read)) != sorted(shown, reverse=True)
            or read.get("ranks", []) != ranks(read, shown, history.rule(season).is_shared)
        ):
            breaches["I8"].append(f"read {read['op']} of {season} shows a player twice, or not in order")
        if read["do"] == "top" and read["status"] == 200:
            missing = [user for user, since in seen[season].items() if still(since) and user not in set(read["users"])]
            if missing and len(read["users"]) < 1000:
                breaches["I8"].append(f"read {read['op']} of {season} lacks {len(missing)} players, {missing[:3]}")
        elif read["status"] == 404 and (since := seen[season].get(read["user"])) is not None and still(since):
            breaches["I8"].append(f"read {read['op']} does not find {read['user']} of {season}, who was there")
        elif read["do"] == "around" and read["status"] == 200 and read["user"] not in read["users"]:
            breaches["I8"].append(f"read {read['op']} around {read['user']} shows the player not among them")


def shown_runs(history: History, read: dict[str, Any]) -> list[tuple[int, bytes]]:
    """The rows of a read, as runs are compared."""
    rule, scores = history.rule(read["season"]), read["scores"]
    columns = read.get("columns") or [{}] * len(scores)
    return [rule.better(score, rule.pack(values) or b"") for score, values in zip(scores, columns, strict=True)]


def ranks(read: dict[str, Any], runs: list[tuple[int, bytes]], are_shared: bool) -> list[int]:
    """The ranks that the rows of a read must have; those of `around` go on from the first one that it shows."""
    found: list[int] = read.get("ranks", [])
    if read["do"] not in ("top", "segment") or not found:
        return found if are_shared else [*range(found[0], found[0] + len(found))] if found else []
    return [1 + runs.index(run) for run in runs] if are_shared else [*range(1, len(runs) + 1)]


def resets(history: History, counted: Counted, breaches: Breaches) -> None:
    """A submission acknowledged before a reset was sent, and one sent after its answer, are in different periods.

    Of a season that is fed, those that came by the feed, too.
    """
    by_season: dict[str, list[tuple[int, Submission]]] = defaultdict(list)
    for (op, season), runs in counted.items():
        by_season[season].append((runs[0].period, history.submissions[op]))
    for reset in history.resets:
        if reset["kind"] != "ok":
            continue
        there = by_season[reset["season"]]
        before = [pair for pair in there if pair[1].answered is not None and pair[1].answered < reset["began"]]
        after = [pair for pair in there if pair[1].began > reset["ended"]]
        if before and after:
            last, first = max(before, key=lambda pair: pair[0]), min(after, key=lambda pair: pair[0])
            if last[0] >= first[0]:
                breaches["reset"].append(
                    f"reset {reset['op']} of {reset['season']}: submission {last[1].op} from before it is in period "
                    f"{last[0]}, {first[1].op} from after it in {first[0]}"
                )


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m faults.judge", description=__doc__.splitlines()[0])
    parser.add_argument("history", type=Path)
    parser.add_argument("--database", required=True)
    parser.add_argument("--redis", required=True)
    parser.add_argument("--prefix", default="lb")
    arguments = parser.parse_args()
    with arguments.history.open() as lines:
        history = History(lines)
    breaches = judge(history, arguments.database, arguments.redis, prefix=arguments.prefix)
    for name, found in breaches.items():
        print(f"{name:6}{'holds' if not found else 'BROKEN'}  {INVARIANTS[name]}")
        for line in found[:20]:
            print(f"        {line}")
    return 1 if any(breaches.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
