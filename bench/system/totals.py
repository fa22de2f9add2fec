"""Totals of the ledger and of the scores in PostgreSQL, and their comparison with the answers of the service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from bench.system.stack import Stack


class Totals(msgspec.Struct, frozen=True):
    """Rows of the ledger and the sum of their deltas; submissions that the scores count, and the sum of the scores."""

    ledger: int
    delta: int
    submissions: int
    score: int


def read_season_totals(stack: Stack, season: str) -> Totals:
    """The totals of one season."""
    row = stack.db.execute(
        "WITH p AS (SELECT period_id FROM season WHERE season_id = %s) SELECT"
        " (SELECT count(*) FROM ledger l JOIN p USING (period_id)),"
        " (SELECT coalesce(sum(delta), 0) FROM ledger l JOIN p USING (period_id)),"
        " (SELECT coalesce(sum(submissions), 0) FROM score s JOIN p USING (period_id)),"
        " (SELECT coalesce(sum(score), 0) FROM score s JOIN p USING (period_id))",
        (season,),
    ).fetchone()
    return Totals(*(int(n) for n in row))


def read_totals(stack: Stack) -> Totals:
    """The totals of all seasons."""
    row = stack.db.execute(
        "SELECT (SELECT count(*) FROM ledger), (SELECT coalesce(sum(delta), 0) FROM ledger),"
        " coalesce(sum(submissions), 0), coalesce(sum(score), 0) FROM score"
    ).fetchone()
    return Totals(*(int(n) for n in row))


def subtract(before: Totals, after: Totals) -> Totals:
    """The difference of two totals, each field of `after` minus `before`."""
    return Totals(
        *(b - a for a, b in zip(msgspec.structs.astuple(before), msgspec.structs.astuple(after), strict=True))
    )


def audit(held: Totals, accepted: int, errors: int) -> list[str]:
    """Compare totals with the answers: `accepted` submissions, and `errors` requests without a good answer.

    Returns the faults. An error is a fault of its own, since the submission may have been written or not. A run without
    accepted submissions is a fault, too.
    """
    faults = compare_counts(held.ledger, accepted, errors)
    if held.submissions != held.ledger or held.score != held.delta:
        faults.append(
            f"scores hold {held.submissions} submissions and the sum {held.score}, "
            f"the ledger {held.ledger} and {held.delta}"
        )
    return faults


def audit_best(stack: Stack, season: str, accepted: int, errors: int) -> list[str]:
    """As `audit`, of a season whose best runs count, with a column or without: each row is the best of the ledger."""
    held = read_season_totals(stack, season)
    return compare_counts(held.ledger, accepted, errors) + find_worse_runs(stack, season)


def find_worse_runs(stack: Stack, season: str, order: Literal["asc", "desc"] = "desc") -> list[str]:
    """The fault if not each score of a season is its player's best run in the ledger.

    `order` is that of the season: which scores are the better ones. Ascending ones are turned (0008_pre_seasons.sql).
    """
    (wrong,) = stack.db.execute(
        "WITH p AS (SELECT period_id FROM season WHERE season_id = %(season)s), best AS ("
        " SELECT DISTINCT ON (user_id) user_id, delta # %(turn)s AS score, substr(run, 2, 8) AS run"
        " FROM ledger JOIN p USING (period_id) ORDER BY user_id, delta # %(turn)s DESC, run DESC)"
        " SELECT count(*) FILTER (WHERE (b.score, b.run) IS DISTINCT FROM (s.score, s.run))"
        " FROM best b FULL JOIN (SELECT user_id, score, columns_of(period_id, columns) AS run"
        " FROM score JOIN p USING (period_id)) s USING (user_id)",
        {"season": season, "turn": 0 if order == "desc" else -1},
    ).fetchone()
    return [f"{wrong} players of {season} do not have the best run of the ledger"] if wrong else []


def audit_feeds(stack: Stack, season: str, fed: Sequence[str]) -> list[str]:
    """The faults of the seasons that a season feeds: each has exactly its submissions in the ledger."""
    faults = []
    for name in fed:
        (wrong,) = stack.db.execute(
            "WITH copies AS (SELECT submission, user_id, delta, season_id FROM ledger JOIN season USING (period_id)"
            " WHERE season_id IN (%(season)s, %(fed)s))"
            " SELECT count(*) FROM (SELECT FROM copies GROUP BY submission, user_id, delta"
            " HAVING count(*) <> 2 OR count(DISTINCT season_id) <> 2) AS q",
            {"season": season, "fed": name},
        ).fetchone()
        if wrong:
            faults.append(f"{wrong} submissions are not once in {season} and once in {name}")
    return faults


def compare_counts(ledger: int, accepted: int, errors: int) -> list[str]:
    """Compare the rows of the ledger with the answers."""
    faults = []
    if errors or not accepted:
        faults.append(f"{accepted} submissions were accepted, {errors} got an error or no answer")
    if not accepted <= ledger <= accepted + errors:
        faults.append(f"the ledger has {ledger} rows, clients saw {accepted} accepted and {errors} errors")
    return faults
