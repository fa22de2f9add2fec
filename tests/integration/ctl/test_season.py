"""`leaderboard season`: seasons defined, shown and listed on the command line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.processes import run
from support.world import World

from ctl.commands.season import COMMAND, make_patch
from service.seasons.types import Definition


def ask(world: World, *words: str, status: int = 0) -> str:
    """The output of one command."""
    done = run(["season", *words], world.environment())
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


def test_a_season_is_defined_and_changed_and_shown(world: World) -> None:
    made = json.loads(ask(world, "set", "lap", "--operator", "best", "--order", "asc", "--min", "1", "--json"))
    assert (made["operator"], made["order"], made["bounds"]) == ("best", "asc", {"min": 1, "max": 2**63 - 1})
    ask(world, "set", "lap", "--title", "Best lap", "--metadata", '{"a": 1}', "--unit", "s", "--decimals", "3")
    ask(
        world,
        "set",
        "lap",
        "--max",
        "9",
        "--opens-at",
        "2026-12-01T10:00:00+01:00",
        "--format",
        "time",
        "--visibility",
        "public",
    )
    shown = json.loads(ask(world, "show", "lap", "--json"))
    assert shown == {
        **made,
        "bounds": {"min": 1, "max": 9},
        "opensAt": "2026-12-01T09:00:00Z",
        "title": "Best lap",
        "metadata": {"a": 1},
        "display": {"unit": "s", "decimals": 3, "format": "time"},
        "visibility": "public",
        "period": shown["period"],
    }
    text = ask(world, "show", "lap")
    assert "Best lap" in text and "The best run counts, the lowest score first." in text
    ask(world, "set", "lap", "--columns", '[{"name":"stars"}]')
    assert "Then stars decides, the highest first." in ask(world, "show", "lap")
    assert ask(world, "set", "lap", "--metadata", "{}", "--json") and '"a"' not in ask(world, "show", "lap", "--json")


def test_a_schedule_is_set_as_a_whole_and_a_period_ended_by_hand(world: World) -> None:
    cron = {"cron": "0 0 * * MON", "timeZone": "Europe/Berlin"}
    words = ("--cron", cron["cron"], "--time-zone", cron["timeZone"], "--grace-s", "60", "--keep-periods", "4")
    made = json.loads(ask(world, "set", "weekly", *words, "--json"))
    assert (made["schedule"], made["graceS"], made["keepPeriods"]) == (cron, 60, 4)
    assert made["period"]["endsAt"] in ask(world, "show", "weekly")
    changed = json.loads(
        ask(world, "set", "weekly", "--every", "P14D", "--starts-at", "2026-01-05T00:00:00Z", "--json")
    )
    assert changed["schedule"] == {"every": "P14D", "startsAt": "2026-01-05T00:00:00Z"}
    ended = json.loads(ask(world, "reset", "weekly", "--json"))
    assert (ended["period"]["number"], ended["period"]["state"]) == (2, "open")
    assert world.value("SELECT ends_at IS NOT NULL FROM period WHERE number = 1"), "it is kept"
    world.define("once", schedule={"endsAt": "2998-01-01T00:00:00Z"})
    world.execute("UPDATE season SET ends_at = now() WHERE season_id = 'once'")
    assert "last period has ended" in ask(world, "reset", "once", status=2)


def test_feeds_are_set_and_taken_back(world: World) -> None:
    world.create("all", "high")
    fed = json.loads(ask(world, "set", "week", "--feeds", '["all","high"]', "--json"))
    assert fed["feeds"] == ["all", "high"]
    assert json.loads(ask(world, "set", "week", "--title", "Week", "--json"))["feeds"] == ["all", "high"]
    assert json.loads(ask(world, "set", "week", "--feeds", "[]", "--json"))["feeds"] == []


def test_segments_are_set_and_taken_back(world: World) -> None:
    made = json.loads(ask(world, "set", "world", "--segments", '["country","platform"]', "--json"))
    assert made["segments"] == ["country", "platform"]
    assert world.value("SELECT segments FROM season WHERE season_id = 'world'") == "country,platform"
    assert json.loads(ask(world, "set", "world", "--title", "World", "--json"))["segments"] == ["country", "platform"]
    assert json.loads(ask(world, "set", "world", "--segments", "[]", "--json"))["segments"] == []


def test_every_member_of_a_definition_has_an_option() -> None:
    (verb,) = (verb for verb in COMMAND.subcommands if verb.name == "set")
    options = [one.names[0].removeprefix("--").replace("-", "_") for one in verb.arguments]
    texts = {"metadata": "{}", "columns": "[]", "feeds": "[]", "segments": "[]"}
    assert make_patch({option: texts.get(option, "1") for option in options}).keys() == {*Definition.__struct_fields__}


def test_all_seasons_are_listed(world: World) -> None:
    world.create("b", "a")
    world.define("c", operator="last", title="C")
    listed = json.loads(ask(world, "list", "--json"))["items"]
    assert [(one["seasonId"], one["operator"]) for one in listed] == [("a", "sum"), ("b", "sum"), ("c", "last")]
    assert "last" in ask(world, "list")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["show", "none"], "there is no season 'none'"),
        (["set", "a/b", "--title", "x"], "no slash"),
        (["set", "s", "--min", "2", "--max", "1"], "bounds.min is above bounds.max"),
        (["set", "s", "--metadata", "[]"], "--metadata must be a JSON object"),
        (["set", "s", "--opens-at", "tomorrow"], "opensAt"),
        (["set", "s", "--decimals", "40"], "decimals"),
        (["set", "s", "--cron", "0 0 30 2 *", "--time-zone", "UTC"], "cron"),
        (["set", "s", "--cron", "0 0 * * *"], "timeZone"),
        (["reset", "none"], "there is no season 'none'"),
        (["set", "best", "--order", "asc"], "operator, order and columns are fixed"),
        (["set", "s", "--columns", "{}"], "--columns must be a JSON list"),
        (["set", "s", "--columns", '[{"name":"a b"}]'], "columns"),
        (["set", "s", "--feeds", "all"], "--feeds must be a JSON list"),
        (["set", "s", "--segments", "country"], "--segments must be a JSON list"),
        (["set", "s", "--segments", '["a","b","c"]'], "segments"),
        (["set", "s", "--feeds", '["none"]'], "feeds names a season that does not exist: none"),
        (["set", "best", "--feeds", '["best"]'], "a season cannot feed itself"),
    ],
)
def test_what_cannot_be_is_one_line_and_changes_nothing(world: World, words: list[str], text: str) -> None:
    world.define("best", operator="best")
    world.submit_by_rule(("best", "ada", 1, True))
    before: Any = world.rows("SELECT season_id, revision FROM season")
    line = ask(world, *words, status=2)
    assert text in line and line.count("\n") == 1
    assert world.rows("SELECT season_id, revision FROM season") == before
