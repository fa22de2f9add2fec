"""A browser for the tests of pages, and a server for those of the operators' page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.browser import Browser, browsing
from support.http import base
from support.office import SEASON, Office
from support.processes import serving
from support.relays import carrying
from support.waiting import eventually
from support.world import world_on

from ctl.embedded import Embedded


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("browser")) as made:
        yield made


@pytest.fixture(scope="session")
def office(servers: Embedded) -> Iterator[Office]:
    with (
        world_on(servers, redis_db=2) as world,
        carrying(world),
        serving(world, "/readyz", LEADERBOARD_AUTH="keys") as api,
    ):
        made = Office(world, api)
        definition = {"title": "Spring Cup", "display": {"unit": "pts"}}
        assert made.ask("PUT", base(SEASON), definition).status == 201
        players = [{"userId": name, "delta": 9_840 - 431 * n} for n, name in enumerate(("ada", "bob", "cy", "dee"))]
        assert made.ask("POST", f"{base(SEASON)}/scores/batch", {"submissions": players}).status == 200
        eventually(lambda: made.ask("GET", f"{base(SEASON)}/leaderboard/count").json["count"] == len(players))
        yield made
