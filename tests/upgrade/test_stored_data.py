"""This release on the data of the previous one, whose relays and janitor run on beside it; and feeds."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.http import JSON, Http, base
from support.proxy import Proxy
from support.releases import Release
from support.repository import REPOSITORY
from support.waiting import eventually
from support.world import World


@pytest.mark.walk
def test_this_release_goes_on_with_the_data_of_the_previous_one(bare_world: World, older: Path, sockets: Path) -> None:
    """Keys, rows, periods and boards that it has written; its relays and its janitor run on beside this release's."""
    world = bare_world
    previous = Release(world, older, sockets, LEADERBOARD_IMPL="python")
    this = Release(world, REPOSITORY, sockets)
    previous.run("migrate")
    key = {**JSON, "Idempotency-Key": '"run-1"'}
    with ExitStack() as stack:
        old_relays = stack.enter_context(previous.relay())
        stack.enter_context(previous.serve())
        old = stack.enter_context(Http(stack.enter_context(Proxy(str(previous.socket))).port))
        first = old.post_raw("kept", b'{"userId":"ada","delta":5}', key)
        for user, delta in (("bob", 9), ("cy", 9)):
            assert old.post("kept", user, delta).status == 202
        assert old.post("emptied", "ada", 1).status == 202 and old.delete("emptied").status == 200
        assert old.post("emptied", "ada", 2).status == 202
        eventually(lambda: len(old.top("kept").json["items"]) == 3)
        board = [(item["userId"], item["score"]) for item in old.top("kept").json["items"]]

        this.run("migrate", "--stage", "pre", "--wait", "5")
        stack.enter_context(this.serve())
        new = stack.enter_context(Http(stack.enter_context(Proxy(str(this.socket))).port))
        again = new.post_raw("kept", b'{"userId":"ada","delta":5}', key)
        assert (again.json["score"], again.json["version"]) == (first.json["score"], first.json["version"])
        assert new.post_raw("kept", b'{"userId":"ada","delta":6}', key).json["code"] == "idempotency-key-reused"
        rows = new.top("kept").json["items"]
        assert [(item["userId"], item["score"]) for item in rows] == board
        assert [item["rank"] for item in rows] == [1, 2, 3]
        found = {season["seasonId"]: season["period"] for season in new.get("/v1/seasons").json["items"]}
        assert {name: (one["number"], one["state"]) for name, one in found.items()} == {
            "kept": (1, "open"),
            "emptied": (2, "open"),
        }
        fixed = new.ask("PATCH", "/v1/seasons/kept", b'{"operator":"best"}', JSON)
        assert fixed.json["code"] == "setting-fixed"
        # A relay of the previous release drops the hint of a profile. One of this release finds out, and loads it.
        profile = b'{"displayName":"Ada","attributes":{}}'
        assert new.ask("PUT", "/v1/players/ada", profile, JSON).status in (200, 201)
        eventually(lambda: world.value("SELECT count(*) FROM outbox") == 0)
        new_relays = stack.enter_context(this.relay())
        eventually(lambda: [row.get("displayName") for row in new.top("kept").json["items"]][2] == "Ada", 30)
        # Its periods are ended and closed by this release. No leader is told but those that come from now on.
        assert new.get("/v1/events?kind=leader.changed").json["items"] == []
        assert new.ask("POST", "/v1/seasons/kept/reset").json["period"]["number"] == 2
        (closed,) = eventually(lambda: new.get("/v1/events?kind=period.closed").json["items"], 30)
        assert [(row["userId"], row["score"]) for row in closed["data"]["top"]] == board
        past = new.get(f"{base('kept')}/leaderboard/top?period=1").json["items"]
        assert [(item["userId"], item["score"]) for item in past] == board

        def tell_a_leader() -> Any:
            # Relays of both releases carry batches; those of the previous one tell nothing.
            assert old.post("kept", "dee", 3).status == 202, "a plain season stays one"
            return new.get("/v1/events?kind=leader.changed").json["items"]

        (led,) = eventually(tell_a_leader, 30)
        score = led["data"].pop("score")
        assert led["data"] == {"userId": "dee", "previousUserId": None} and score > 0 and score % 3 == 0
        # The janitor of the previous release has looked meanwhile, and took neither a kept period nor its standings.
        eventually(lambda: world.value("SELECT count(*) FROM period WHERE ended_at IS NOT NULL") == 0)
        assert world.value("SELECT count(*) FROM standing") == 3
        assert old_relays.stop() == 0
        # Without relays of the previous release the fence of each commit has its stamp, and nothing is loaded anew.
        loads = new_relays.text().count("rebuilt")
        assert new.post("kept", "ada", 1).status == 202
        eventually(lambda: new.rank("kept", "ada").status == 200)
        stamped = "SELECT stamp LIKE fence || '.%%' FROM partition JOIN season ON partition = id WHERE season_id = %s"
        assert world.value(stamped, "kept")
        assert new_relays.text().count("rebuilt") == loads
        assert json.loads(this.run("verify", "--wait", "30", "--json"))["equal"]


@pytest.mark.walk
def test_the_previous_release_keeps_off_seasons_that_feed_others(bare_world: World, older: Path, sockets: Path) -> None:
    """Its API is refused there, its relays carry what was fed, and batch-mates are unharmed."""
    world = bare_world
    previous = Release(world, older, sockets, LEADERBOARD_IMPL="python")
    this = Release(world, REPOSITORY, sockets)
    previous.run("migrate")
    this.run("migrate", "--stage", "pre")
    with ExitStack() as stack:
        for command in (previous.relay(), previous.serve(), this.serve()):
            stack.enter_context(command)
        old, new = (
            stack.enter_context(Http(stack.enter_context(Proxy(str(release.socket))).port))
            for release in (previous, this)
        )
        assert old.post("all", "ada", 1).status == 202
        assert new.ask("PUT", "/v1/seasons/high", b'{"operator":"best","bounds":{"max":4}}', JSON).status == 201
        assert new.ask("PUT", "/v1/seasons/week", b'{"feeds":["all","high"]}', JSON).status == 201
        key = {**JSON, "Idempotency-Key": "run-1"}
        told = new.post_raw("week", b'{"userId":"ada","delta":4}', key).json
        assert "skipped" not in told and told["score"] == 4
        skipped = [{"seasonId": "high", "code": "score-out-of-bounds"}]
        assert new.post("week", "bob", 5).json["skipped"] == skipped
        rows = world.rows("SELECT season_id, user_id, score FROM score JOIN season USING (period_id) ORDER BY 1, 2")
        wanted = [("all", "ada", 5), ("all", "bob", 5), ("high", "ada", 4), ("week", "ada", 4), ("week", "bob", 5)]
        assert rows == wanted
        for user in ("ada", "cy"):
            assert old.post("week", user, 1).status == 500, "it would feed nothing"
        assert new.post_raw("week", b'{"userId":"ada","delta":4}', key).json == told
        assert world.rows(
            "SELECT season_id, user_id, score FROM score JOIN season USING (period_id) ORDER BY 1, 2"
        ) == wanted  # fmt: skip
        assert old.post("all", "cy", 2).status == 202, "a fed season is as open as before"
        eventually(lambda: [item["userId"] for item in old.top("all").json["items"]] == ["ada", "bob", "cy"])
        eventually(lambda: [item["userId"] for item in old.top("week").json["items"]] == ["bob", "ada"])
        assert json.loads(this.run("verify", "--wait", "30", "--json"))["equal"]
