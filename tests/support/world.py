"""A world: a PostgreSQL schema and role and a Redis prefix that one test, or one group of tests, has for itself."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import quote, urlsplit

import msgspec
import psycopg
import redis

from _speedups import pack_int8_array, pack_text_array
from board.audit import Act
from board.config.load import load
from board.config.settings import Settings, environment
from board.partitions import PARTITIONS, partition_of
from board.pg import schema
from board.pg.arrays import Int8Array, TextArray, adapt_arrays
from board.pg.queries import queries
from board.redis.keyspace import Keyspace
from board.redis.options import parse_redis_url
from ctl.embedded import Embedded
from relay.batch import relay_batch
from relay.session import RelaySession
from service.contract.scopes import SCOPES, Scope
from service.keys import store as keystore
from service.keys.types import Wanted
from service.seasons.store import SeasonStore
from service.seasons.types import Definition

_count = itertools.count(1)
NAME: Final = re.compile(r"t\d+_\d+_[0-9a-f]{6}")
"""The names of worlds, which are the prefixes of their keys, too."""

TABLES: Final = (
    "season",
    "season_definition",
    "standing",
    "event",
    "history",
    "period",
    "score",
    "ledger",
    "outbox",
    "partition",
    "ailing",
    "idempotency",
    "idempotency_skipped",
    "trace",
    "origin",
    "run_metadata",
    "leader",
    "player",
    "segment_value",
)
SEQUENCES: Final = ("fence", "submission", "period_period_id_seq", "origin_id_seq", "profile_revision")

Accepted = tuple[int, int, int]
"""Status (0 written, 1 no season, 2 out of range), score, version."""


class World:
    """Own schema, own key prefix, own Redis database; `settings` are those of every process in it.

    The role owns the schema and nothing else, so whatever needs more rights fails here, too.
    """

    def __init__(
        self, database_url: str, redis_url: str, *, redis_db: int = 1, migrate: bool = True, name: str | None = None
    ) -> None:
        """Make a world, or take up one of this name, which has its schema already."""
        self.name: Final = name or f"t{os.getpid()}_{next(_count)}_{secrets.token_hex(3)}"
        self.server_url: Final = database_url
        self.socket: Final = redis_url.partition("?")[0]
        if name is None:
            self._create()
        self.settings: Settings = load(
            {
                "DATABASE_URL": self.database_url(),
                # A cluster has one database; tests of several hosts do without others.
                "REDIS_URL": f"{self.socket}?db={redis_db}" if self.socket.startswith("unix:") else self.socket,
                "LEADERBOARD_REDIS_PREFIX": self.name,
                "LEADERBOARD_DATA_DIR": "/nonexistent",
                "LEADERBOARD_AUTH": "open",
                "LEADERBOARD_SHUTDOWN_GRACE_S": "5",
                "LEADERBOARD_RELAY_CHECK_MS": "200",
                # A busy machine is no reason to fail; tests of deadlines set their own.
                "LEADERBOARD_WRITE_DEADLINE_MS": "8000",
                "LEADERBOARD_READ_DEADLINE_MS": "5000",
                "LEADERBOARD_PROBE_DEADLINE_MS": "5000",
                **{k: v for k in ("LEADERBOARD_IMPL",) if (v := os.environ.get(k))},
            }
        )
        self.keys: Final = Keyspace(self.name, cluster=is_cluster(self.settings.redis_url))
        self.db: Final = psycopg.connect(self.settings.database_url, autocommit=True)
        adapt_arrays(self.db)
        if migrate and name is None:
            schema.migrate(self.db, lambda text: None)
        self.redis: Final[Any] = make_client(self.settings.redis_url)
        self._sessions: list[RelaySession] = []
        self._left = False

    def _create(self) -> None:
        with psycopg.connect(self.server_url, autocommit=True) as admin:
            admin.execute(f'CREATE ROLE "{self.name}" LOGIN'.encode())
            admin.execute(f'CREATE SCHEMA "{self.name}" AUTHORIZATION "{self.name}"'.encode())

    def database_url(self, address: str | None = None) -> str:
        """The URL of this world's schema, as this world's role; `address` (host:port) leads through a proxy."""
        options = f"options={quote(f'-c search_path={self.name}')}"
        parts = urlsplit(self.server_url)
        if address is not None:
            return f"postgresql://{self.name}@{address}{parts.path}?{options}"
        return f"postgresql://{self.name}@{parts.path}?{parts.query}&{options}"

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a process in this world, without settings of the suite, which it would refuse."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("LEADERBOARD_")}
        return {**kept, **environment(self.settings), "COLUMNS": "200", **more}

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close_sessions(self) -> None:
        """Close what is connected, but for `redis`."""
        for session in self._sessions:
            session.close()
        self._sessions.clear()
        self.db.close()

    def leave(self) -> None:
        """Close what is connected. The schema stays: `close` will do nothing more."""
        self.close_sessions()
        self.redis.close()
        self._left = True

    def close(self) -> None:
        """Remove everything."""
        if self._left:
            return
        self.close_sessions()
        with psycopg.connect(self.server_url, autocommit=True) as admin:
            admin.execute("SET lock_timeout = '10s'")
            admin.execute("SET client_min_messages = error")
            admin.execute(f'DROP SCHEMA "{self.name}" CASCADE'.encode())
            admin.execute(f'DROP ROLE "{self.name}"'.encode())
        self.drop_keys()
        self.redis.close()

    # --- Redis

    def server_of(self, season: str) -> Any:
        """A client of the one server that has the boards of this season's partition."""
        if not is_cluster(self.settings.redis_url):
            return self.redis
        node = self.redis.get_node_from_key(self.keys.watermark[partition_of(season)])
        return self.redis.get_redis_connection(node)

    def flush(self) -> None:
        """Empty the Redis of this world; where all worlds have one database, with several nodes, take only its keys."""
        take_away: Any = self.redis.flushdb if self.socket.startswith("unix:") else self.drop_keys
        take_away()

    def drop_keys(self) -> int:
        """Take away every key of this world."""
        found = list(self.redis.scan_iter(match=f"{self.name}:*", count=1_000))
        for at in range(0, len(found), 500):
            self.redis.unlink(*found[at : at + 500])
        return len(found)

    def board(self, season: str) -> list[tuple[str, int, int]]:
        """The board in Redis, best first: (user, score, reached). Decoded here, not by the product."""
        key = self.keys.board(partition_of(season), season.encode())
        return [decoded(member, zscore) for member, zscore in self.redis.zrange(key, 0, -1, withscores=True)]

    def fence(self, season: str) -> int | None:
        """The fence in Redis of the season's partition."""
        held = self.redis.hget(self.keys.watermark[partition_of(season)], "fence")
        return None if held is None else int(held)

    # --- PostgreSQL

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return list(self.db.execute(query.encode(), parameters).fetchall())

    def execute(self, *statements: str) -> None:
        """Run statements that return nothing."""
        for statement in statements:
            self.db.execute(statement.encode())

    def value(self, query: str, *parameters: Any) -> Any:
        """The one value of a query."""
        return self.rows(query, *parameters)[0][0]

    def counts(self) -> dict[str, int]:
        """How many rows each table has."""
        return {t: self.value(f"SELECT count(*) FROM {t}") for t in ("season", "period", "score", "ledger", "outbox")}

    def expected(self, season: str) -> list[tuple[str, int, int]]:
        """The board as PostgreSQL has it, best first: (user, score, reached). Ordered here, not by the product."""
        rows = self.rows(
            "SELECT user_id, score, reached FROM score JOIN season USING (period_id) WHERE season_id = %s", season
        )
        return sorted(((u, s, r) for u, s, r in rows), key=lambda row: (-row[1], row[2], row[0].encode()))

    def create(self, *seasons: str) -> None:
        """Give seasons their first period."""
        self.db.execute(
            queries()["create_seasons"],
            {"seasons": sorted(seasons), "partitions": [partition_of(s) for s in sorted(seasons)]},
        )

    def submit(self, *batch: tuple[str, str, int], db: psycopg.Connection[Any] | None = None) -> list[Accepted]:
        """One batch of (season, user, delta) by the intake's own statement; the seasons are created first."""
        connection = db or self.db
        if db is None:
            self.create(*{season for season, _, _ in batch})
        rows = connection.execute(
            queries()["submit"],
            {
                "seasons": TextArray(pack_text_array([s for s, _, _ in batch])),
                "users": TextArray(pack_text_array([u for _, u, _ in batch])),
                "deltas": Int8Array(pack_int8_array([d for _, _, d in batch])),
            },
        ).fetchall()
        return [(status, score, version) for _, status, score, version in rows]

    def define(self, season: str, **members: Any) -> None:
        """Define a season by the service's own store; members as in JSON."""
        definition = msgspec.convert(members, Definition)
        store = SeasonStore(self.settings.database_url, 10.0)
        asyncio.run(store.define(season, lambda before: definition, Act()))

    def submit_by_rule(
        self, *batch: tuple[str, str, int, bool], db: psycopg.Connection[Any] | None = None
    ) -> list[tuple[int, int, int, int | None, bool | None]]:
        """One batch of (season, user, number, whether it is a score) by the statement by rule; the seasons exist.

        Returns (status, score, version, previous, improved) of each. The text is that which the intake takes."""
        is_once = len({(season, user) for season, user, _, _ in batch}) == len(batch)
        rows = (db or self.db).execute(
            queries()["submit_by_rule_once" if is_once else "submit_by_rule"],
            {
                "seasons": TextArray(pack_text_array([s for s, _, _, _ in batch])),
                "users": TextArray(pack_text_array([u for _, u, _, _ in batch])),
                "numbers": Int8Array(pack_int8_array([n for _, _, n, _ in batch])),
                "scored": Int8Array(pack_int8_array([scored for _, _, _, scored in batch])),
                "origins": Int8Array(pack_int8_array([0] * len(batch))),
            },
        )
        return [(status, *counted[:4]) for _, status, *counted in rows.fetchall()]

    def key(self, *scopes: str, seasons: list[str] | None = None, life_s: int | None = None) -> str:
        """The text of a new key; without scopes one that has all."""
        named = cast(list[Scope], list(scopes or SCOPES))
        return keystore.create_key(self.db, Wanted("a test", named, seasons, life_s), Act()).key

    def name_player(self, user: str, name: str | None, **attributes: str) -> None:
        """Write a profile by the service's own statements; None deletes it."""
        place = {"partition": partition_of(user), "user": user}
        with self.db.transaction():
            held = self.db.execute(queries()["lock_profile"], place).fetchone()
            if name is None:
                self.db.execute(queries()["remove_profile"], place)
                return
            written = {**place, "name": name, "attributes": msgspec.json.encode(attributes).decode()}
            self.db.execute(queries()["add_profile" if held is None else "change_profile"], written)

    def profiles(self, partition: int) -> dict[str, str]:
        """The profiles of a partition in Redis, by player."""
        held = self.redis.hgetall(self.keys.profiles[partition])
        return {user.decode(): profile.decode() for user, profile in held.items()}

    def expected_profiles(self, partition: int) -> dict[str, str]:
        """The profiles of a partition as Redis should have them, made here, not by the product."""
        rows = self.rows("SELECT user_id, display_name, attributes FROM player WHERE partition = %s", partition)
        return {user: f"{name or ''}\n{attributes}" for user, name, attributes in rows}

    def correct(self, season: str, user: str, score: int | None) -> None:
        """Change a row as a moderator's tool does, or remove it, and leave a hint."""
        with self.db.transaction():
            period, partition = self.rows(
                "SELECT period_id, partition FROM season WHERE season_id = %s FOR KEY SHARE", season
            )[0]
            if score is None:
                self.db.execute("DELETE FROM score WHERE period_id = %s AND user_id = %s", (period, user))
            else:
                self.db.execute(
                    "UPDATE score SET score = %s, reached = nextval('submission') "
                    "WHERE period_id = %s AND user_id = %s",
                    (score, period, user),
                )
            self.db.execute(
                "INSERT INTO outbox (partition, period_id, user_id) VALUES (%s, %s, %s)", (partition, period, user)
            )

    def reset(self, season: str) -> None:
        """End the season's period by the service's own statements."""
        with self.db.transaction():
            found = self.db.execute(queries()["lock_season"], {"season": season}).fetchone()
            if found is not None:
                self.db.execute(queries()["reset_season"], {"period": found[1]})

    def forget_submissions(self) -> None:
        """Empty all tables of submissions. Seasons that come anew have new periods, so their boards begin anew, too."""
        self._despite_deadlocks(
            lambda: self.execute(f"TRUNCATE {', '.join(table for table in TABLES if table != 'partition')}")
        )

    def keep(self) -> None:
        """Remember all that PostgreSQL has of this world, as a copy of its volume would."""
        for table in TABLES:
            self.execute(f"DROP TABLE IF EXISTS kept_{table}", f"CREATE TABLE kept_{table} AS TABLE {table}")
        for sequence in SEQUENCES:
            self.execute(
                f"DROP TABLE IF EXISTS kept_{sequence}",
                f"CREATE TABLE kept_{sequence} AS SELECT last_value, is_called FROM {sequence}",
            )

    def go_back(self) -> None:
        """Let PostgreSQL have what it had at `keep`, sequences too: its volume was set back. Ends every connection."""
        self.terminate("leaderboard-relay")

        def put_back() -> None:
            with self.db.transaction():
                self.execute(f"TRUNCATE {', '.join(TABLES)}")
                for table in TABLES:
                    self.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE kept_{table}")
                for sequence in SEQUENCES:
                    self.rows(f"SELECT setval('{sequence}', last_value, is_called) FROM kept_{sequence}")

        self._despite_deadlocks(put_back)

    def _despite_deadlocks(self, change: Callable[[], None]) -> None:
        """Make a change that locks many tables, again if PostgreSQL chose it to resolve a deadlock.

        Servers that run beside it lock the tables in the orders of their own statements.
        """
        for _ in range(9):
            with suppress(psycopg.errors.DeadlockDetected):
                return change()
        change()

    def session(
        self,
        kind: type[RelaySession] = RelaySession,
        *,
        limit: int = 2_000,
        redis_timeout_s: float = 10.0,
        traced: bool = False,
    ) -> RelaySession:
        """A session of this world, closed with it."""
        made = kind(
            self.settings.database_url,
            self.settings.redis_url,
            self.keys,
            limit=limit,
            redis_timeout_s=redis_timeout_s,
            traced=traced,
        )
        self._sessions.append(made)
        return made

    def carry_everything(self) -> None:
        """Do the work of a relay once, for all partitions."""
        session = self.session()
        for partition in range(PARTITIONS):
            relay_batch(session, partition, check=True)

    @contextmanager
    def held(self, season: str) -> Iterator[psycopg.Connection[Any]]:
        """Hold a lock on the season: no write to it until the connection commits or the block ends."""
        with psycopg.connect(self.settings.database_url) as db:
            db.execute("SELECT FROM season WHERE season_id = %s FOR UPDATE", (season,))
            yield db

    def waiting(self, application: str = "leaderboard-intake") -> int:
        """How many of this world's connections with this name wait for a lock."""
        return self.connections(application, "wait_event_type = 'Lock'")

    def connections(self, application: str, condition: str = "true") -> int:
        """How many connections of this name this world has."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE usename = current_user AND application_name = %s AND "
        return int(self.value(query + condition, application))

    def terminate(self, application: str) -> int:
        """Let PostgreSQL end this world's connections of this name; how many."""
        return len(
            self.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE usename = current_user AND application_name = %s AND pid <> pg_backend_pid()",
                application,
            )
        )


def is_cluster(url: str) -> bool:
    """Whether the Redis of the run is a cluster: the others have Unix sockets, or Sentinels."""
    return url.startswith("redis://")


def make_client(url: str) -> Any:
    """A client of redis-py for the Redis of the run."""
    options = parse_redis_url(url)
    if options.sentinel:
        guards = redis.sentinel.Sentinel([*options.addresses])  # type: ignore[no-untyped-call]
        return guards.master_for(options.sentinel)  # type: ignore[no-untyped-call]
    return redis.RedisCluster(options.host, options.port) if is_cluster(url) else redis.Redis.from_url(url)


def decoded(member: bytes, zscore: float) -> tuple[str, int, int]:
    """A sorted-set entry as (user, score, reached), straight from the layout in docs/architecture.md."""
    low, reached, user = int.from_bytes(member[:2], "big"), int.from_bytes(member[2:10], "big"), member[10:].decode()
    double = -int(zscore)
    edge = 2**52
    if abs(double) < edge:
        return user, double, reached
    if double > 0:
        return user, edge + (double - edge) * 2048 + (2047 - low), reached
    return user, -edge + (double + edge) * 2048 - low, reached


def world_on(servers: Embedded, *, redis_db: int = 1, migrate: bool = True, name: str | None = None) -> World:
    """A world on the servers of the run. Worlds of one Redis database may not flush it beside each other."""
    assert servers.database_url is not None and servers.redis_url is not None
    return World(servers.database_url, servers.redis_url, redis_db=redis_db, migrate=migrate, name=name)


def socket_directory(servers: Embedded) -> str:
    """The directory of both servers' sockets."""
    assert servers.redis_url is not None
    return servers.redis_url.removeprefix("unix://").rpartition("/")[0]


def private(directory: Path) -> Path:
    """A directory that the servers' user may pass through; pytest's own are closed to all but root."""
    directory.chmod(0o711)
    return directory
