"""The traffic of a server and the relays at work, as operators are told of them."""

from __future__ import annotations

from typing import Any

import pytest
from support.http import Http
from support.processes import Api
from support.waiting import eventually

from board.partitions import partition_of


def latest(http: Http) -> Any:
    return http.ask("GET", "/v1/status/traffic").json["latest"]


def test_what_was_submitted_and_read_is_told_with_its_latencies(api: Api, season: str) -> None:
    with api.client() as http:
        eventually(lambda: latest(http), 60)

        def is_told() -> bool:
            for _ in range(5):
                assert http.post(season, "ada", 1).status == 202
                http.top(season)
            now = latest(http)
            return bool(now and now["submissionsPerS"] and now["readsPerS"] and now["submission"] and now["read"])

        eventually(is_told, 60)
        traffic = http.ask("GET", "/v1/status/traffic?minutes=360").json
        assert traffic["workers"] == 2 and traffic["since"] < traffic["latest"]["at"]
        for kind in ("submission", "read"):
            assert 0 < traffic["latest"][kind]["p50Ms"] <= traffic["latest"][kind]["p99Ms"]


@pytest.mark.parametrize("minutes", ["0", "361", "x", "1.5"])
def test_how_far_back_has_bounds(http: Http, minutes: str) -> None:
    answer = http.ask("GET", f"/v1/status/traffic?minutes={minutes}")
    assert (answer.status, answer.json["code"]) == (400, "invalid-minutes")


def test_the_status_names_the_relays_and_the_partitions_that_they_had_last(api: Api, season: str) -> None:
    with api.client() as http:
        assert http.post(season, "ada", 1).status == 202

        def had() -> list[Any]:
            relays = http.ask("GET", "/v1/status").json["relays"]
            return [one for one in relays if partition_of(season) in one["partitions"]]

        (relay,) = eventually(had)
        host, process, number = relay["relay"].split("/")
        assert host and process.isdigit() and len(number) == 8
        assert relay["partitions"] == sorted(set(relay["partitions"]))
        state = http.ask("GET", "/v1/status").json
        assert state["relaysConnected"] >= 2
        named = [partition for one in state["relays"] for partition in one["partitions"]]
        assert len(named) == len(set(named)), "a partition has one relay that had it last"


def test_the_status_has_the_servers(http: Http) -> None:
    state = http.ask("GET", "/v1/status").json
    (master,) = state["masters"]
    assert (master["up"], master["partitions"], master["replicas"]) == (True, 64, 0)
    assert master["usedBytes"] > 100_000 and state["standbys"] == []
