"""docs/players.md, walked."""

from __future__ import annotations

from support.recipes import walk_page
from support.world import World


def test_the_recipe_does_what_it_shows(world: World) -> None:
    walk_page(world, "players.md", 6)
