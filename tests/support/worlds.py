"""Worlds for one test after the other: a schema whose tests changed only rows is emptied, and serves the next one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import msgspec
import psycopg

from ctl.embedded import Embedded
from support.waiting import eventually
from support.world import World, world_on

Connection = psycopg.Connection[Any]

LARGE: Final = 2 << 20
"""Bytes of tables and indexes beyond which a schema is made anew: it has the dead rows of all its tests."""
GONE_S: Final = 2.0
"""Seconds for the last connection of a world's processes to end."""

TRACES: Final = """
WITH r AS MATERIALIZED (SELECT oid, xmin FROM pg_class WHERE relnamespace = %(schema)s::regnamespace),
role AS (SELECT oid, xmin FROM pg_authid WHERE rolname = %(name)s),
traces (xmin) AS (
    SELECT xmin FROM r
    UNION ALL SELECT xmin FROM role
    UNION ALL SELECT xmin FROM pg_namespace WHERE oid = %(schema)s::regnamespace
    UNION ALL SELECT xmin FROM pg_attribute WHERE attrelid = ANY (ARRAY(SELECT oid FROM r))
    UNION ALL SELECT xmin FROM pg_index WHERE indrelid = ANY (ARRAY(SELECT oid FROM r))
    UNION ALL SELECT xmin FROM pg_trigger WHERE tgrelid = ANY (ARRAY(SELECT oid FROM r))
    UNION ALL SELECT xmin FROM pg_constraint WHERE connamespace = %(schema)s::regnamespace
    UNION ALL SELECT xmin FROM pg_proc WHERE pronamespace = %(schema)s::regnamespace
    UNION ALL SELECT xmin FROM pg_type WHERE typnamespace = %(schema)s::regnamespace
    UNION ALL SELECT xmin FROM pg_db_role_setting WHERE setrole = (SELECT oid FROM role)
    UNION ALL SELECT xmin FROM pg_auth_members WHERE (SELECT oid FROM role) IN (roleid, member)
    UNION ALL SELECT xmin FROM pg_default_acl WHERE defaclrole = (SELECT oid FROM role)
)
SELECT count(*), max(xmin::text::bigint) FROM traces
"""
"""The rows of PostgreSQL's catalogs that are a schema's or its role's: how many, and the last transaction in them."""


class Schema(msgspec.Struct, frozen=True):
    """A schema as its migrations left it: its traces, tables, the rows of those that have some, and the sequences."""

    name: str
    traces: tuple[int, int]
    tables: tuple[str, ...]
    rows: dict[str, str]
    sequences: dict[str, tuple[int, bool]]


class Worlds:
    """The worlds of a run of tests, in Redis database 1."""

    def __init__(self, servers: Embedded) -> None:
        assert servers.database_url is not None
        self._servers: Final = servers
        self._url: Final = servers.database_url
        self._free: Final[list[Schema]] = []
        # A new connection knows none of the catalogs, which costs more than what is asked of it.
        self._admin: Connection | None = None

    def close(self) -> None:
        """Remove the schemas that are left."""
        if self._admin is not None:
            self._admin.close()
        for schema in self._free:
            world_on(self._servers, name=schema.name).close()

    @contextmanager
    def borrow(self) -> Iterator[World]:
        """A world that is as a new one."""
        schema = self._free.pop() if self._free else None
        with world_on(self._servers, name=None if schema is None else schema.name) as world:
            if schema is None:
                schema = remember(self._connected(), world.name)
            yield world
            world.close_sessions()
            admin = self._connected()
            if is_only_changed_in_rows(admin, schema) and is_left_alone(admin, schema):
                empty(admin, schema)
                world.drop_keys()
                world.leave()
                self._free.append(schema)

    def _connected(self) -> Connection:
        """The connection as a superuser; another one where a test has ended that of the test before."""
        if self._admin is not None:
            with suppress(psycopg.OperationalError):
                self._admin.execute("SELECT")
        if self._admin is None or self._admin.closed:
            self._admin = psycopg.connect(self._url, autocommit=True)
        return self._admin


def row(admin: Connection, query: str, **parameters: Any) -> Any:
    """The one row of a query."""
    return admin.execute(query.encode(), parameters).fetchone()


def remember(admin: Connection, name: str) -> Schema:
    """A schema as it is now."""
    relations = admin.execute(
        "SELECT relname, relkind = 'S' FROM pg_class WHERE relnamespace = %s::regnamespace "
        "AND relkind IN ('r', 'p', 'S') AND NOT relispartition",
        (f'"{name}"',),
    ).fetchall()
    tables = tuple(relation for relation, is_sequence in relations if not is_sequence)
    sequences = [relation for relation, is_sequence in relations if is_sequence]
    rows = {table: row(admin, f'SELECT json_agg(t)::text FROM "{name}"."{table}" t')[0] for table in tables}
    return Schema(
        name,
        row(admin, TRACES, schema=f'"{name}"', name=name),
        tables,
        {table: text for table, text in rows.items() if text is not None},
        {one: row(admin, f'SELECT last_value, is_called FROM "{name}"."{one}"') for one in sequences},
    )


def is_only_changed_in_rows(admin: Connection, schema: Schema) -> bool:
    """Whether all but the rows is as the migrations left it, and the tables are small."""
    quoted = f'"{schema.name}"'
    if row(admin, "SELECT to_regnamespace(%(schema)s) IS NULL", schema=quoted)[0]:
        return False
    (size,) = row(
        admin,
        "SELECT coalesce(sum(pg_relation_size(oid)), 0) FROM pg_class WHERE relnamespace = %(schema)s::regnamespace",
        schema=quoted,
    )
    return size < LARGE and row(admin, TRACES, schema=quoted, name=schema.name) == schema.traces


def is_left_alone(admin: Connection, schema: Schema) -> bool:
    """Whether no process is left that could change rows: the connections of the last ones may just be ending."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = %(name)s"
    try:
        return eventually(lambda: row(admin, query, name=schema.name) == (0,), GONE_S)
    except AssertionError:
        return False


def empty(admin: Connection, schema: Schema) -> None:
    """Let the tables have the rows of the beginning, and the sequences their first numbers."""
    with admin.transaction():
        # Triggers and foreign keys see nothing of it.
        admin.execute("SET LOCAL session_replication_role = replica")
        admin.execute(f'SET LOCAL search_path = "{schema.name}"'.encode())
        admin.execute("; ".join(f'DELETE FROM "{table}"' for table in schema.tables).encode())
        for table, rows in schema.rows.items():
            admin.execute(
                f'INSERT INTO "{table}" OVERRIDING SYSTEM VALUE '
                f'SELECT * FROM json_populate_recordset(NULL::"{table}", %s)'.encode(),
                (rows,),
            )
        for sequence, (last, called) in schema.sequences.items():
            admin.execute("SELECT setval(%s, %s, %s)", (f'"{sequence}"', last, called))
