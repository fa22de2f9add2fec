"""Connections that PostgreSQL, or a proxy, has closed while the intake was idle: the next submission is accepted."""

from __future__ import annotations

import pytest
from support.http import JSON, Http, base
from support.processes import alive, serving
from support.proxy import Proxy
from support.waiting import eventually
from support.world import World


def post(http: Http) -> int:
    return http.post("s", "ada", 1).status


def post_batch(http: Http) -> int:
    answer = http.ask("POST", f"{base('s')}/scores/batch", b'{"submissions":[{"userId":"ada","delta":1}]}', JSON)
    return int(answer.json["results"][0]["status"])


@pytest.mark.parametrize("submit", [post, post_batch])
def test_a_session_that_ended_while_idle(world: World, submit: object) -> None:
    assert callable(submit)
    pids = "SELECT pid FROM pg_stat_activity WHERE usename = current_user AND application_name = 'leaderboard-intake'"
    with serving(world) as api, api.client() as http:
        assert submit(http) == 202
        for _ in range(5):
            ended = {pid for (pid,) in world.rows(pids)}
            assert ended and world.terminate("leaderboard-intake") == len(ended)
            eventually(lambda ended=ended: not alive(ended))
            assert submit(http) == 202
    assert [score for _, score, _ in world.expected("s")] == [6]


def test_a_proxy_that_closes_idle_connections(world: World, postgres_proxy: Proxy) -> None:
    url = world.database_url(f"127.0.0.1:{postgres_proxy.port}")
    with serving(world, DATABASE_URL=url) as api, api.client() as http:
        assert post(http) == 202
        for _ in range(5):
            postgres_proxy.reset()
            eventually(lambda: world.connections("leaderboard-intake") == 0)
            assert post(http) == 202
    assert [score for _, score, _ in world.expected("s")] == [6]
