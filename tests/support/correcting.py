"""Corrections in tests: over HTTP, carried out by a keeper whose work a test decides, and what they leave behind."""

from __future__ import annotations

import json
from typing import Any, Final

from support.http import JSON, Answer, Http
from support.periods import keeper_of
from support.waiting import eventually
from support.world import World

PATH: Final = "/v1/corrections"


def correct(
    http: Http, season: str, action: str = "void", value: int | None = None, *, query: str = "",
    confirm: int | None = None, **chosen: Any,
) -> Answer:  # fmt: skip
    """Ask for a correction. `from_` stands for `from`."""
    body = {
        "seasonId": season, "reason": "a test", "action": action,
        "filter": {name.rstrip("_"): text for name, text in chosen.items()},
        **({} if value is None else {"value": value}), **({} if confirm is None else {"confirm": confirm}),
    }  # fmt: skip
    return http.ask("POST", f"{PATH}{query}", json.dumps(body).encode(), JSON)


def applied(http: Http, world: World, season: str, *args: Any, **chosen: Any) -> int:
    """Make a correction, and let a keeper carry it out; returns its number."""
    answer = correct(http, season, *args, **chosen)
    assert answer.status == 202, answer.body
    assert answer.headers["location"] == f"{PATH}/{answer.json['id']}"
    keeper_of(world).correct(world.db)
    return int(answer.json["id"])


def undone(http: Http, world: World, number: int) -> None:
    """Undo a correction, and let a keeper carry it out."""
    answer = http.ask("DELETE", f"{PATH}/{number}")
    assert answer.status == 202, answer.body
    keeper_of(world).correct(world.db)


def read(http: Http, number: int) -> Any:
    return http.get(f"{PATH}/{number}").json


def until(http: Http, number: int, state: str) -> Any:
    """Wait until a correction has this state."""
    return eventually(lambda: (one := read(http, number))["state"] == state and one, 60)


def stored(world: World, season: str) -> Any:
    """All that PostgreSQL shows of a season's boards: rows, standings, and metadata of runs, byte for byte.

    Without what only the statement of the next submission reads, and metadata of runs that no row has.
    """
    rows = world.rows(
        "SELECT p.number, s.user_id, s.score, s.reached, columns_of(s.period_id, s.columns), s.submissions, m.metadata "
        "FROM score s JOIN period p USING (period_id) LEFT JOIN run_metadata m ON m.period_id = s.period_id "
        "AND m.user_id = s.user_id AND m.reached = s.reached & 9223372036854775807 "
        "WHERE p.season_id = %s ORDER BY 1, 2",
        season,
    )
    standings = world.rows(
        "SELECT p.number, t.position, t.user_id, t.score, t.reached, t.columns, t.shared "
        "FROM standing t JOIN period p USING (period_id) WHERE p.season_id = %s ORDER BY 1, 2",
        season,
    )
    return rows, standings
