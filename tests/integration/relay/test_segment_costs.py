"""What segments cost: whole seasons are read player by player, whatever the number of values."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from support.relays import Hand
from support.world import World

from board.partitions import partition_of
from board.pg.connections import connect
from ctl.comparison.sides import APPLICATION

PLAYERS = 300
VALUES = 60


@pytest.fixture
def period(world: World) -> int:
    """A season whose players are spread over many values of two attributes. No table has statistics."""
    world.define("s", segments=["country", "platform"])
    number: int = world.value("SELECT period_id FROM season WHERE season_id = 's'")
    world.execute(
        "INSERT INTO score (period_id, user_id, score, reached, submissions) "
        f"SELECT {number}, 'p' || n, n, n, 1 FROM generate_series(1, {PLAYERS}) AS n"
    )
    with world.db.cursor().copy("COPY player (partition, user_id, attributes, revision) FROM STDIN") as copy:
        for n in range(1, PLAYERS + 1):
            attributes = f'{{"country":"c{n % VALUES}","platform":"p{n % 3}"}}'
            copy.write_row((partition_of(f"p{n}"), f"p{n}", attributes, n))
    world.execute(
        f"INSERT INTO segment_value (period_id, attribute, value) SELECT {number}, 'country', 'c' || n "
        f"FROM generate_series(0, {VALUES - 1}) AS n",
        f"INSERT INTO segment_value (period_id, attribute, value) SELECT {number}, 'platform', 'p' || n "
        "FROM generate_series(0, 2) AS n",
    )
    return number


def count_reads(plan: dict[str, Any], table: str) -> float:
    """How many rows of a table a plan has looked at."""
    own = 0.0
    if plan.get("Relation Name") == table:
        rows = (
            plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        )
        own = rows * plan["Actual Loops"]
    return own + sum(count_reads(one, table) for one in plan.get("Plans", ()))


def explain(db: psycopg.Connection[Any], query: bytes, parameters: dict[str, Any]) -> dict[str, Any]:
    with psycopg.ClientCursor(db) as cursor:
        ((found,),) = cursor.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + query, parameters).fetchall()
    plan: dict[str, Any] = found[0]["Plan"]
    return plan


@pytest.mark.parametrize("name", ["count_segments", "choose_segment_values", "segment_rows", "segmented_players"])
def test_each_player_is_read_once_whatever_the_number_of_values(world: World, period: int, name: str) -> None:
    """By the plans of a relay, and by those of `verify`."""
    hand = Hand(world)
    parameters = {"period": period, "first": "country", "second": "platform", "most": 1_000}
    query = hand.session.sql[name].replace(b"{columns}", b"")
    if name == "choose_segment_values":
        world.execute("DELETE FROM segment_value")
    with connect(world.settings.database_url, APPLICATION) as other:
        dbs = (hand.session.db,) if name == "choose_segment_values" else (hand.session.db, other)
        for db in dbs:
            plan = explain(db, query, parameters)
            assert count_reads(plan, "player") <= 2 * PLAYERS
            assert count_reads(plan, "segment_value") <= 2 * PLAYERS
