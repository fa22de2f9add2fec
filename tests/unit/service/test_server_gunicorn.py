"""Every option that the server gives to gunicorn is one that gunicorn knows, and takes."""

from __future__ import annotations

import pytest
from gunicorn.config import KNOWN_SETTINGS

from board.config.load import load
from board.config.settings import Settings
from board.errors import InvalidSetting
from service.server import Server, make_options


@pytest.fixture(params=["text", "json"])
def settings(request: pytest.FixtureRequest) -> Settings:
    return load(
        {
            "DATABASE_URL": "postgresql://x@localhost/x",
            "REDIS_URL": "redis://localhost",
            "LEADERBOARD_LOG_FORMAT": request.param,
            "LEADERBOARD_MAX_REQUESTS": "5000",
        }
    )


def test_gunicorn_takes_every_option(settings: Settings) -> None:
    configuration = Server(settings).cfg
    options = make_options(settings)
    plain = {
        name: value for name, value in options.items() if isinstance(value, int) and name in configuration.settings
    }
    assert plain["max_requests"] == 5000 and plain["control_socket_disable"] is True
    assert {name: configuration.settings[name].get() for name in plain} == plain
    assert set(options) <= set(configuration.settings)


def test_an_option_that_gunicorn_lost_stops_the_start(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a release of gunicorn that renamed one: without the check it was left out without a word."""
    rest = [setting for setting in KNOWN_SETTINGS if setting.name != "max_requests_jitter"]
    monkeypatch.setattr("service.server.KNOWN_SETTINGS", rest)
    with pytest.raises(InvalidSetting, match=r"gunicorn [0-9.]+ has no option max_requests_jitter; ") as raised:
        Server(settings)
    assert "\n" not in str(raised.value)
