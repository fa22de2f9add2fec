"""Sequential scans of tables that grow: in the plans of the hot statements, and as PostgreSQL counts them.

The statements are prepared in sessions with the settings of service and relay, so the plans are those of production.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from psycopg import ClientCursor

from bench.system.stack import Stack
from board.partitions import PARTITIONS
from board.pg.connections import connect
from board.pg.queries import queries
from relay.session import SESSION
from service.submissions.statements import make_session_settings

TABLES: Final = ("score", "ledger", "outbox")
"""Tables that no statement may scan; the daily partitions of the ledger count as the ledger."""
TYPES: Final = {
    "seasons": "text[]", "users": "text[]", "deltas": "int8[]", "numbers": "int8[]", "scored": "int8[]",
    "origins": "int8[]",
    "digests": "text[]", "prints": "text[]",
    "identity": "text", "partitions": "int4", "partition": "int2", "low_xid": "text", "limit": "int4",
    "fence": "int8", "stamp": "text",
}  # fmt: skip
VALUES: Final[dict[str, Any]] = {
    "seasons": ["s0"], "users": ["p100000000"], "deltas": [1], "numbers": [1], "scored": [0], "origins": [0],
    "digests": [None], "prints": [None],
    "identity": "", "partitions": PARTITIONS, "partition": 0, "low_xid": "0", "limit": 5_000, "fence": 1, "stamp": "",
}  # fmt: skip
SUBMIT_STATEMENTS: Final = ("submit", "submit_keyed", "submit_by_rule", "submit_by_rule_keyed")
RELAY_STATEMENTS: Final = ("pending_partitions", "claim", "take", "commit_fence")


class PlannedScan(msgspec.Struct, frozen=True):
    """A table that the plan of a statement scans sequentially."""

    statement: str
    table: str


def find_planned_scans(database_url: str) -> list[PlannedScan]:
    """Sequential scans of `TABLES` in the plans of all statements; empty when each one uses an index."""
    found = []
    for statements, settings in ((SUBMIT_STATEMENTS, make_session_settings(10.0)), (RELAY_STATEMENTS, dict(SESSION))):
        with connect(database_url, "leaderboard-bench", session=settings) as db:
            for name in statements:
                found += [PlannedScan(name, table) for table in scanned_tables(explain(db, name))]
    return found


def explain(db: Any, name: str) -> Any:
    """The generic plan of a named statement, as EXPLAIN (FORMAT JSON) returns it."""
    names: list[str] = []

    def numbered(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    text = re.sub(r"%\((\w+)\)s", numbered, queries()[name].decode()).replace("%%", "%")
    types = ", ".join(TYPES[parameter] for parameter in names)
    db.execute(f"PREPARE hot{f' ({types})' if types else ''} AS {text}".encode())
    call = ", ".join(["%s::" + TYPES[parameter] for parameter in names])
    query = f"EXPLAIN (FORMAT JSON) EXECUTE hot{f' ({call})' if call else ''}".encode()
    with db.cursor() as cursor:
        # EXECUTE takes no parameters of the protocol, so they are written into the text.
        plan = cursor.execute(bind(db, query, [VALUES[parameter] for parameter in names])).fetchone()[0]
    db.execute("DEALLOCATE hot")
    return plan[0]["Plan"]


def bind(db: Any, query: bytes, values: list[Any]) -> bytes:
    """The statement with its values written into the text."""
    return ClientCursor(db).mogrify(query, values).encode()


def scanned_tables(plan: Mapping[str, Any]) -> list[str]:
    """The tables of `TABLES` that a plan scans sequentially."""
    return sorted({node["Relation Name"] for node in walk_nodes(plan) if is_large_scan(node)})


def is_large_scan(node: Mapping[str, Any]) -> bool:
    """Whether a node of a plan is a sequential scan of one of `TABLES`."""
    table = node.get("Relation Name", "")
    return node["Node Type"] == "Seq Scan" and (table in TABLES or table.startswith("ledger_"))


def walk_nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """All nodes of a plan, parents before children."""
    yield plan
    for child in plan.get("Plans", []):
        yield from walk_nodes(child)


MANY_ROWS: Final = 100_000
"""Rows that sequential scans may read at most during a load."""


def count_scanned_rows(stack: Stack) -> dict[str, int]:
    """Rows that sequential scans of scores and ledger have read since the start, by table (pg_stat_user_tables)."""
    stack.db.execute("SELECT pg_stat_force_next_flush()")
    query = (
        "SELECT relname, seq_tup_read FROM pg_stat_user_tables"
        " WHERE relname = 'score' OR starts_with(relname, 'ledger')"
    )
    return dict(stack.db.execute(query).fetchall())


def find_large_scans(stack: Stack, before: Mapping[str, int]) -> list[str]:
    """The tables of which sequential scans have read more than `MANY_ROWS` since `before`, one fault each."""
    grown = {table: rows - before.get(table, 0) for table, rows in count_scanned_rows(stack).items()}
    return [
        f"{rows:,} rows of {table} were read in sequential scans" for table, rows in grown.items() if rows > MANY_ROWS
    ]
