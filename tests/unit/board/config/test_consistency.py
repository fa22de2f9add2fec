"""Settings against each other: a combination that cannot work, or lets too many in, is refused by name."""

from __future__ import annotations

import sys

import pytest

from board.config.consistency import installed
from board.config.load import load
from board.errors import InvalidSetting

SECRET = {
    "TOKEN_ALGORITHM": "HS256",
    "TOKEN_ISSUER": "https://issuer.example",
    "TOKEN_AUDIENCE": "boards",
    "TOKEN_SECRET": "s" * 32,
}
KEY_SET = {**SECRET, "TOKEN_ALGORITHM": "ES256", "TOKEN_SECRET": "", "TOKEN_JWKS": "/etc/keys.json"}


def refusal(**members: str) -> str:
    """The text of the refusal; empty if the settings will do."""
    try:
        load({name if name == "REDIS_URL" else f"LEADERBOARD_{name}": value for name, value in members.items()})
    except InvalidSetting as error:
        return str(error)
    return ""


@pytest.mark.parametrize("prefix", ["a", "x" * 64, "A-z_0.9"])
def test_a_prefix_is_of_letters_digits_and_three_signs(prefix: str) -> None:
    assert refusal(REDIS_PREFIX=prefix) == ""


SAME = "LEADERBOARD_ADMIN_BIND must have another port or path than LEADERBOARD_BIND"


@pytest.mark.parametrize(
    ("bind", "admin", "told"),
    [
        ("127.0.0.1:80", "127.0.0.1:81", ""),
        ("127.0.0.1:81", "127.0.0.1:80", ""),
        ("127.0.0.1:80", "127.0.0.1:80", SAME),
        # One address may stand for many, and the service sees only the port.
        ("0.0.0.0:80", "127.0.0.1:80", SAME),
        ("127.0.0.1:80", "[::1]:80", SAME),
        ("unix:/run/a.sock", "unix:/run/b.sock", ""),
        ("unix:/run/b.sock", "unix:/run/a.sock", ""),
        ("unix:/run/a.sock", "unix:/run/a.sock", SAME),
        ("unix:/run/a.sock", "127.0.0.1:80", ""),
        ("127.0.0.1:80", "unix:/run/a.sock", ""),
        ("127.0.0.1:80", "127.0.0.1", "LEADERBOARD_ADMIN_BIND must be host:port or unix:/path, not '127.0.0.1'"),
    ],
)
def test_the_address_of_operators_differs_by_its_port_or_path(bind: str, admin: str, told: str) -> None:
    assert refusal(BIND=bind, ADMIN_BIND=admin) == told


@pytest.mark.parametrize("name", ["METRICS_BIND", "RELAY_METRICS_BIND"])
def test_metrics_have_a_host_and_a_port(name: str) -> None:
    assert refusal(**{name: "127.0.0.1:9100"}) == refusal(**{name: ""}) == ""
    long = "x" * 61
    for bind in ("9100", ":9100", "h:", "h:100000", "unix:/run/m.sock", long):
        assert refusal(**{name: bind}) == f"LEADERBOARD_{name} must be host:port, not {bind[:60]!r}"


def test_only_an_open_server_is_kept_to_its_machine() -> None:
    assert refusal(AUTH="keys", BIND="192.0.2.1:80") == refusal(AUTH="open", BIND="127.0.0.1:80") == ""
    assert refusal(AUTH="open", BIND="127.0.0.1:80", ADMIN_BIND="192.0.2.1:81").startswith("LEADERBOARD_AUTH=open")
    assert refusal(AUTH="open", BIND="192.0.2.1:80", OPEN_TO_THE_WORLD="yes") == ""
    assert "reaches 192.0.2.1:80 write" in refusal(AUTH="open", BIND="192.0.2.1:80", OPEN_TO_THE_WORLD="no")


@pytest.mark.parametrize("name", ["CORS_ORIGINS", "EMBED_ORIGINS"])
def test_origins_have_a_scheme_and_a_host(name: str) -> None:
    for origins in ("*", "https://play.example", "https://play.example:8443, app://game", "http://[::1]:80"):
        assert refusal(**{name: origins}) == ""
    long = "x" * 61
    for origin in ("play.example", "https://play.example/", "https://", "!", "**", "0://a", "~", long):
        text = f"LEADERBOARD_{name} must list origins such as https://play.example, not {origin[:60]!r}"
        assert refusal(**{name: f"https://play.example,{origin}"}) == text


@pytest.mark.parametrize("name", ["LIMIT_KEY", "LIMIT_PLAYER"])
def test_quotas_need_keys(name: str) -> None:
    assert refusal(**{name: "5"}, AUTH="keys") == refusal(AUTH="open") == ""
    told = "LEADERBOARD_LIMIT_KEY and LEADERBOARD_LIMIT_PLAYER need LEADERBOARD_AUTH=keys"
    assert refusal(**{name: "5"}, AUTH="open") == told


def test_traces_for_a_collector_need_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {refusal(TRACES=kind) for kind in ("off", "log", "otlp")} == {""}
    for package in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
        with monkeypatch.context() as change:
            # As an entry of the table, None is a module that is not there.
            change.setitem(sys.modules, package, None)
            assert refusal(TRACES="off") == refusal(TRACES="log") == ""
            assert refusal(TRACES="otlp").startswith("LEADERBOARD_TRACES=otlp needs OpenTelemetry's packages: pip")


def test_packages_are_looked_for_without_loading_them() -> None:
    assert installed("json", "xml.dom") and installed()
    assert not installed("json", "no_such_package") and not installed("no_such_package.part", "json")


@pytest.mark.parametrize("scheme", ["redis", "rediss", "redis+sentinel", "rediss+sentinel", "unix"])
def test_redis_has_an_address_of_a_known_kind(scheme: str) -> None:
    assert refusal(REDIS_URL=f"{scheme}://h/a") == ""
    assert refusal(REDIS_URL=f"x{scheme}://h/a").startswith("REDIS_URL must start with redis://")


@pytest.mark.parametrize("name", ["ISSUER", "AUDIENCE", "SECRET", "JWKS"])
def test_nothing_of_tokens_is_set_without_their_algorithm(name: str) -> None:
    told = f"LEADERBOARD_TOKEN_{name} needs LEADERBOARD_TOKEN_ALGORITHM"
    assert refusal(**{f"TOKEN_{name}": "x" * 32}) == told


@pytest.mark.parametrize(
    ("members", "change", "told"),
    [
        (SECRET, {}, ""),
        (KEY_SET, {}, ""),
        (KEY_SET, {"TOKEN_ALGORITHM": "EdDSA"}, ""),
        (KEY_SET, {"TOKEN_ALGORITHM": "RS256"}, ""),
        (SECRET, {"TOKEN_ISSUER": ""}, "LEADERBOARD_TOKEN_ALGORITHM=HS256 needs LEADERBOARD_TOKEN_ISSUER"),
        (SECRET, {"TOKEN_AUDIENCE": ""}, "LEADERBOARD_TOKEN_ALGORITHM=HS256 needs LEADERBOARD_TOKEN_AUDIENCE"),
        (SECRET, {"TOKEN_SECRET": ""}, "LEADERBOARD_TOKEN_ALGORITHM=HS256 needs LEADERBOARD_TOKEN_SECRET"),
        (KEY_SET, {"TOKEN_JWKS": ""}, "LEADERBOARD_TOKEN_ALGORITHM=ES256 needs LEADERBOARD_TOKEN_JWKS"),
        # A public key that is used as a shared secret would let anyone forge tokens.
        (SECRET, {"TOKEN_JWKS": "/etc/keys.json"}, "LEADERBOARD_TOKEN_JWKS does not go with HS256"),
        (KEY_SET, {"TOKEN_SECRET": "s" * 32}, "LEADERBOARD_TOKEN_SECRET does not go with ES256"),
        (SECRET, {"TOKEN_SECRET": "s" * 31}, "LEADERBOARD_TOKEN_SECRET must have 32 bytes or more"),
        (SECRET, {"TOKEN_SECRET": "s" * 33}, ""),
        (SECRET, {"TOKEN_SECRET": "\u00e4" * 16}, ""),
        (KEY_SET, {"TOKEN_JWKS": "https://issuer.example/keys"}, ""),
        (KEY_SET, {"TOKEN_JWKS": "http://[::1]:80/keys"}, ""),
        (
            KEY_SET,
            {"TOKEN_JWKS": "http://issuer.example/keys"},
            "LEADERBOARD_TOKEN_JWKS must be a file or https: over plain http the keys can be forged",
        ),
    ],
)
def test_tokens_have_all_that_verifies_them(members: dict[str, str], change: dict[str, str], told: str) -> None:
    assert refusal(**{**members, **change}) == told
