"""A PostgreSQL that the code cannot work with is refused in one line, by every start and by `migrate`."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest
from support.http import free_port
from support.processes import leaderboard
from support.world import World

from ctl.embedded import Embedded


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def foreign(request: pytest.FixtureRequest, servers: Embedded) -> Iterator[tuple[World, str]]:
    """A world in a database of another encoding, which `LC_ALL=C initdb` makes for instance."""
    name = f"foreign_{request.param.lower()}"
    assert servers.database_url is not None and servers.redis_url is not None
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} ENCODING '{request.param}' LOCALE 'C' TEMPLATE template0".encode())
        with World(
            servers.database_url.replace("/leaderboard?", f"/{name}?"), servers.redis_url, migrate=False
        ) as made:
            yield made, request.param
        admin.execute(f"DROP DATABASE {name}".encode())


def test_another_encoding_is_refused_in_one_line(foreign: tuple[World, str]) -> None:
    world, encoding = foreign
    bind = f"127.0.0.1:{free_port()}"
    for command in (["migrate"], ["serve", "--quiet"], ["relay"], ["verify"]):
        done = leaderboard(world, *command, LEADERBOARD_BIND=bind)
        assert done.returncode == 4, done.stderr
        last = done.stderr.splitlines()[-1]
        assert last.startswith("leaderboard: ") and f"has the encoding {encoding}, it must be UTF8" in last
        assert "Traceback" not in done.stderr
    done = leaderboard(world, "migrate", "--json")
    assert json.loads(done.stdout)["code"] == "unsuitable-server"
    assert world.value("SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace") == 0


def test_the_doctor_names_the_encoding(foreign: tuple[World, str]) -> None:
    world, encoding = foreign
    done = leaderboard(world, "doctor", "--json")
    assert done.returncode == 1, done.stderr
    found = {f["check"]: f for f in json.loads(done.stdout)["findings"]}
    finding = found["PostgreSQL encoding"]
    assert (finding["severity"], finding["found"]) == ("error", encoding)
    assert "UTF8" in finding["advice"]


def test_the_doctor_finds_a_fitting_server_fitting(world: World) -> None:
    done = leaderboard(world, "doctor", "--json")
    found = {f["check"]: f for f in json.loads(done.stdout)["findings"]}
    assert found["PostgreSQL encoding"]["severity"] == found["PostgreSQL sessions"]["severity"] == "ok"
