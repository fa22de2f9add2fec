"""The connection string, and the first statement of a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg import conninfo

from board.errors import InvalidSetting
from board.pg.connections import PINNED, dsn, find_refusal, make_first_statement


def test_options_of_the_url_win_but_for_name_and_encoding() -> None:
    url = "postgresql://h/d?connect_timeout=2&options=-csearch_path%3Dx&application_name=mine&client_encoding=latin1"
    found = conninfo.conninfo_to_dict(dsn(url, "leaderboard-x"))
    assert (found["connect_timeout"], found["options"]) == ("2", "-csearch_path=x")
    assert (found["application_name"], found["client_encoding"]) == ("leaderboard-x", "UTF8")


def test_without_options_in_the_url_there_are_none() -> None:
    """An empty value, which libpq takes before PGOPTIONS."""
    assert conninfo.conninfo_to_dict(dsn("postgresql://h/d", "x"))["options"] == ""


def test_a_silent_network_is_noticed_by_the_kernel() -> None:
    """Within ten seconds for bytes without an acknowledgement, within 25 for an idle connection."""
    found = conninfo.conninfo_to_dict(dsn("postgresql://h/d", "x"))
    assert (found["connect_timeout"], found["tcp_user_timeout"]) == ("5", "10000")
    assert [found[f"keepalives_{name}"] for name in ("idle", "interval", "count")] == ["10", "5", "3"]


@pytest.mark.parametrize("url", ["", "postgresql://h/d?no_such_option=1"])
def test_what_is_no_connection_string_is_an_invalid_setting(url: str) -> None:
    with pytest.raises(InvalidSetting, match=r"^DATABASE_URL"):
        dsn(url, "x")


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The environment of a process; libpq's judgement of it is made once a process."""
    find_refusal.cache_clear()
    yield monkeypatch
    find_refusal.cache_clear()


REFUSED = {
    "PGSSLMODE": "nonsense",
    "PGSSLMINPROTOCOLVERSION": "nonsense",
    "PGTARGETSESSIONATTRS": "nonsense",
    "PGCHANNELBINDING": "nonsense",
    "PGGSSENCMODE": "nonsense",
    "PGSERVICE": "no such service",
    "PGPORT": "65536",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_variable_with_a_value_that_libpq_refuses_is_an_invalid_setting(
    variables: pytest.MonkeyPatch, name: str
) -> None:
    variables.setenv(name, REFUSED[name])
    with pytest.raises(InvalidSetting, match=r"^DATABASE_URL or a PG\* variable has a value .*: .*") as caught:
        dsn("postgresql://h/d", "x")
    assert REFUSED[name] in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("option", ["sslmode=nonsense", "port=abc", "keepalives_idle=often", "port=5432,nonsense"])
def test_so_is_such_an_option_of_the_url(option: str) -> None:
    with pytest.raises(InvalidSetting, match="that libpq refuses"):
        dsn(f"postgresql:///d?host=h&{option}", "x")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h1:5432,h2:5433/d?target_session_attrs=read-write&sslmode=verify-full&sslrootcert=/nowhere",
        "postgresql:///d?host=/nowhere&requirepeer=postgres",
        "postgresql://no.such.host.invalid/d",
    ],
)
def test_no_server_is_asked(url: str) -> None:
    assert conninfo.conninfo_to_dict(dsn(url, "x"))["application_name"] == "x"


def test_a_host_of_the_url_is_not_led_elsewhere(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("PGHOSTADDR", "192.0.2.1")
    assert conninfo.conninfo_to_dict(dsn("postgresql://h/d", "x"))["hostaddr"] == ""
    assert "hostaddr" not in conninfo.conninfo_to_dict(dsn("postgresql:///d", "x"))
    (only,) = conninfo.conninfo_attempts(conninfo.conninfo_to_dict(dsn("postgresql://127.0.0.1/d", "x")))
    assert "192.0.2.1" not in str(only)


@pytest.mark.parametrize(
    ("version", "missing"),
    [
        (13_00_00, {"idle_session_timeout", "transaction_timeout"}),
        (14_00_00, {"transaction_timeout"}),
        (16_00_11, {"transaction_timeout"}),
        (17_00_00, set()),
    ],
)
def test_a_server_gets_the_settings_that_it_knows(version: int, missing: set[str]) -> None:
    statement, parameters = make_first_statement(version, None)
    assert set(PINNED) - set(parameters[::2]) == missing
    assert statement.count(b"set_config") * 2 == len(parameters) == statement.count(b"%s")


def test_settings_of_the_caller_go_before_ours() -> None:
    _, parameters = make_first_statement(18_00_00, {"statement_timeout": "5s", "jit": "off"})
    pairs = dict(zip(parameters[::2], parameters[1::2], strict=True))
    assert pairs == PINNED | {"statement_timeout": "5s", "jit": "off"}
