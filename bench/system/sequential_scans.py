"""Plans of the statements that run all the time, in the sessions that service and relay have: none may read all of a
table that grows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from psycopg import ClientCursor

from bench.system.stack import Stack
from board.pg.session import connect, queries
from board.redis.keyspace import PARTITIONS
from relay.carrier import SESSION
from service.submissions.statements import session

TABLES: Final = ("score", "ledger", "outbox")
"""And the ledger's days."""
TYPES: Final = {
    "seasons": "text[]", "users": "text[]", "deltas": "int8[]", "digests": "text[]", "prints": "text[]",
    "identity": "text", "partitions": "int4", "partition": "int2", "low_xid": "text", "limit": "int4",
    "fence": "int8",
}  # fmt: skip
VALUES: Final[dict[str, Any]] = {
    "seasons": ["s0"], "users": ["p100000000"], "deltas": [1], "digests": [None], "prints": [None],
    "identity": "", "partitions": PARTITIONS, "partition": 0, "low_xid": "0", "limit": 5_000, "fence": 1,
}  # fmt: skip
WRITES: Final = ("submit", "submit_keyed")
CARRIES: Final = ("pending_partitions", "claim", "take", "commit_fence")


class Scanned(msgspec.Struct, frozen=True):
    """A table that a statement reads from its beginning to its end."""

    statement: str
    table: str


def whole_scans(database_url: str) -> list[Scanned]:
    """Of the tables that matter; empty when every look-up is by an index."""
    found = []
    for statements, settings in ((WRITES, session(10.0)), (CARRIES, dict(SESSION))):
        with connect(database_url, "leaderboard-bench", session=settings) as db:
            for name in statements:
                found += [Scanned(name, table) for table in scans(explained(db, name))]
    return found


def explained(db: Any, name: str) -> Any:
    """The generic plan of a named statement, as PostgreSQL's JSON has it."""
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
        # EXECUTE takes no parameters of the protocol: they are written into the text.
        plan = cursor.execute(bound(db, query, [VALUES[parameter] for parameter in names])).fetchone()[0]
    db.execute("DEALLOCATE hot")
    return plan[0]["Plan"]


def bound(db: Any, query: bytes, values: list[Any]) -> bytes:
    """The statement with its values in it."""
    return ClientCursor(db).mogrify(query, values).encode()


def scans(plan: Mapping[str, Any]) -> list[str]:
    """Tables of interest that a plan reads as a whole."""
    return sorted({node["Relation Name"] for node in nodes(plan) if whole(node)})


def whole(node: Mapping[str, Any]) -> bool:
    """Whether a node of a plan reads all of such a table."""
    table = node.get("Relation Name", "")
    return node["Node Type"] == "Seq Scan" and (table in TABLES or table.startswith("ledger_"))


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """All nodes of a plan."""
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


BIG: Final = 100_000
"""Rows that nobody may read one by one to answer a request."""


def read_one_by_one(stack: Stack) -> dict[str, int]:
    """Rows of scores and ledger that were read in scans of whole tables, so far."""
    stack.db.execute("SELECT pg_stat_force_next_flush()")
    query = (
        "SELECT relname, seq_tup_read FROM pg_stat_user_tables"
        " WHERE relname = 'score' OR starts_with(relname, 'ledger')"
    )
    return dict(stack.db.execute(query).fetchall())


def read_since(stack: Stack, before: Mapping[str, int]) -> list[str]:
    """Tables of which many rows were read in such scans since."""
    grown = {table: rows - before.get(table, 0) for table, rows in read_one_by_one(stack).items()}
    return [f"{rows:,} rows of {table} were read in scans of all of it" for table, rows in grown.items() if rows > BIG]
