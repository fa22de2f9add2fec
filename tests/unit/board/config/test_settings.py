"""Settings: read from the environment only, refused with a reason, shown without secrets, documented completely."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.repository import REPOSITORY

from board.config.load import load
from board.config.settings import Settings, default_data_dir, environment, setting_specs
from board.config.settings_page import markdown
from board.config.shown import mask, shown
from board.errors import InvalidSetting


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    s = load({})
    assert (s.database_url, s.redis_url, s.bind) == ("", "", "127.0.0.1:8080")
    assert (s.write_deadline_ms, s.read_deadline_ms, s.probe_deadline_ms) == (800, 300, 200)
    assert 500 <= s.relay_batch <= 5_000
    assert s.relay_idle_ms == 50
    assert s.impl == "auto"
    assert s.redis_prefix == "lb"


def test_an_empty_variable_is_as_if_it_were_not_set() -> None:
    assert load({"LEADERBOARD_WORKERS": " ", "DATABASE_URL": ""}) == load({})


def test_a_misspelt_variable_is_refused_with_a_suggestion() -> None:
    with pytest.raises(InvalidSetting, match="unknown setting LEADERBOARD_WORKER; did you mean LEADERBOARD_WORKERS"):
        load({"LEADERBOARD_WORKER": "2"})


def test_an_unknown_variable_that_resembles_nothing_is_refused_too() -> None:
    with pytest.raises(InvalidSetting, match="unknown setting LEADERBOARD_ZZZZZZZZ; `leaderboard settings`"):
        load({"LEADERBOARD_ZZZZZZZZ": ""})


def test_variables_of_others_are_nobodys_business() -> None:
    assert load({"PATH": "/bin", "LEADERBOARDS": "1"}) == load({})


NUMBERS = sorted((field, spec) for field, spec in setting_specs().items() if spec.low is not None)


@pytest.mark.parametrize("field", [field for field, _ in NUMBERS])
def test_numbers_have_both_bounds_and_they_hold(field: str) -> None:
    spec = setting_specs()[field]
    assert spec.low is not None and spec.high is not None
    for good in (int(spec.low), int(spec.high)):
        assert getattr(load({spec.env: str(good)}), field) == good
    for bad in (int(spec.low) - 1, int(spec.high) + 1):
        with pytest.raises(InvalidSetting, match=f"{spec.env} must be between"):
            load({spec.env: str(bad)})


@pytest.mark.parametrize("raw", ["two", "1.5", "1e3", "0x10", "\u0661", "9" * 40, "1_000"])
def test_what_is_no_whole_number_is_refused(raw: str) -> None:
    with pytest.raises(InvalidSetting, match="LEADERBOARD_WORKERS must be a whole number"):
        load({"LEADERBOARD_WORKERS": raw})


ISSUER = {"LEADERBOARD_TOKEN_ISSUER": "i", "LEADERBOARD_TOKEN_AUDIENCE": "a"}
JWKS = {**ISSUER, "LEADERBOARD_TOKEN_JWKS": "/etc/keys.json"}
COMPANIONS = {
    "HS256": {**ISSUER, "LEADERBOARD_TOKEN_SECRET": "x" * 32},
    **dict.fromkeys(("RS256", "ES256", "EdDSA"), JWKS),
}
"""What has to be set with a choice."""


@pytest.mark.parametrize("field", [field for field, spec in setting_specs().items() if spec.choices])
def test_choices_hold(field: str) -> None:
    spec = setting_specs()[field]
    for choice in spec.choices:
        assert getattr(load({**COMPANIONS.get(choice, {}), spec.env: choice}), field) == choice
    with pytest.raises(InvalidSetting, match=f"{spec.env} must be one of {', '.join(spec.choices)}"):
        load({spec.env: "neither"})


@pytest.mark.parametrize("bind", ["8080", "localhost", ":80", "h:0", "h:65536", "h:http", "unix:", "h:"])
def test_an_address_that_is_none_is_refused(bind: str) -> None:
    with pytest.raises(InvalidSetting, match="LEADERBOARD_BIND"):
        load({"LEADERBOARD_BIND": bind})


@pytest.mark.parametrize("bind", ["127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1", "unix:/run/lb.sock"])
def test_open_is_allowed_where_nobody_else_comes(bind: str) -> None:
    assert load({"LEADERBOARD_AUTH": "open", "LEADERBOARD_BIND": bind}).auth == "open"


@pytest.mark.parametrize("bind", ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "localhost.example.org:1", "*:1"])
def test_open_elsewhere_takes_a_second_word(bind: str) -> None:
    env = {"LEADERBOARD_AUTH": "open", "LEADERBOARD_BIND": bind}
    with pytest.raises(InvalidSetting, match="LEADERBOARD_OPEN_TO_THE_WORLD=yes"):
        load(env)
    assert load({**env, "LEADERBOARD_OPEN_TO_THE_WORLD": "yes"}).auth == "open"
    assert load({"LEADERBOARD_BIND": bind}).auth == "keys"


def test_what_is_hidden_is_not_shown_at_all() -> None:
    s = load({"LEADERBOARD_KEY": "lb_whatever"})
    assert dict(shown(s))["LEADERBOARD_KEY"] == "******"
    assert load(environment(s)) == s


def test_addresses() -> None:
    assert load({"LEADERBOARD_BIND": "[::1]:81"}).tcp == ("::1", 81)
    assert load({"LEADERBOARD_BIND": "unix:/run/lb.sock"}).tcp is None


@pytest.mark.parametrize("prefix", ["a{b}", "a b", "a:b", "*", "x" * 65, "\u00e4"])
def test_a_prefix_that_would_break_keys_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidSetting, match="LEADERBOARD_REDIS_PREFIX"):
        load({"LEADERBOARD_REDIS_PREFIX": prefix})


def test_a_redis_url_of_another_kind_is_refused_without_showing_it() -> None:
    with pytest.raises(InvalidSetting, match="REDIS_URL must start with") as caught:
        load({"REDIS_URL": "http://:hunter2@host"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:hunter2@host:5432/db",
        "postgresql://host/db?user=ada&password=hunter2",
        "postgresql://host/db?sslpassword=hunter2&user=ada",
        "host=h user=ada password=hunter2",
        "password = 'hunter2 and more' host=h",
        r"password='hunter2\' hunter2' host=h",
        "redis://:hunter2@host:6379/0",
        "redis://ada:hunter2@host",
        "redis://ada:hunter2%40x@host",
        "redis://host/0?password=hunter2",
        "unix://ada:hunter2@/run/redis.sock",
        "postgresql://ada:hunter2@h1,h2/db",
        "postgresql://ada:pa:hunter2@host/db",
    ],
)
def test_passwords_are_hidden(url: str) -> None:
    assert "hunter2" not in mask(url)
    assert "******" in mask(url)


def test_what_is_shown_at_start_has_every_setting_and_no_secret() -> None:
    s = load({"DATABASE_URL": "postgresql://ada:hunter2@h/db", "REDIS_URL": "redis://:hunter2@h"})
    rows = dict(shown(s))
    assert list(rows) == [spec.env for spec in setting_specs().values()]
    assert "hunter2" not in repr(rows)
    assert rows["DATABASE_URL"] == "postgresql://ada:******@h/db"


def test_settings_survive_the_way_to_a_child_process() -> None:
    given = {
        "DATABASE_URL": "postgresql://ada:hunter2@h/db?options=-c%20search_path%3Dx",
        "REDIS_URL": "unix:///run/r.sock?db=3",
        "LEADERBOARD_DATA_DIR": "/srv/lb data",
        "LEADERBOARD_BIND": "[::1]:9000",
        "LEADERBOARD_LOG_LEVEL": "debug",
        **{spec.env: str(int(spec.high or 0)) for _, spec in NUMBERS},
    }
    s = load(given)
    assert load(environment(s)) == s
    assert load(environment(load({}))) == load({})


def test_every_setting_comes_from_its_variable() -> None:
    assert len({spec.env for spec in setting_specs().values()}) == len(Settings.__struct_fields__)
    assert all(
        spec.env in ("DATABASE_URL", "REDIS_URL") or spec.env.startswith("LEADERBOARD_")
        for spec in setting_specs().values()
    )


def test_the_data_directory_follows_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_data_dir({}) == Path("/var/lib/leaderboard")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert default_data_dir({"XDG_DATA_HOME": "/x"}) == Path("/x/leaderboard")
    monkeypatch.setenv("HOME", "/home/ada")
    assert default_data_dir({}) == Path("/home/ada/.local/share/leaderboard")


def test_the_document_is_written_from_the_code() -> None:
    assert (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8") == markdown()


def test_the_example_file_names_only_settings_that_exist() -> None:
    known = {spec.env for spec in setting_specs().values()}
    named = {
        line.lstrip("#").partition("=")[0]
        for line in (REPOSITORY / ".env.example").read_text(encoding="utf-8").splitlines()
        if line.lstrip("#").startswith("LEADERBOARD_")
    }
    assert named and named <= known


SERVICE = {"SERVICE_HOST": "10.43.7.9", "SERVICE_PORT": "80", "SERVICE_PORT_HTTP": "80", "PORT": "tcp://10.43.7.9:80"}
PORTS = {"PORT_80_TCP": "tcp://[fd00::1]:80", "PORT_80_TCP_PROTO": "tcp", "PORT_80_TCP_PORT": "80"}
LINK = {"NAME": "/web/leaderboard", "PORT": "udp://172.17.0.5:53", "PORT_53_UDP_ADDR": "172.17.0.5", "ENV_PATH": "/bin"}


@pytest.mark.parametrize("service", ["LEADERBOARD", "LEADERBOARD_API", "LEADERBOARD_RELAY_2"])
@pytest.mark.parametrize("given", [SERVICE, PORTS, LINK])
def test_variables_of_a_service_or_a_link_are_let_through(service: str, given: dict[str, str]) -> None:
    assert load({f"{service}_{name}": value for name, value in given.items()}) == load({})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEADERBOARD_PORT", "8080"),
        ("LEADERBOARD_PORT", ""),
        ("LEADERBOARD_SERVICE", "x"),
        ("LEADERBOARD_SERVICE_PORT", "http"),
        ("LEADERBOARD_SERVICE_HOST", "example.org"),
        ("LEADERBOARD_NAME", "mine"),
        ("LEADERBOARD_ENV_PATH", "/bin"),
        ("LEADERBOARD_PORT_TCP", "tcp://10.0.0.1:80"),
        ("LEADERBOARD_PORT_80_TCP_PROTOCOL", "tcp"),
    ],
)
def test_other_unknown_variables_stay_errors(name: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=f"unknown setting {name};"):
        load({name: value})


def test_a_user_without_a_home_has_the_directory_of_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000650000)
    monkeypatch.setattr(os, "getuid", lambda: 1000650000)
    monkeypatch.delenv("HOME", raising=False)
    assert default_data_dir({}) == Path("/var/lib/leaderboard")
