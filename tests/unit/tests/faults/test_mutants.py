"""Copies of the product without a guard: what the short suite runs is among them."""

from __future__ import annotations

from faults.mutants import MUTANTS, SAMPLE


def test_the_sample_names_guards_that_there_are() -> None:
    assert {*SAMPLE} < {mutant.guard for mutant in MUTANTS}
