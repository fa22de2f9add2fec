"""Whatever happens in whatever order, PostgreSQL and Redis end up equal (`support.relay_model`)."""

from __future__ import annotations

import pytest
from support.relay_model import Model, run_model
from support.world import World


@pytest.mark.filterwarnings("default::hypothesis.errors.HypothesisWarning")
@pytest.mark.parametrize("examples", [4, pytest.param(15, marks=pytest.mark.walk)])
def test_both_sides_end_up_equal_whatever_happens(world: World, examples: int) -> None:
    run_model(world, Model, examples)
