"""Pages begun before a ban, and past boards on workers that remember which positions are hidden."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.http import JSON, Http, base
from support.moderation import act, restrict
from support.periods import GRID, end_now, keeper_of, put, submit
from support.processes import Api, relaying, serving
from support.submitting import clients
from support.waiting import eventually
from support.world import World

FOREVER = {"reason": "speed hack"}
PLAYERS = [f"p{n}" for n in range(8)]
"""In their order on every board."""
TWO = {"LEADERBOARD_WORKERS": "2"}


def done(http: Http, verb: str, user: str) -> None:
    answer = act(http, verb, user, FOREVER if verb == "ban" else None)
    assert answer.status == 200, answer.body


def page(http: Http, season: str, query: str) -> tuple[list[tuple[int, str]], str | None]:
    answer = http.get(f"{base(season)}/leaderboard/top?{query}")
    assert answer.status == 200, answer.body
    return [(item["rank"], item["userId"]) for item in answer.json["items"]], answer.json["nextCursor"]


@pytest.fixture
def api(world: World) -> Iterator[Api]:
    """Two workers; a season with segments, with a final period and an open one of the same players."""
    with serving(world, "/readyz", **TWO) as made, relaying(world):
        with made.client() as http:
            put(http, "s", operator="best", segments=["country"])
            for user in PLAYERS:
                body = b'{"attributes":{"country":"GB"}}'
                assert http.ask("PUT", f"/v1/players/{user}", body, JSON).status == 201
            for closed in (True, False):
                for n, user in enumerate(PLAYERS):
                    assert submit(http, "s", user, score=100 - n).status == 202
                for query in ("limit=9", "limit=9&segment=country:GB"):
                    path = f"{base('s')}/leaderboard/top?{query}"
                    eventually(lambda path=path: http.get(path).json.get("total") == len(PLAYERS))
                if closed:
                    assert http.ask("POST", f"{base('s')}/reset").status == 200
            eventually(lambda: world.value("SELECT count(*) FROM event WHERE kind = 'period.closed'") == 1)
        yield made


@pytest.mark.parametrize("board", ["", "&segment=country:GB", "&period=1", "&period=2"])
def test_pages_go_on_behind_a_player_who_was_banned_meanwhile(api: Api, board: str) -> None:
    with clients(api, 8) as readers:
        query = f"limit=3{board}"
        first, cursor = page(readers[0], "s", query)
        assert first == [(1, "p0"), (2, "p1"), (3, "p2")] and cursor
        # The last one of the page, which the cursor names; one before it; and one behind it.
        for away in (["p2"], ["p0", "p2"], ["p0", "p2", "p4"]):
            for user in away:
                done(readers[0], "ban" if user != "p0" else "hide", user)
            for reader in readers:
                rest, following = page(reader, "s", f"{query}&cursor={cursor}")
                left = [user for user in PLAYERS if user not in away]
                assert rest == [(n, user) for n, user in enumerate(left, 1) if user > "p2"][:3]
                whole = list(rest)
                while following is not None:
                    more, following = page(reader, "s", f"{query}&cursor={following}")
                    whole += more
                assert whole == [(n, user) for n, user in enumerate(left, 1) if user > "p2"]
        for user in ("p2", "p4"):
            done(readers[0], "unban", user)
        done(readers[0], "show", "p0")
        for reader in readers:
            assert page(reader, "s", f"{query}&cursor={cursor}")[0] == [(4, "p3"), (5, "p4"), (6, "p5")]


def see(http: Http, user: str, period: str) -> dict[str, Any]:
    """All that is told of a player on a past board."""
    asked = json.dumps({"userIds": PLAYERS}).encode()
    looked = http.ask("POST", f"{base('s')}/leaderboard/lookup{period}", asked, JSON)
    assert looked.status == 200, looked.body
    found: dict[str, Any] = {
        "lookup": [(item["rank"], item["position"], item["userId"]) for item in looked.json["items"]],
        "missing": looked.json["notFound"],
        "count": http.get(f"{base('s')}/leaderboard/count{period}").json["count"],
    }
    for read in ("rank", "around"):
        more = "&" if period else "?"
        found[read] = http.get(f"{base('s')}/leaderboard/{read}{period}{more}userId={user}").status
    standings = http.get(f"/v1/players/{user}/standings").json["items"]
    found["standings"] = [item["seasonId"] for item in standings]
    return found


@pytest.mark.parametrize("period", ["", "?period=1", "?period=2"])
def test_every_worker_forgets_what_it_remembers_of_hidden_players(api: Api, period: str) -> None:
    with clients(api, 8) as readers:
        before = [see(reader, "p3", period) for reader in readers]
        assert before == [before[0]] * len(readers) and before[0]["rank"] == 200 and before[0]["missing"] == []
        turns = (("ban", "p3", {"p3"}), ("hide", "p5", {"p3", "p5"}), ("hide", "p3", {"p3", "p5"}))
        turns += (("unban", "p3", {"p3", "p5"}), ("show", "p5", {"p3"}), ("show", "p3", set()))
        for verb, user, away in turns:
            done(readers[0], verb, user)
            left = [name for name in PLAYERS if name not in away]
            for reader in readers:
                seen = see(reader, "p3", period)
                assert seen["lookup"] == [(n, n, name) for n, name in enumerate(left, 1)], (verb, user)
                assert seen["missing"] == sorted(away) and seen["count"] == len(left)
                assert seen["rank"] == seen["around"] == (404 if "p3" in away else 200)
                assert seen["standings"] == ([] if "p3" in away else ["s"])
        assert [see(reader, "p3", period) for reader in readers] == before


@pytest.mark.parametrize("state", ["closing", "grace", "final"])
def test_states_of_an_ended_period_are_read_without_the_player(world: World, state: str) -> None:
    """A period whose standings are not written yet, may still change, or is final."""
    world.define("s", operator="best", schedule=GRID, graceS=0 if state == "final" else 86_400)
    world.submit_by_rule(*(("s", user, 100 - n, True) for n, user in enumerate(PLAYERS)))
    world.carry_everything()
    restrict(world, "ban", "p1")
    end_now(world, "s")
    keeper = keeper_of(world)
    keeper.turn_seasons(world.db)
    world.carry_everything()
    with serving(world, "/livez", **TWO) as api, clients(api, 8) as readers:
        for away, verb, user in (({"p1"}, None, ""), ({"p1", "p2"}, "hide", "p2"), ({"p2"}, "unban", "p1")):
            if verb is not None:
                restrict(world, verb, user)
            if state != "closing":
                keeper.close_periods(world.db)
            left = [name for name in PLAYERS if name not in away]
            for reader in readers:
                assert page(reader, "s", "period=1")[0] == list(enumerate(left, 1)), verb
                assert see(reader, "p2", "?period=1")["rank"] == (404 if "p2" in away else 200)
