"""All checks in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Final

import psycopg
from psycopg.rows import scalar_row

from board.config.settings import Settings
from board.errors import BoardUnavailable, LeaderboardError, WrongSchemaVersion
from board.pg import schema
from board.pg.connections import first_line
from board.pg.queries import queries
from board.redis.masters import read_masters
from board.redis.node import OLDEST, WrongNode
from board.redis.options import parse_redis_url
from board.redis.sync_redis import ResponseError
from board.redis.topology import Topology
from ctl.connections import connect_postgres, make_redis
from ctl.diagnosis.finding import Finding
from ctl.diagnosis.host import examine_host
from ctl.diagnosis.postgres import examine_audit, examine_buffers, examine_pooling, examine_postgres
from ctl.diagnosis.redis import (
    examine_cluster,
    examine_keys,
    examine_prefix,
    examine_redis,
    examine_replicas,
    examine_sentinels,
)
from ctl.diagnosis.relays import examine_relays

WRONG_NODE: Final = f"boards need {OLDEST[0]}.{OLDEST[1]} at least, and masters (docs/ops/topologies.md)"


def examine(s: Settings) -> Iterator[Finding]:
    """All findings. A server that does not answer is one of them; the other checks go on."""
    seasons: list[str] | None = None
    try:
        with connect_postgres(s) as db:
            yield from examine_postgres(db)
            yield examine_pooling(s, db)
            try:
                schema.check_version(db)
                newer = ", ".join(schema.list_newer(db))
                of_newer = f"; {newer} of a newer release" if newer else ""
                yield Finding("schema", "ok", f"version {schema.required()}{of_newer}")
                yield examine_prefix(db, s.redis_prefix)
                seasons = db.cursor(row_factory=scalar_row).execute(queries()["season_names"]).fetchall()
                yield examine_buffers(db)
                yield examine_audit(db)
                yield from examine_relays(s, db)
            except WrongSchemaVersion as error:
                yield Finding("schema", "error", str(error), "run `leaderboard migrate`")
    except (LeaderboardError, psycopg.Error) as error:
        yield Finding("PostgreSQL", "error", first_line(error), "is it running, and is DATABASE_URL right?")
    with closing(make_redis(s)) as redis:
        try:
            redis.connect()
            options = parse_redis_url(s.redis_url)
            if options.sentinel:
                yield examine_sentinels(options)
            if redis.layout is not None:
                yield examine_cluster(redis.layout)
            for node in redis.nodes():
                yield from examine_redis(node, "Redis" if redis.layout is None else f"Redis {node.address}")
            yield from examine_replicas(read_masters(Topology(options), s.redis_prefix))
            if seasons is not None:
                yield examine_keys(redis, s.redis_prefix, seasons)
        except WrongNode as error:
            yield Finding("Redis", "error", str(error), WRONG_NODE)
        except (BoardUnavailable, ResponseError) as error:
            yield Finding("Redis", "error", str(error), "is it running, and is REDIS_URL right?")
    yield from examine_host(s)
