"""The judge of periods, of their events and of leaders. Like `faults.judge`, it shares no code with the product."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import psycopg

if TYPE_CHECKING:
    from faults.judge import Breaches, History

OPS_MOST: Final = 10**9

Ledger = list[tuple[int, str, int, int]]
Scores = dict[str, list[tuple[str, int, int, int]]]


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
        self.standings: dict[int, list[tuple[int, str, int, int, int]]] = defaultdict(list)
        for period, *row in db.execute(
            "SELECT period_id, position, user_id, score, reached, shared FROM standing "
            "WHERE period_id = ANY (%s) ORDER BY period_id, position",
            ([*self.numbers],),
        ):
            self.standings[period].append((row[0], row[1], row[2], row[3], row[4]))
        self.events: dict[str, list[tuple[str, int, dict[str, Any]]]] = defaultdict(list)
        for season, kind, number, data in db.execute(
            "SELECT season_id, kind, period, data::json FROM event WHERE season_id = ANY (%s) "
            "ORDER BY history, xid, number",
            names,
        ):
            self.events[season].append((kind, number, data))


def judge_periods(
    history: History, kept: Periods, counted: dict[int, list[int]], ledger: Ledger, breaches: Breaches
) -> None:
    """Answers and reads are of one period each; ends and closings are told once; standings are those of the ledger."""
    for one in history.submissions.values():
        found = [kept.numbers.get(period) for period in counted.get(one.op, [])]
        if one.period is not None and found and found != [one.period]:
            breaches["period"].append(f"submission {one.op} was told period {one.period} and counts in {found}")
    for read in history.reads:
        if history.rule(read["season"])[0] != "sum":
            shown = {period for score in read.get("scores", []) for period in counted.get(score % OPS_MOST, [])}
            if len(shown) > 1:
                breaches["period"].append(f"read {read['op']} of {read['season']} shows rows of {len(shown)} periods")
    runs: dict[int, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for period, user, value, number in ledger:
        runs[period][user].append((number, value))
    for season in history.scheduled:
        judge_events(season, kept, breaches)
        for number, period, is_final, players in kept.ended[season]:
            where = f"{season}, period {number}"
            if not is_final:
                breaches["ends"].append(f"{where} is not final")
                continue
            wanted = rank_runs(*history.rule(season), runs[period], kept.standings[period])
            if wanted != kept.standings[period] or players != len(wanted):
                differing = set(wanted) ^ set(kept.standings[period])
                breaches["ends"].append(f"{where}: {len(differing)} standings differ, of {players} players")


def rank_runs(
    operator: str, order: str, runs: dict[str, list[tuple[int, int]]], found: list[tuple[int, str, int, int, int]]
) -> list[tuple[int, str, int, int, int]]:
    """The standings of submissions. Ties of sums go by the number that was found: no submission has it alone."""
    sign = 1 if order == "desc" else -1
    reached_of = {user: reached for _, user, _, reached, _ in found}
    rows = []
    for user, mine in runs.items():
        if operator == "sum":
            score, reached = sum(value for _, value in mine), reached_of.get(user, -1)
        elif operator == "last":
            reached, score = max(mine)
        else:
            reached, score = max(mine, key=lambda one: (sign * one[1], -one[0]))
        rows.append((-sign * score, reached, user, score))
    rows.sort()
    scores = [score for *_, score in rows]
    first = {score: position for position, score in reversed([*enumerate(scores, 1)])}
    return [(n, user, score, reached, first[score]) for n, (_, reached, user, score) in enumerate(rows, 1)]


def judge_events(season: str, kept: Periods, breaches: Breaches) -> None:
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
            best = [(user, score) for _, user, score, _, _ in kept.standings[period][:10]]
            if [(row["userId"], row["score"]) for row in data["top"]] != best:
                breaches["ends"].append(f"{season}: the event of period {number} has other ten best")


def judge_leaders(history: History, kept: Periods, scores: Scores, breaches: Breaches) -> None:
    """Each leader follows the one before, and the last one of a current period is the first player of the board."""
    for season, number in kept.current.items():
        chain = [data for kind, period, data in kept.events[season] if kind == "leader.changed" and period == number]
        leader = None
        for data in chain:
            if data["previousUserId"] not in (leader, None) or data["userId"] == leader:
                breaches["leader"].append(f"{season}: {data['userId']} after {data['previousUserId']}, not {leader}")
            leader = data["userId"]
        rows = sorted((-stored, reached, user) for user, stored, reached, _ in scores.get(season, []))
        if rows and leader != rows[0][2]:
            breaches["leader"].append(f"{season}: {leader} was told to lead, {rows[0][2]} does")
