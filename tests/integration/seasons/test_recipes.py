"""docs/seasons.md, walked."""

from __future__ import annotations

import pytest
from support.recipes import walk_page
from support.world import World


@pytest.mark.walk
def test_the_recipes_do_what_they_show(world: World) -> None:
    walk_page(world, "seasons.md", 7)
