"""The judge: decides from a history, PostgreSQL and Redis whether the invariants hold; shares no code with the product.

    python -m faults.judge HISTORY --database URL --redis URL [--prefix lb]

Reads the tables as they are and decodes Redis by the layout in docs/architecture.md. Prints a verdict for each
invariant, names the operations that break it, and exits with 1 if one does.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import psycopg
import redis

from faults.periods import Periods, judge_leaders, judge_periods

INVARIANTS: Final = {
    "I1": "every acknowledged submission is in PostgreSQL",
    "I2": "no submission counts twice, and none that was refused counts",
    "I3": "every board equals PostgreSQL: members, scores, order",
    "I4": "per player, what readers see only moves forward, and was once true",
    "I5": "the backlog is gone",
    "I6": "the watermark of every partition is this PostgreSQL's, and not below what it has committed",
    "I7": "no temporary key, no hint, no connection is left behind",
    "I8": "no reader saw an empty or half-built board",
    "reset": "nothing accepted before a reset counts after it, nothing accepted after it is lost",
    "period": "an answer names the period that its submission counts in, and no read shows rows of two",
    "ends": "each end has one event and one closing, in their order, and the standings are those of the ledger",
    "live": "whoever listens to a board ends with the one that PostgreSQL has",
    "leader": "events of leaders are a chain that ends with the first player of the board",
}
Breaches = dict[str, list[str]]

OPS_MOST: Final = 10**9
"""The number of a submission modulo this is its `op`."""
CACHED_S: Final = 0.02
"""A top may be this old: docs/api.md promises a few milliseconds."""


class Submission:
    """All tries of one submission."""

    def __init__(self, first: dict[str, Any]) -> None:
        self.op: int = first["op"]
        self.season: str = first["season"]
        self.user: str = first["user"]
        self.value: int = first.get("value", self.op)
        self.began: float = first["t"]
        self.answered: float | None = None
        self.tries = 0
        self.unknown = 0
        self.answers: set[tuple[int, int]] = set()
        self.period: int | None = None


class History:
    """Submissions by number, reads and resets in order of their end."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.submissions: dict[int, Submission] = {}
        self.reads: list[dict[str, Any]] = []
        self.heard: list[dict[str, Any]] = []
        """What each listener has in the end."""
        self.resets: list[dict[str, Any]] = []
        self.rules: dict[str, tuple[str, str]] = {}
        self.scheduled: set[str] = set()
        self.shared: set[str] = set()
        """Seasons with a schedule, and those in which equal scores share a rank."""
        self.lines = 0
        begun: dict[int, float] = {}
        ended: set[int] = set()
        for line in lines:
            event = json.loads(line)
            self.lines += 1
            op, kind = event["op"], event["kind"]
            if event["do"] == "define":
                self.rules[event["season"]] = (event["operator"], event["order"])
                if event.get("schedule"):
                    self.scheduled.add(event["season"])
                if event.get("ranking") == "competition":
                    self.shared.add(event["season"])
            elif event["do"] == "listen":
                self.heard.append(event)
            elif event["do"] == "submit":
                if kind == "invoke":
                    one = self.submissions.setdefault(op, Submission(event))
                    one.tries += 1
                    one.unknown += 1
                    continue
                one = self.submissions[op]
                if kind != "unknown":
                    one.unknown -= 1
                if kind == "ok":
                    one.answers.add((event["score"], event["version"]))
                    one.answered = one.answered or event["t"]
                    one.period = event.get("period")
            elif kind == "invoke":
                begun[op] = event["t"]
                if event["do"] == "reset":
                    self.resets.append(event | {"began": event["t"], "ended": float("inf"), "kind": "unknown"})
            elif event["do"] == "reset":
                self.resets[-1] |= {"kind": kind, "ended": event["t"] if kind != "unknown" else float("inf")}
                ended.add(op)
            elif kind == "ok":
                self.reads.append(event | {"began": begun[op]})
        self.resets = [reset for reset in self.resets if reset["kind"] != "fail"]

    def rule(self, season: str) -> tuple[str, str]:
        """Operator and order of a season."""
        return self.rules.get(season, ("sum", "desc"))


class Store:
    """What PostgreSQL holds, of the seasons of this history."""

    def __init__(self, database: str, seasons: set[str]) -> None:
        with psycopg.connect(database) as db:
            names = list(seasons)
            self.current: dict[str, int] = dict(
                db.execute("SELECT season_id, period_id FROM season WHERE season_id = ANY (%s)", (names,)).fetchall()
            )
            self.scores: dict[str, list[tuple[str, int, int, int]]] = defaultdict(list)
            for season, user, score, reached, n in db.execute(
                "SELECT s.season_id, r.user_id, r.score, r.reached, r.submissions FROM score r JOIN season s "
                "USING (period_id) WHERE s.season_id = ANY (%s)",
                (names,),
            ):
                self.scores[season].append((user, score, reached, n))
            # Periods that have ended may have been collected: the ledger still has their numbers, not their seasons.
            self.ledger: list[tuple[int, str, int, int]] = db.execute(
                "SELECT period_id, user_id, delta, submission FROM ledger ORDER BY submission"
            ).fetchall()
            self.fences: list[tuple[int, int, str]] = db.execute("SELECT id, fence, identity FROM partition").fetchall()
            self.hints: int = db.execute("SELECT count(*) FROM outbox").fetchall()[0][0]
            self.connections: dict[str, int] = dict(
                db.execute(
                    "SELECT application_name, count(*) FROM pg_stat_activity WHERE usename = current_user GROUP BY 1"
                ).fetchall()
            )


def judge(history: History, database: str, redis_url: str, *, prefix: str = "lb") -> Breaches:
    """The breaches of each invariant; empty lists where it holds."""
    seasons = {one.season for one in history.submissions.values()} | {reset["season"] for reset in history.resets}
    store = Store(database, seasons)
    breaches: Breaches = {name: [] for name in INVARIANTS}
    counted = count(history, store, breaches)
    sums(history, store, counted, breaches)
    runs(history, store, breaches)
    with redis.Redis.from_url(redis_url, socket_timeout=30) as client:
        boards(store, client, prefix, breaches)
        watermarks(store, client, prefix, breaches)
    moves_forward(history, breaches)
    never_empty(history, breaches)
    resets(history, counted, breaches)
    listeners(history, store, breaches)
    with psycopg.connect(database) as db:
        kept = Periods(db, seasons)
    judge_periods(history, kept, counted, store.ledger, breaches)
    judge_leaders(history, kept, store.scores, breaches)
    if store.hints:
        breaches["I5"].append(f"{store.hints} hints wait")
    for name, most in (("leaderboard-intake", 16), ("leaderboard-relay", 16), ("leaderboard-janitor", 4)):
        if store.connections.get(name, 0) > most:
            breaches["I7"].append(f"{store.connections[name]} connections of {name}")
    return breaches


def count(history: History, store: Store, breaches: Breaches) -> dict[int, list[int]]:
    """Which period(s) each submission counts in; I1 and I2."""
    rows: dict[int, list[int]] = defaultdict(list)
    for period, user, value, _ in store.ledger:
        one = history.submissions.get(value % OPS_MOST)
        if one is not None and one.user == user and one.value == value:
            rows[one.op].append(period)
    for one in history.submissions.values():
        n = len(rows.get(one.op, ()))
        if one.answers and n == 0:
            breaches["I1"].append(f"submission {one.op} of {one.user} was acknowledged and is not in the ledger")
        if n > 1:
            breaches["I2"].append(f"submission {one.op} of {one.user} counts {n} times")
        if n and not one.answers and not one.unknown:
            breaches["I2"].append(f"submission {one.op} of {one.user} was refused and counts")
        if len(one.answers) > 1:
            breaches["I2"].append(f"submission {one.op} got different answers: {sorted(one.answers)}")
    return rows


def sums(history: History, store: Store, counted: dict[int, list[int]], breaches: Breaches) -> None:
    """Scores are the sums of what counts, and every acknowledged score was one on the way there; I2."""
    by_player: dict[tuple[int, str], list[Submission]] = defaultdict(list)
    for op, periods in counted.items():
        one = history.submissions[op]
        if history.rule(one.season)[0] == "sum":
            for period in periods:
                by_player[period, one.user].append(one)
    for season, rows in store.scores.items():
        operator, order = history.rule(season)
        if operator != "sum":
            continue
        for user, stored, _, n in rows:
            score = stored if order == "desc" else -1 - stored
            mine = by_player.get((store.current[season], user), [])
            if sum(one.op for one in mine) != score or (
                order == "desc" and season not in history.scheduled and len(mine) != n
            ):
                breaches["I2"].append(
                    f"{season}/{user} has {score} from {n}, its ledger {sum(one.op for one in mine)} from {len(mine)}"
                )
    for (_, user), several in by_player.items():
        told = sorted((score, one) for one in several for score, _ in one.answers)
        sure = all(one.answers for one in several)
        before = 0
        for score, one in told:
            start = score - one.op
            if start < before or (sure and start != before):
                breaches["I2"].append(f"submission {one.op} of {user} was told {score}, after {before}")
            before = score


def runs(history: History, store: Store, breaches: Breaches) -> None:
    """Where the best or the last run counts: rows are those of the ledger, and so is every acknowledged score; I2."""
    by_player: dict[tuple[int, str], list[tuple[int, int]]] = defaultdict(list)
    values: dict[int, int] = {}
    for period, user, value, number in store.ledger:
        by_player[period, user].append((number, value))
        values[number] = value
    for season, rows in store.scores.items():
        operator, order = history.rule(season)
        if operator == "sum":
            continue
        sign = 1 if order == "desc" else -1
        for user, stored, reached, _ in rows:
            score = stored if order == "desc" else -1 - stored
            mine = by_player[store.current[season], user]
            if not mine:
                breaches["I2"].append(f"{season}/{user} has {score} of submission {reached}, its ledger nothing")
                continue
            number, value = max(mine) if operator == "last" else max(mine, key=lambda one: (sign * one[1], -one[0]))
            if (score, reached) != (value, number):
                breaches["I2"].append(
                    f"{season}/{user} has {score} of submission {reached}, its ledger {value} of {number}"
                )
    for one in history.submissions.values():
        operator, order = history.rule(one.season)
        if operator == "sum":
            continue
        for score, version in one.answers:
            if values.get(version) != score:
                breaches["I2"].append(f"submission {one.op} was told {score} of {version}, not {values.get(version)}")
            if operator == "best" and (score < one.value if order == "desc" else score > one.value):
                breaches["I2"].append(f"submission {one.op} of {one.value} was told {score}, which is worse")


def listeners(history: History, store: Store, breaches: Breaches) -> None:
    """The last list of each listener."""
    for heard in history.heard:
        season = heard["season"]
        rows = sorted(store.scores.get(season, []), key=lambda row: (-row[1], row[2], row[0]))
        sign, offset = (1, 0) if history.rule(season)[1] == "desc" else (-1, -1)
        wanted = [(user, sign * score + offset) for user, score, _, _ in rows][: heard["limit"]]
        found = [*zip(heard["users"], heard["scores"], strict=True)]
        who = f"{heard['how']} {heard['client']} of {season}"
        if heard["wrong"]:
            breaches["live"].append(f"{who}: {heard['wrong']}")
        elif found != wanted or heard["total"] != len(rows):
            at = next((n for n, pair in enumerate(zip(found, wanted, strict=False)) if pair[0] != pair[1]), "the end")
            breaches["live"].append(f"{who} has {len(found)} rows of {heard['total']}, and another list from {at} on")


def boards(store: Store, client: Any, prefix: str, breaches: Breaches) -> None:
    """Members, scores and order in Redis; I3. Temporary keys; I7."""
    for season, period in store.current.items():
        tag = f"{prefix}:{{{zlib.crc32(season.encode()) % 64}}}:"
        wanted = sorted((-score, reached, user) for user, score, reached, _ in store.scores.get(season, []))
        found = [decode(member, double) for member, double in client.zrange(f"{tag}z:{season}", 0, -1, withscores=True)]
        prefixes = client.hgetall(f"{tag}h:{season}")
        if found != wanted:
            differing = set(found) ^ set(wanted)
            players = sorted({user for _, _, user in differing})[:5]
            breaches["I3"].append(f"{season}: {len(differing)} entries differ or their order does, {players}")
        elif prefixes != {user.encode(): member_prefix(-score, reached) for score, reached, user in wanted}:
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


def decode(member: bytes, double: float) -> tuple[int, int, str]:
    """(-score, reached, user) of a member: 2 bytes of low bits, 8 bytes reached, the user id."""
    low, reached, user = int.from_bytes(member[:2], "big"), int.from_bytes(member[2:10], "big"), member[10:].decode()
    assert low == 0 or abs(double) >= 2.0**52, "small scores carry no low bits"
    assert abs(double) < 2.0**52, "the generator's scores stay small"
    return int(double), reached, user


def member_prefix(score: int, reached: int) -> bytes:
    """What the hash holds for a player with a small score."""
    assert abs(score) < 2**52
    return b"\0\0" + reached.to_bytes(8, "big")


def moves_forward(history: History, breaches: Breaches) -> None:
    """I4: a read that began after another had ended shows no older version; a version means one score."""
    truth: dict[tuple[str, str, int], set[int]] = defaultdict(set)
    for one in history.submissions.values():
        for score, version in one.answers:
            truth[one.season, one.user, version].add(score)
    by_player: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for read in history.reads:
        if read["do"] == "rank" and read["status"] == 200:
            by_player[read["season"], read["user"]].append(read)
            said = truth.get((read["season"], read["user"], read["version"]))
            if said and read["score"] not in said:
                breaches["I4"].append(
                    f"read {read['op']} of {read['user']}: version {read['version']} with {read['score']}, not {said}"
                )
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
            or read["scores"] != sorted(read["scores"], reverse=history.rule(season)[1] == "desc")
            or read.get("ranks", []) != ranks(read, season in history.shared)
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


def ranks(read: dict[str, Any], are_shared: bool) -> list[int]:
    """The ranks that the rows of a read must have; those of `around` go on from the first one that it shows."""
    found: list[int] = read.get("ranks", [])
    scores = read["scores"]
    if read["do"] != "top" or not found:
        return found if are_shared else [*range(found[0], found[0] + len(found))] if found else []
    return [1 + scores.index(score) for score in scores] if are_shared else [*range(1, len(scores) + 1)]


def resets(history: History, counted: dict[int, list[int]], breaches: Breaches) -> None:
    """A submission acknowledged before a reset was sent, and one sent after its answer, are in different periods."""
    by_season: dict[str, list[Submission]] = defaultdict(list)
    for one in history.submissions.values():
        if counted.get(one.op):
            by_season[one.season].append(one)
    for reset in history.resets:
        if reset["kind"] != "ok":
            continue
        before = [o for o in by_season[reset["season"]] if o.answered is not None and o.answered < reset["began"]]
        after = [o for o in by_season[reset["season"]] if o.began > reset["ended"]]
        if before and after:
            last = max(before, key=lambda o: counted[o.op][0])
            first = min(after, key=lambda o: counted[o.op][0])
            if counted[last.op][0] >= counted[first.op][0]:
                breaches["reset"].append(
                    f"reset {reset['op']} of {reset['season']}: submission {last.op} from before it is in period "
                    f"{counted[last.op][0]}, {first.op} from after it in {counted[first.op][0]}"
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
