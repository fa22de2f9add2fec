"""Periods in tests: definitions over HTTP, ends that have come, and a keeper whose work a test decides."""

from __future__ import annotations

import json
from typing import Any, Final

import psycopg

from relay.keeper import PeriodKeeper
from support.http import JSON, Answer, Http, base
from support.relays import Unsignalled
from support.world import World

GRID: Final = {"every": "P7D", "startsAt": "2026-01-05T00:00:00Z"}
A_SECOND_AGO: Final = "now() - interval '1 second'"


def put(http: Http, season: str, **members: Any) -> Answer:
    return http.ask("PUT", base(season), json.dumps(members).encode(), JSON)


def patch(http: Http, season: str, **members: Any) -> Answer:
    return http.ask("PATCH", base(season), json.dumps(members).encode(), JSON)


def submit(http: Http, season: str, user: str, key: str | None = None, **number: int) -> Answer:
    headers = JSON if key is None else {**JSON, "Idempotency-Key": key}
    return http.post_raw(season, json.dumps({"userId": user, **number}).encode(), headers)


def end_now(world: World, season: str, ends_at: str = A_SECOND_AGO) -> None:
    """Let the end of the season's period have come."""
    world.execute(f"UPDATE season SET ends_at = {ends_at} WHERE season_id = '{season}'")


def keeper_of(world: World) -> PeriodKeeper:
    return PeriodKeeper(world.settings, Unsignalled())


def turn_all(world: World) -> int:
    """Turn what is due on a connection of its own; returns the number of periods that ended."""
    with psycopg.connect(world.settings.database_url, autocommit=True, application_name="a keeper") as db:
        return keeper_of(world).turn_seasons(db)


def events_of(world: World, season: str, kind: str = "period.ended") -> list[int]:
    """The periods of a season's events, in their order."""
    rows = world.rows(
        "SELECT period FROM event WHERE season_id = %s AND kind = %s ORDER BY history, xid, number", season, kind
    )
    return [period for (period,) in rows]
