"""docs/players.md, walked."""

from __future__ import annotations

from support.recipes import walk_page
from support.world import World


def test_the_recipe_does_what_it_shows(world: World) -> None:
    # PostgreSQL before 18 draws a further number for the first submission to a season that is not there yet.
    world.define("spring")
    walk_page(world, "players.md", 6)
