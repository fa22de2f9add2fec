"""Bans and hidden players in tests: over HTTP, and by the service's own statements, one step at a time."""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import quote

from _speedups import pack_int8_array, pack_text_array
from board.pg.arrays import Int8Array, TextArray
from board.pg.queries import queries
from support.http import JSON, Answer, Http
from support.world import Accepted, World

STATEMENTS: Final = {"ban": "ban_player", "unban": "unban_player", "hide": "hide_player", "show": "show_player"}


def act(http: Http, verb: str, user: str, body: Any = None, **headers: str) -> Answer:
    """Ask for a ban, or for its end; for a player to be hidden, or to be shown."""
    data = None if body is None else json.dumps(body).encode()
    return http.ask("POST", f"/v1/players/{quote(user, safe='')}/{verb}", data, {**JSON, **headers})


def submit_moderated(world: World, *batch: tuple[str, str, int]) -> list[Accepted]:
    """`World.submit` with the text of a worker that knows of restrictions. Status 25: the player is banned."""
    world.create(*{season for season, _, _ in batch})
    rows = world.db.execute(
        queries()["submit_moderated"],
        {
            "seasons": TextArray(pack_text_array([season for season, _, _ in batch])),
            "users": TextArray(pack_text_array([user for _, user, _ in batch])),
            "deltas": Int8Array(pack_int8_array([delta for _, _, delta in batch])),
        },
    ).fetchall()
    return [(status, score, version) for _, status, score, version in rows]


def restrict(world: World, verb: str, user: str, seasons: list[str] | None = None) -> None:
    """The first half of the request: what counts. No hint is written."""
    fields = {"reason": "a test", "seasons": seasons, "until": None, "actor": None, "user": user}
    with world.db.transaction():
        world.db.execute(queries()["restrict"], fields)
        world.db.execute(queries()["hold_restriction"], fields)
        world.db.execute(queries()[STATEMENTS[verb]], fields)


def hint(world: World, user: str) -> None:
    """The second half: what tells the relays."""
    with world.db.transaction():
        world.db.execute(queries()["hold_restriction"], {"user": user})
        world.db.execute(queries()["hint_restricted"], {"user": user})
