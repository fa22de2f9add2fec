"""Totals of a run: a difference between answers and PostgreSQL is a fault."""

from __future__ import annotations

import pytest

from bench.system.totals import Totals, audit


def test_books_that_agree_have_no_fault() -> None:
    assert audit(Totals(1_000, 5_000, 1_000, 5_000), 1_000, 0) == []


@pytest.mark.parametrize(
    ("held", "accepted", "errors"),
    [
        (Totals(999, 5_000, 999, 5_000), 1_000, 0),  # An acknowledged submission is lost.
        (Totals(1_001, 5_000, 1_001, 5_000), 1_000, 0),  # One counts twice.
        (Totals(1_000, 5_000, 999, 5_000), 1_000, 0),  # A score misses a submission.
        (Totals(1_000, 5_000, 1_000, 5_001), 1_000, 0),  # A score is not the sum of its deltas.
        (Totals(1_000, 5_000, 1_000, 5_000), 1_000, 1),  # Somebody got an error.
        (Totals(0, 0, 0, 0), 0, 0),  # Nothing was measured.
    ],
)
def test_books_that_disagree_are_a_fault(held: Totals, accepted: int, errors: int) -> None:
    assert audit(held, accepted, errors)
