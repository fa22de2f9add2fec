"""Totals of ledger and scores in PostgreSQL, and their comparison with the answers that clients got."""

from __future__ import annotations

import msgspec

from bench.system.stack import Stack


class Books(msgspec.Struct, frozen=True):
    """What PostgreSQL holds of a season: rows and sum of deltas of the ledger, submissions and sum of the scores."""

    ledger: int
    delta: int
    submissions: int
    score: int


def books(stack: Stack, season: str) -> Books:
    """Read the books of a season."""
    row = stack.db.execute(
        "WITH p AS (SELECT period_id FROM season WHERE season_id = %s) SELECT"
        " (SELECT count(*) FROM ledger l JOIN p USING (period_id)),"
        " (SELECT coalesce(sum(delta), 0) FROM ledger l JOIN p USING (period_id)),"
        " (SELECT coalesce(sum(submissions), 0) FROM score s JOIN p USING (period_id)),"
        " (SELECT coalesce(sum(score), 0) FROM score s JOIN p USING (period_id))",
        (season,),
    ).fetchone()
    return Books(*(int(n) for n in row))


def all_books(stack: Stack) -> Books:
    """The books of all seasons together."""
    row = stack.db.execute(
        "SELECT (SELECT count(*) FROM ledger), (SELECT coalesce(sum(delta), 0) FROM ledger),"
        " coalesce(sum(submissions), 0), coalesce(sum(score), 0) FROM score"
    ).fetchone()
    return Books(*(int(n) for n in row))


def since(before: Books, after: Books) -> Books:
    """What came to the books in between."""
    return Books(*(b - a for a, b in zip(msgspec.structs.astuple(before), msgspec.structs.astuple(after), strict=True)))


def audit(held: Books, accepted: int, errors: int) -> list[str]:
    """What is wrong with the books when clients were told of that many accepted submissions.

    A request without a good answer is a fault of its own, since it may have been written or not; so is no request.
    """
    faults = []
    if errors or not accepted:
        faults.append(f"{accepted} submissions were accepted, {errors} got an error or no answer")
    if not accepted <= held.ledger <= accepted + errors:
        faults.append(f"the ledger has {held.ledger} rows, clients saw {accepted} accepted and {errors} errors")
    if held.submissions != held.ledger or held.score != held.delta:
        faults.append(
            f"scores hold {held.submissions} submissions and the sum {held.score}, "
            f"the ledger {held.ledger} and {held.delta}"
        )
    return faults
