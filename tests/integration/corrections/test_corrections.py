"""Corrections: what counts afterwards, what the boards show, and that an undoing leaves no trace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.correcting import PATH, applied, correct, read, stored, undone, until
from support.http import JSON, Http, base
from support.moderation import hint, restrict
from support.periods import GRID, end_now, events_of, keeper_of, put, submit
from support.processes import relaying, serving
from support.waiting import eventually
from support.world import World

from board.partitions import partition_of
from board.pg.corrections import carry_out, list_open
from relay.batch import relay_batch


@pytest.fixture
def http(world: World) -> Iterator[Http]:
    """A server without relays."""
    with serving(world) as api, api.client() as client:
        yield client


def history(http: Http, season: str, user: str) -> list[tuple[int, str, int | None]]:
    items = http.get(f"{base(season)}/players/{user}/submissions").json["items"]
    return [(item["value"], item["state"], item.get("correction")) for item in items]


def rows(world: World, season: str) -> dict[str, tuple[int, int]]:
    """Score of each player in the current period, and the number of its submission, from 1 on.

    The first submission to a new season may take two numbers of PostgreSQL.
    """
    found = world.rows(
        "SELECT s.user_id, CASE WHEN s.period_id >> 56 & 1 = 1 THEN ~s.score ELSE s.score END, "
        "(s.reached & 9223372036854775807) - (SELECT min(submission) FROM ledger) + 1 "
        "FROM score s JOIN season n USING (period_id) WHERE n.season_id = %s",
        season,
    )
    return {user: (score, reached) for user, score, reached in found}


def run(http: Http, season: str, user: str, score: int, **more: Any) -> None:
    answer = http.post_raw(season, json.dumps({"userId": user, "score": score, **more}).encode(), JSON)
    assert answer.status == 202, answer.body


def test_a_best_run_that_is_void_gives_way_to_the_next_one_with_its_metadata(http: Http, world: World) -> None:
    put(http, "lap", operator="best", order="asc", columns=[{"name": "moves", "order": "asc"}])
    run(http, "lap", "ada", 90, columns={"moves": 7}, metadata={"car": "old"}, clientVersion="1")
    run(http, "lap", "ada", 80, columns={"moves": 9}, metadata={"car": "new"}, clientVersion="2")
    run(http, "lap", "bob", 85, columns={"moves": 1}, clientVersion="1")
    before = stored(world, "lap")
    answer = correct(http, "lap", query="?preview=true", clientVersion="2")
    change = {"userId": "ada", "period": 1, "rankBefore": 1, "rankAfter": 2}
    assert answer.status == 200 and answer.json == {"affected": 1, "changes": [change]}
    assert stored(world, "lap") == before and http.get(PATH).json == {"items": [], "nextCursor": None}
    number = applied(http, world, "lap", clientVersion="2")
    first = world.value("SELECT min(submission) FROM ledger")
    assert rows(world, "lap")["ada"] == (90, 1)
    shown = world.value("SELECT metadata FROM run_metadata WHERE user_id = 'ada' AND reached = %s", first)
    assert shown == '{"car":"old"}'
    assert history(http, "lap", "ada") == [(80, "void", number), (90, "counted", None)]
    undone(http, world, number)
    assert stored(world, "lap") == before
    assert history(http, "lap", "ada") == [(80, "counted", None), (90, "not-best", None)]
    found = read(http, number)
    assert found["state"] == "undoing" and "changed" not in found, "no relay has shown it yet"
    world.carry_everything()
    assert read(http, number)["state"] == "undone"


def test_a_sum_loses_what_is_void_and_a_player_without_any_leaves(http: Http, world: World) -> None:
    for user, delta in (("ada", 5), ("bob", 7), ("ada", 6), ("cy", 5)):
        submit(http, "plain", user, delta=delta)
    before = stored(world, "plain")
    number = applied(http, world, "plain", userId="ada")
    assert rows(world, "plain") == {"bob": (7, 2), "cy": (5, 4)}
    submit(http, "plain", "ada", delta=1)
    assert rows(world, "plain")["ada"] == (1, 5), "versions rise"
    undone(http, world, number)
    assert rows(world, "plain")["ada"] == (12, 5)
    world.carry_everything()
    assert read(http, number)["changed"] == [{"userId": "ada", "period": 1}]
    again = applied(http, world, "plain", userId="cy")
    undone(http, world, again)
    assert [row for row in stored(world, "plain")[0] if row[1] != "ada"] == [r for r in before[0] if r[1] != "ada"]
    assert read(http, again).get("changed") is None


def test_the_number_of_a_sum_is_that_of_the_latest_that_counts(http: Http, world: World) -> None:
    put(http, "s", operator="sum", order="asc")
    for user, delta in (("ada", 5), ("bob", 5), ("ada", 3)):
        submit(http, "s", user, delta=delta)
    since = world.value("SELECT accepted_at FROM ledger WHERE delta = 3").isoformat()
    before = stored(world, "s")
    number = applied(http, world, "s", userId="ada", from_=since)
    assert rows(world, "s") == {"ada": (5, 1), "bob": (5, 2)}
    undone(http, world, number)
    assert stored(world, "s") == before
    applied(http, world, "s", "set", -4, userId="ada", from_=since)
    assert rows(world, "s") == {"ada": (1, 3), "bob": (5, 2)}
    assert history(http, "s", "ada") == [(3, "counted", 2), (5, "counted", None)]
    path = f"{base('s')}/players/ada/submissions"
    assert http.get(path).json["items"][0]["corrected"] == -4
    assert http.get(f"{path}?int64=string").json["items"][0]["corrected"] == "-4"
    assert (
        http.get(f"{PATH}/2?int64=string").json["value"]
        == http.get(f"{PATH}?int64=string").json["items"][0]["value"]
        == "-4"
    )


def test_the_newest_that_is_not_undone_decides(http: Http, world: World) -> None:
    put(http, "b", operator="best")
    for score in (50, 100, 70):
        run(http, "b", "ada", score, clientVersion=str(score))
    first = stored(world, "b")
    void = applied(http, world, "b", clientVersion="100")
    assert rows(world, "b")["ada"] == (70, 3)
    set_all = applied(http, world, "b", "set", 60, userId="ada")
    assert rows(world, "b")["ada"] == (60, 1), "of equal runs the first one"
    undone(http, world, void)
    assert rows(world, "b")["ada"] == (60, 1)
    run(http, "b", "ada", 65)
    undone(http, world, set_all)
    assert rows(world, "b")["ada"] == (100, 2)
    assert stored(world, "b") == first
    world.carry_everything()
    assert read(http, set_all)["changed"] == [{"userId": "ada", "period": 1}]


def test_last_goes_back_to_the_run_before(http: Http, world: World) -> None:
    put(http, "last", operator="last")
    run(http, "last", "ada", 5, clientVersion="1")
    run(http, "last", "ada", 9, clientVersion="2")
    before = stored(world, "last")
    number = applied(http, world, "last", clientVersion="2")
    assert rows(world, "last")["ada"] == (5, 1)
    run(http, "last", "ada", 1, achievedAt="2026-01-01T00:00:00Z")
    assert rows(world, "last")["ada"] == (5, 1), "achieved before the one that is shown"
    undone(http, world, number)
    assert stored(world, "last") == before


def test_boards_show_all_of_a_correction_at_once(world: World) -> None:
    with serving(world, "/readyz") as api, relaying(world), api.client() as http:
        for n in range(40):
            submit(http, "s", f"p{n:02}", delta=1 + n)
        submit(http, "s", "idle", delta=1)
        eventually(lambda: len(world.board("s")) == 41)
        answer = correct(http, "s", to="2100-01-01T00:00:00Z", from_="2020-01-01T00:00:00Z", action="set", value=7)
        seen = set()

        def look() -> Any:
            page = http.top("s", 100).json
            seen.add((page["total"], sum(item["score"] for item in page["items"])))
            return read(http, answer.json["id"])["state"] == "applied"

        eventually(look, 60)
        assert seen - {(41, 821), (41, 287)} == set() and http.top("s").json["items"][0]["score"] == 7
        done = until(http, answer.json["id"], "applied")
        assert done["progress"]["done"] == done["progress"]["total"] > 0 and done["appliedAt"]
        http.ask("DELETE", f"{PATH}/{answer.json['id']}")
        until(http, answer.json["id"], "undone")
        assert http.top("s").json["items"][0] == {"rank": 1, "userId": "p39", "score": 40}
        assert world.board("s") == world.expected("s")


def test_a_final_board_is_written_anew_and_told(http: Http, world: World) -> None:
    put(http, "week", operator="best", ranking="competition")
    for user, score in (("ada", 9), ("bob", 7), ("cy", 7), ("ada", 5)):
        run(http, "week", user, score)
    assert http.ask("POST", f"{base('week')}/reset").status in (200, 503)
    keeper_of(world).close_periods(world.db)
    world.execute("UPDATE period SET cleared = true WHERE final_at IS NOT NULL", "DELETE FROM score")
    run(http, "week", "ada", 1)
    before = stored(world, "week")
    until_then = world.value("SELECT max(accepted_at) FROM ledger").isoformat()
    since = world.value("SELECT min(accepted_at) FROM ledger").isoformat()
    answer = correct(http, "week", query="?preview=true", userId="ada", to=until_then)
    assert answer.json["changes"] == [{"userId": "ada", "period": 1, "rankBefore": 1, "rankAfter": None}]
    number = applied(http, world, "week", "set", 6, userId="ada", from_=since, to=until_then)
    board = http.get(f"{base('week')}/leaderboard/top?period=1").json
    assert [(item["rank"], item["userId"], item["score"]) for item in board["items"]] == [
        (1, "bob", 7), (1, "cy", 7), (3, "ada", 6),
    ]  # fmt: skip
    second = applied(http, world, "week", userId="ada", to=until_then)
    assert http.get(f"{base('week')}/leaderboard/top?period=1").json["total"] == 2
    undone(http, world, second)
    undone(http, world, number)
    assert stored(world, "week") == before
    assert events_of(world, "week", "period.corrected") == [1, 1, 1, 1]
    data = http.get("/v1/events?kind=period.corrected").json["items"][0]["data"]
    link = "/v1/seasons/week/leaderboard/top?period=1"
    assert data == {"players": 3, "link": link, "correction": number, "undone": False}


def test_a_period_in_its_grace_is_written_down_after_the_correction(http: Http, world: World) -> None:
    put(http, "day", operator="best", schedule={"every": "P7D", "startsAt": "2026-01-05T00:00:00Z"}, graceS=3600)
    for user, score in (("ada", 9), ("bob", 7)):
        run(http, "day", user, score)
    world.execute("UPDATE season SET ends_at = now() - interval '1 second' WHERE season_id = 'day'")
    keeper = keeper_of(world)
    keeper.turn_seasons(world.db)
    keeper.close_periods(world.db)
    before = stored(world, "day")
    number = applied(http, world, "day", userId="ada")
    assert http.get(f"{base('day')}/leaderboard/top?period=1").json["total"] == 1
    keeper_of(world).close_periods(world.db)
    assert [row[2] for row in stored(world, "day")[1]] == ["bob"]
    undone(http, world, number)
    keeper_of(world).close_periods(world.db)
    assert stored(world, "day") == before and events_of(world, "day", "period.corrected") == []


def test_an_undoing_after_another_one_does_not_bring_the_other_back(http: Http, world: World) -> None:
    put(http, "b", operator="best")
    for score in (100, 50, 30):
        run(http, "b", "ada", score, clientVersion=str(score))
    before = stored(world, "b")
    first = applied(http, world, "b", clientVersion="100")
    second = applied(http, world, "b", to=world.value("SELECT max(accepted_at) FROM ledger").isoformat())
    assert rows(world, "b")["ada"][0] == 30
    undone(http, world, first)
    assert rows(world, "b")["ada"][0] == 30, "the second one has it, too"
    undone(http, world, second)
    assert stored(world, "b") == before
    world.carry_everything()
    assert [read(http, one)["changed"] for one in (first, second)] == [[{"userId": "ada", "period": 1}]] * 2


def test_a_correction_is_undone_after_the_period_is_final(http: Http, world: World) -> None:
    put(http, "week", operator="best", order="asc", columns=[{"name": "moves", "order": "asc"}])
    run(http, "week", "ada", 9, columns={"moves": 1})
    run(http, "week", "bob", 7, columns={"moves": 2})
    number = applied(http, world, "week", userId="bob")
    assert http.ask("POST", f"{base('week')}/reset").status in (200, 503)
    keeper_of(world).close_periods(world.db)
    undone(http, world, number)
    board = http.get(f"{base('week')}/leaderboard/top?period=1").json["items"]
    assert [(one["userId"], one["score"], one["columns"]) for one in board] == [
        ("bob", 7, {"moves": 2}), ("ada", 9, {"moves": 1}),
    ]  # fmt: skip
    world.carry_everything()
    assert "changed" not in read(http, number)


def test_the_last_board_of_a_season_that_has_ended_is_corrected_in_both_places(world: World) -> None:
    with serving(world, "/readyz") as api, relaying(world), api.client() as http:
        put(http, "cup", operator="best", schedule={"endsAt": "2100-01-01T00:00:00Z"})
        for user, score in (("ada", 9), ("bob", 7), ("cy", 5), ("ada", 6)):
            run(http, "cup", user, score)
        eventually(lambda: len(world.board("cup")) == 3)
        world.execute("UPDATE season SET ends_at = now() - interval '1 second' WHERE season_id = 'cup'")
        eventually(lambda: events_of(world, "cup", "period.closed") == [1])
        before = stored(world, "cup")
        number = correct(http, "cup", "set", 4, to="2100-01-01T00:00:00Z").json["id"]
        until(http, number, "applied")
        for query in ("", "?period=1"):
            page = http.get(f"{base('cup')}/leaderboard/top{query}").json
            assert [(one["userId"], one["score"]) for one in page["items"]] == [("ada", 4), ("bob", 4), ("cy", 4)]
        assert http.ask("DELETE", f"{PATH}/{number}").status == 202
        until(http, number, "undone")
        assert stored(world, "cup") == before and world.board("cup") == world.expected("cup")
        assert events_of(world, "cup", "period.corrected") == [1, 1]


def test_one_that_is_withdrawn_amid_its_application_is_not_applied(http: Http, world: World) -> None:
    submit(http, "s", "ada", delta=1)
    number = correct(http, "s", userId="ada").json["id"]
    (wanted,) = list_open(world.db)
    assert http.ask("DELETE", f"{PATH}/{number}").status == 202
    assert not carry_out(world.db, wanted, lambda: True)
    assert rows(world, "s") == {"ada": (1, 1)} and read(http, number)["state"] == "undone"


def test_one_that_is_not_applied_yet_is_withdrawn(http: Http, world: World) -> None:
    submit(http, "s", "ada", delta=1)
    number = correct(http, "s", userId="ada").json["id"]
    assert http.ask("DELETE", f"{PATH}/{number}").json == {"id": number, "state": "undone", "affected": 1}
    assert list_open(world.db) == [] and rows(world, "s") == {"ada": (1, 1)}


def test_players_whom_boards_do_not_show_are_in_no_rank_of_a_preview(http: Http, world: World) -> None:
    put(http, "b", operator="best", schedule=GRID)
    for user, score in (("ada", 90), ("bob", 80), ("cy", 70), ("dee", 60)):
        run(http, "b", user, score, clientVersion="1")
    for user in ("ada", "cy"):
        restrict(world, "hide", user)
        hint(world, user)
    expected = [{"userId": "bob", "period": 1, "rankBefore": 1, "rankAfter": None},
                {"userId": "dee", "period": 1, "rankBefore": 2, "rankAfter": None}]  # fmt: skip
    found = correct(http, "b", query="?preview=true", clientVersion="1").json
    assert found == {"affected": 4, "changes": expected}
    end_now(world, "b")
    keeper = keeper_of(world)
    keeper.turn_seasons(world.db)
    keeper.close_periods(world.db)
    assert correct(http, "b", query="?preview=true", clientVersion="1").json == found
    assert correct(http, "b", "set", 5, query="?preview=true", userId="bob").json["changes"] == [
        {"userId": "bob", "period": 1, "rankBefore": 1, "rankAfter": 2}
    ]
    applied(http, world, "b", userId="bob")
    (told,) = world.rows("SELECT data FROM event WHERE kind = 'period.corrected'")
    assert json.loads(told[0])["players"] == 1
    assert http.get(f"{base('b')}/leaderboard/top?period=1").json["items"][0]["userId"] == "dee"


@pytest.mark.parametrize("older", [0, 5, 10, 25])
def test_its_hints_are_one_batch_however_many_they_are(http: Http, world: World, older: int) -> None:
    users = [f"p{n:02}" for n in range(30)]
    for user in users:
        submit(http, "s", user, delta=7)
    world.carry_everything()
    voided = world.value("SELECT clock_timestamp()").isoformat()
    for user in users:
        submit(http, "s", user, delta=100)
    world.carry_everything()
    for n in range(older):
        submit(http, "s", f"new {n}", delta=1)
    number = applied(http, world, "s", from_=voided, to=world.value("SELECT clock_timestamp()").isoformat())
    session, batches = world.session(limit=10), 0
    while world.counts()["outbox"]:
        assert read(http, number)["state"] == "running"
        shown = {score for user, score, _ in world.board("s") if user in users}
        assert shown == {107}, "all or none"
        relay_batch(session, partition_of("s"))
        batches += 1
    assert {score for user, score, _ in world.board("s") if user in users} == {7}
    assert read(http, number)["state"] == "applied" and batches == older // 10 + 1
    assert world.board("s") == world.expected("s")
