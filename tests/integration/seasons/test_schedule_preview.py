"""A schedule is tried before a season has it: what is shown then is what the season gets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.http import JSON, Answer, Http, base, bearer
from support.processes import Api

PATH = "/v1/schedules/preview"


def preview(http: Http, body: Any, headers: dict[str, str] | None = None) -> Answer:
    return http.ask("POST", PATH, json.dumps(body).encode(), {**JSON, **(headers or {})})


@pytest.mark.parametrize(
    "schedule",
    [
        {"cron": "0 0 * * MON", "timeZone": "Asia/Kathmandu"},
        {"every": "P14D", "startsAt": "2020-01-01T00:00:00Z"},
        {"endsAt": "2199-01-01T00:00:00+03:00"},
    ],
)
def test_a_season_gets_the_ends_that_were_shown(http: Http, season: str, schedule: dict[str, str]) -> None:
    shown = preview(http, {"schedule": schedule})
    assert shown.status == 200, shown.body
    ends = [one["at"] for one in shown.json["ends"]]
    assert http.ask("GET", base(season)).status == 404, "nothing was changed"
    made = http.ask("PUT", base(season), json.dumps({"schedule": schedule}).encode(), JSON).json
    assert [made["period"]["endsAt"], made["nextEndsAt"]] == [*ends, None][:2]


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        ({"schedule": {"cron": "0 0 30 2 *", "timeZone": "UTC"}}, "invalid-schedule", "never comes"),
        ({"schedule": {"cron": "0 0 * * *", "timeZone": "Mars/Olympus"}}, "invalid-schedule", "no IANA time zone"),
        ({"schedule": {}}, "invalid-schedule", "it has nothing"),
        ({"schedule": None}, "invalid-body", "Expected `object`"),
        ({"schedule": {"endsAt": "tomorrow"}}, "invalid-body", "$.schedule.endsAt"),
        ({"opensAt": None}, "invalid-body", "schedule"),
        ({"schedule": {"cron": "0 0 * * *", "timeZone": "UTC"}, "more": 1}, "invalid-body", "more"),
    ],
)
def test_one_that_never_ends_a_period_is_refused_in_words(http: Http, body: Any, code: str, told: str) -> None:
    answer = preview(http, body)
    assert (answer.status, answer.json["code"]) == (400, code)
    assert told in answer.json["detail"]


@pytest.mark.parametrize("opens_at", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"])
def test_a_season_opens_at_a_time_that_every_zone_has(http: Http, season: str, opens_at: str) -> None:
    answer = http.ask("PUT", base(season), json.dumps({"opensAt": opens_at}).encode(), JSON)
    assert (answer.status, answer.json["code"]) == (400, "invalid-season"), answer.body
    assert answer.json["detail"] == "opensAt is out of range"


def test_only_an_administrator_tries_schedules(guarded: Api) -> None:
    body = {"schedule": {"cron": "0 0 * * MON", "timeZone": "UTC"}}
    reader, operator = guarded.world.key("read", "submit"), guarded.world.key("admin")
    guarded.until_known(reader)
    guarded.until_known(operator)
    with guarded.client() as http:
        assert preview(http, body).status == 401
        assert preview(http, body, bearer(reader)).status == 403
        assert preview(http, body, bearer(operator)).status == 200
