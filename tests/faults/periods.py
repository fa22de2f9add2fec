"""The judge of periods, of their events and of leaders. Like `faults.judge`, it shares no code with the product."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from faults.counts import Counted
from faults.history import History
from faults.model import NUMBER, Row, Rule, Run, counting, place

if TYPE_CHECKING:
    from faults.judge import Breaches, Store


class Standing(NamedTuple):
    """A row of an ended period, with its position and that of the first equal one."""

    position: int
    user: str
    score: int
    columns: bytes
    reached: int
    shared: int


class Periods:
    """What PostgreSQL holds of the periods of some seasons."""

    def __init__(self, db: psycopg.Connection[Any], seasons: set[str]) -> None:
        names = ([*seasons],)
        self.numbers: dict[int, int] = {}
        self.ended: dict[str, list[tuple[int, int, bool, int | None]]] = defaultdict(list)
        """By season: number, period, whether it is final, players; those that were ended and kept."""
        self.current: dict[str, int] = {}
        for season, number, period, is_ended, is_final, players, is_current in db.execute(
            "SELECT p.season_id, p.number, p.period_id, p.ends_at IS NOT NULL, p.final_at IS NOT NULL, p.players, "
            "p.period_id = s.period_id FROM period p JOIN season s USING (season_id) "
            "WHERE p.season_id = ANY (%s) AND p.ended_at IS NULL ORDER BY p.season_id, p.number",
            names,
        ):
            self.numbers[period] = number
            if is_ended:
                self.ended[season].append((number, period, is_final, players))
            if is_current:
                self.current[season] = number
        self.standings: dict[int, list[Standing]] = defaultdict(list)
        for period, position, user, score, columns, reached, shared in db.execute(
            "SELECT period_id, position, user_id, score, columns, reached, shared FROM standing "
            "WHERE period_id = ANY (%s) ORDER BY period_id, position",
            ([*self.numbers],),
        ):
            row = Standing(position, user, score, columns or b"", reached & NUMBER, shared)
            self.standings[period].append(row)
        self.events: dict[str, list[tuple[str, int, dict[str, Any]]]] = defaultdict(list)
        for season, kind, number, data in db.execute(
            "SELECT season_id, kind, period, data::json FROM event WHERE season_id = ANY (%s) "
            "ORDER BY history, xid, number",
            names,
        ):
            self.events[season].append((kind, number, data))


def judge_periods(history: History, kept: Periods, counted: Counted, store: Store, breaches: Breaches) -> None:
    """Answers and reads are of one period each; ends and closings are told once; standings are those of the ledger."""
    for one in history.submissions.values():
        found = [kept.numbers.get(run.period) for run in counted.get((one.op, one.season), [])]
        for answer in one.answers:
            if answer.period is not None and found and found != [answer.period]:
                breaches["period"].append(f"submission {one.op} was told period {answer.period} and counts in {found}")
    judge_reads(history, counted, breaches)
    runs: dict[int, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in store.ledger:
        runs[run.period][run.user].append(run)
    for season, rule in history.rules.items():
        if not rule.is_scheduled:
            continue
        judge_events(season, rule, kept, breaches)
        for number, period, is_final, players in kept.ended[season]:
            where = f"{season}, period {number}"
            if not is_final:
                breaches["ends"].append(f"{where} is not final")
                continue
            wanted = rank_runs(rule, runs[period], kept.standings[period])
            if wanted != kept.standings[period] or players != len(wanted):
                differing = set(wanted) ^ set(kept.standings[period])
                breaches["ends"].append(f"{where}: {len(differing)} standings differ, of {players} players")


def judge_reads(history: History, counted: Counted, breaches: Breaches) -> None:
    """Rows of best and last runs that one read shows are of one period: runs of several may be equal."""
    periods: dict[tuple[str, str, int, bytes], set[int]] = defaultdict(set)
    for (op, season), runs in counted.items():
        for run in runs:
            periods[season, history.submissions[op].user, run.value, run.columns].add(run.period)
    for read in history.reads:
        season, rule = read["season"], history.rule(read["season"])
        if rule.operator == "sum" or "users" not in read:
            continue
        columns = read.get("columns") or [{}] * len(read["scores"])
        rows = zip(read["users"], read["scores"], map(rule.pack, columns), strict=True)
        shown = [found for user, *run in rows if (found := periods.get((season, user, *run)))]
        if shown and not set.intersection(*shown):
            breaches["period"].append(f"read {read['op']} of {season} shows rows of several periods")


def rank_runs(rule: Rule, runs: dict[str, list[Run]], found: list[Standing]) -> list[Standing]:
    """The standings of submissions. Ties of sums go by the number that was found: no submission has it alone."""
    reached_of = {row.user: row.reached for row in found}
    rows = []
    for user, mine in runs.items():
        if rule.operator == "sum":
            total = sum(run.value for run in mine)
            rows.append(Row(user, total, max(mine).columns, reached_of.get(user, -1), 0))
        else:
            run = counting(rule, mine)
            rows.append(Row(user, run.value, run.columns, run.number, 0))
    rows.sort(key=lambda row: place(rule, row))
    first: dict[tuple[int, bytes], int] = {}
    for position, row in enumerate(rows, 1):
        first.setdefault((row.score, row.columns), position)
    return [
        Standing(position, row.user, row.score, row.columns, row.reached, first[row.score, row.columns])
        for position, row in enumerate(rows, 1)
    ]


def judge_events(season: str, rule: Rule, kept: Periods, breaches: Breaches) -> None:
    """Events of a season in the order in which readers get them."""
    numbers = [number for number, *_ in kept.ended[season]]
    told = kept.events[season]
    for kind in ("period.ended", "period.closed"):
        found = [number for one, number, _ in told if one == kind]
        if found != numbers:
            breaches["ends"].append(f"{season}: {kind} of {found}, while the periods {numbers} have ended")
    ended = 0
    for kind, number, data in told:
        if kind == "period.ended":
            ended = number
        elif kind == "leader.changed" and number != ended + 1:
            breaches["ends"].append(f"{season}: a leader of period {number} is told after the end of {ended}")
        elif kind == "period.closed" and number > ended:
            breaches["ends"].append(f"{season}: period {number} is closed before its end is told")
        if kind == "period.closed":
            (period,) = (period for n, period, *_ in kept.ended[season] if n == number)
            best = [(row.user, row.score, row.columns) for row in kept.standings[period][:10]]
            top = [(row["userId"], row["score"], rule.pack(row.get("columns", {}))) for row in data["top"]]
            if top != best:
                breaches["ends"].append(f"{season}: the event of period {number} has other ten best")


def judge_leaders(history: History, kept: Periods, store: Store, breaches: Breaches) -> None:
    """Each leader follows the one before, and the last one of a current period is the first player of the board."""
    for season, number in kept.current.items():
        chain = [data for kind, period, data in kept.events[season] if kind == "leader.changed" and period == number]
        leader = None
        for data in chain:
            if data["previousUserId"] not in (leader, None) or data["userId"] == leader:
                breaches["leader"].append(f"{season}: {data['userId']} after {data['previousUserId']}, not {leader}")
            leader = data["userId"]
        rows = sorted(place(history.rule(season), row) for row in store.rows.get(season, []))
        if rows and leader != rows[0][-1]:
            breaches["leader"].append(f"{season}: {leader} was told to lead, {rows[0][-1]} does")
