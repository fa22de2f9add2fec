"""Checks settings against each other; each one alone was checked when its text was parsed."""

from __future__ import annotations

import re
from importlib.util import find_spec

from board.config.binds import address, check_address
from board.config.settings import Settings
from board.errors import InvalidSetting


def check(settings: Settings) -> None:
    """Raise `InvalidSetting` for a combination that cannot work, or that is surely a mistake."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", settings.redis_prefix):
        raise InvalidSetting("LEADERBOARD_REDIS_PREFIX must be 1 to 64 letters, digits, '_', '-' or '.'")
    check_address("LEADERBOARD_BIND", settings.bind)
    if settings.admin_bind:
        check_address("LEADERBOARD_ADMIN_BIND", settings.admin_bind)
        (one, one_port), (other, other_port) = (address(bind) or (bind, None) for bind in settings.binds)
        # The service tells the two apart by the port: one address may stand for many.
        if one_port == other_port and (one_port is not None or one == other):
            raise InvalidSetting("LEADERBOARD_ADMIN_BIND must have another port or path than LEADERBOARD_BIND")
    for name, bind in (
        ("LEADERBOARD_METRICS_BIND", settings.metrics_bind),
        ("LEADERBOARD_RELAY_METRICS_BIND", settings.relay_metrics_bind),
    ):
        if bind and not re.fullmatch(r".+:[0-9]{1,5}", bind):
            raise InvalidSetting(f"{name} must be host:port, not {bind[:60]!r}")
    if settings.auth == "open" and not settings.loopback and settings.open_to_the_world != "yes":
        raise InvalidSetting(
            f"LEADERBOARD_AUTH=open would let every client that reaches {settings.bind} write and reset every board; "
            "bind to loopback, use keys, or set LEADERBOARD_OPEN_TO_THE_WORLD=yes to allow it"
        )
    for name, origins in (("CORS", settings.origins), ("EMBED", settings.embed)):
        for origin in origins:
            if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[a-z0-9.\[\]:-]+", origin):
                raise InvalidSetting(
                    f"LEADERBOARD_{name}_ORIGINS must list origins such as https://play.example, not {origin[:60]!r}"
                )
    if settings.auth == "open" and (settings.limit_key or settings.limit_player):
        raise InvalidSetting("LEADERBOARD_LIMIT_KEY and LEADERBOARD_LIMIT_PLAYER need LEADERBOARD_AUTH=keys")
    check_tokens(settings)
    if settings.traces == "otlp" and not installed("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
        raise InvalidSetting(
            "LEADERBOARD_TRACES=otlp needs OpenTelemetry's packages: pip install 'leaderboard-server[otel]'"
        )
    if settings.redis_url and not re.match(r"(rediss?(\+sentinel)?|unix)://", settings.redis_url):
        raise InvalidSetting("REDIS_URL must start with redis://, rediss://, unix:// or redis+sentinel://")


def installed(*modules: str) -> bool:
    """True if all of these modules can be imported."""
    try:
        return all(find_spec(module) is not None for module in modules)
    except ModuleNotFoundError:
        return False


def check_tokens(s: Settings) -> None:
    """Raise `InvalidSetting` unless players' tokens are off, or all that verifies them is set."""
    given = {"ISSUER": s.token_issuer, "AUDIENCE": s.token_audience, "SECRET": s.token_secret, "JWKS": s.token_jwks}
    if not s.token_algorithm:
        for name, value in given.items():
            if value:
                raise InvalidSetting(f"LEADERBOARD_TOKEN_{name} needs LEADERBOARD_TOKEN_ALGORITHM")
        return
    needed, useless = ("SECRET", "JWKS") if s.token_algorithm == "HS256" else ("JWKS", "SECRET")
    for name in ("ISSUER", "AUDIENCE", needed):
        if not given[name]:
            raise InvalidSetting(f"LEADERBOARD_TOKEN_ALGORITHM={s.token_algorithm} needs LEADERBOARD_TOKEN_{name}")
    if given[useless]:
        # Never both: a public key that is used as a shared secret lets anyone forge tokens (RFC 8725, section 2.1).
        raise InvalidSetting(f"LEADERBOARD_TOKEN_{useless} does not go with {s.token_algorithm}")
    if s.token_secret and len(s.token_secret.encode()) < 32:
        raise InvalidSetting("LEADERBOARD_TOKEN_SECRET must have 32 bytes or more")
    if re.match(r"http://(?!(127\.0\.0\.1|\[::1\]|localhost)[:/])", s.token_jwks):
        raise InvalidSetting("LEADERBOARD_TOKEN_JWKS must be a file or https: over plain http the keys can be forged")
