"""Who submitted, as the ledger has it: keys and players' tokens, by number."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import psycopg
import pytest
from support.http import JSON, Http, base, bearer
from support.processes import serving
from support.tokens import Issuer, settings
from support.waiting import eventually
from support.world import World

from board.pg.queries import queries
from service.submissions import origins as module
from service.submissions.origins import NOBODY, Origins, Pair
from service.submissions.statements import Writer


def told(world: World) -> list[tuple[Any, ...]]:
    """Player, key and version of each row of the ledger, in the order of their numbers."""
    return world.rows(
        "SELECT user_id, key_id, client_version FROM ledger l LEFT JOIN origin o ON o.id = l.origin ORDER BY submission"
    )


def submit(http: Http, season: str, credential: str | None = None, path: str = "scores", **members: Any) -> None:
    body: dict[str, Any] = members if path == "scores" else {"submissions": [members]}
    headers = JSON if credential is None else {**JSON, **bearer(credential)}
    answer = http.ask("POST", f"{base(season)}/{path}", json.dumps(body).encode(), headers)
    assert answer.status in (200, 202) and "code" not in answer.body.decode(), answer.body


def test_the_key_of_a_submission_by_rule_is_in_the_ledger(world: World) -> None:
    world.define("best", operator="best")
    keys = [world.key("submit") for _ in range(2)]
    with serving(world, "/readyz", LEADERBOARD_AUTH="keys") as api, api.client() as http:
        for user, key, path in (("a", 0, "scores"), ("b", 1, "scores"), ("c", 0, "scores/batch"), ("d", 0, "scores")):
            submit(http, "best", keys[key], path, userId=user, score=1)
        submit(http, "sum", keys[0], userId="e", delta=1)
    ids = [key.split("_")[1] for key in keys]
    assert told(world) == [
        ("a", ids[0], ""), ("b", ids[1], ""), ("c", ids[0], ""), ("d", ids[0], ""),
        ("e", None, None),
    ]  # fmt: skip


def test_a_players_token_is_told_from_keys(world: World) -> None:
    world.define("best", operator="best")
    token = Issuer("HS256").token("a")
    with serving(world, "/readyz", **settings("HS256", LEADERBOARD_PLAYERS="submit")) as api, api.client() as http:
        for path in ("scores", "scores/batch"):
            submit(http, "best", token, path, userId="a", score=1)
    assert told(world) == [("a", "token", "")] * 2


def test_an_open_server_knows_nobody(world: World) -> None:
    world.define("best", operator="best")
    with serving(world) as api, api.client() as http:
        submit(http, "best", userId="a", score=1)
    assert told(world) == [("a", None, None)]
    assert world.value("SELECT count(*) FROM origin") == 0


def finding(world: World, *asked: list[Pair], most: int = 100) -> list[list[int]]:
    """What a connection finds, one after the other."""

    async def main() -> list[list[int]]:
        writer = await Writer.connect(world.settings.database_url, 10.0)

        async def ask(keys: list[str], versions: list[str]) -> list[Any]:
            parameters = {"keys": keys, "versions": versions, "most": most}
            return await writer._run(queries()["note_origins"], parameters, fetch=True)

        try:
            origins = Origins(ask)
            return [await origins.find(pairs) for pairs in asked]
        finally:
            await writer.close()

    return asyncio.run(main())


def test_each_pair_has_one_number_on_every_connection(world: World) -> None:
    pairs = [("k", "1.0"), ("k", "2.0"), ("l", "1.0"), ("k", ""), NOBODY, ("k", "1.0"), ("", "1.0")]
    first, again = finding(world, pairs, pairs)
    assert first == again == finding(world, pairs)[0]
    assert first[4] == 0 and first[0] == first[5] and len({*first}) == 6
    rows = dict(
        ((key, version), number) for number, key, version in world.rows("SELECT id, key_id, client_version FROM origin")
    )
    assert all(rows[pair] == number for pair, number in zip(pairs, first, strict=True) if pair != NOBODY)


def test_versions_beyond_the_bound_count_for_their_key_alone(world: World) -> None:
    """Anybody may send any text for a version. A key that comes later is known all the same."""
    many: list[Pair] = [("k", str(n)) for n in range(50)]
    (found,) = finding(world, many, most=0)
    assert len({*found}) == 1 and found[0] > 0
    for n in range(30):
        finding(world, [("k", f"v{n}")], most=5)
    assert world.value("SELECT count(*) FROM origin WHERE client_version <> ''") <= 5
    assert finding(world, [("new", "1")], most=5)[0][0] == world.value("SELECT id FROM origin WHERE key_id = 'new'")


def test_a_pair_that_two_connections_add_at_once_has_one_number(world: World) -> None:
    found: list[int] = []
    with psycopg.connect(world.settings.database_url) as other:
        other.execute("INSERT INTO origin (key_id, client_version) VALUES ('k', '1')")
        thread = threading.Thread(target=lambda: found.extend(finding(world, [("k", "1")])[0]))
        thread.start()
        eventually(lambda: world.waiting() == 1)
        other.commit()
    thread.join()
    assert found == [world.value("SELECT id FROM origin WHERE client_version = '1'")]


def test_a_connection_remembers_a_bounded_number(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KNOWN_MOST", 8)
    asked: list[int] = []

    async def ask(keys: list[str], versions: list[str]) -> list[Any]:
        asked.append(len(keys))
        return [(key, version, 1 + hash((key, version)) % 1000) for key, version in zip(keys, versions, strict=True)]

    origins = Origins(ask)
    for n in range(100):
        asyncio.run(origins.find([("k", str(n)), NOBODY]))
    assert len(origins._known) <= 8 and len(asked) == 100
