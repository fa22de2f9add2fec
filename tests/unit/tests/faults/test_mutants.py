"""The broken twins of tests/faults are made by replacing texts of the product: each text has to be there."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.mutants import MUTANTS, SAMPLE, Mutant, make


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.guard)
def test_every_guard_that_a_twin_loses_is_where_it_was(mutant: Mutant, tmp_path: Path) -> None:
    make(mutant, tmp_path)


def test_the_sample_names_guards_that_there_are() -> None:
    assert {*SAMPLE} < {mutant.guard for mutant in MUTANTS}
