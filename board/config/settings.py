"""All settings: names, defaults, ranges and meanings.

`board.config.load` reads them from the environment. ``docs/settings.md`` is written from the fields below
(``python -m board.config.settings_page``); a test compares the two.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, get_type_hints

import msgspec

from board.config.binds import address, is_local
from board.config.spec import SettingSpec


def default_data_dir(environ: Mapping[str, str] | None = None) -> Path:
    """The default data directory of the embedded servers; a user without a home has that of root."""
    env = os.environ if environ is None else environ
    if os.geteuid() != 0:
        if base := env.get("XDG_DATA_HOME"):
            return Path(base) / "leaderboard"
        # A number without an account and without HOME, as in containers: `run` says that it cannot write there.
        with suppress(RuntimeError):
            return Path.home() / ".local" / "share" / "leaderboard"
    return Path("/var/lib/leaderboard")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of every process, in the units that their names or texts give."""

    database_url: Annotated[
        str,
        SettingSpec(
            "DATABASE_URL",
            "PostgreSQL: a libpq URL or connection string. Empty: `run` starts an embedded server.",
            secret=True,
        ),
    ] = ""
    redis_url: Annotated[
        str,
        SettingSpec(
            "REDIS_URL",
            "Redis or Valkey: a `redis://`, `rediss://` or `unix://` URL, with one host or several "
            "(`redis://h1:6379,h2:6379`), or `redis+sentinel://s1:26379,s2:26379,s3:26379/NAME` (options: `db`, "
            "`username`, `password`, `sentinel_username`, `sentinel_password`, and for TLS `ssl_ca_certs`, "
            "`ssl_ca_path`, `ssl_certfile`, `ssl_keyfile`, `ssl_cert_reqs`, `ssl_check_hostname`). "
            "Empty: `run` starts an embedded server.",
            secret=True,
        ),
    ] = ""
    bind: Annotated[
        str,
        SettingSpec("LEADERBOARD_BIND", "Address of the HTTP service: `host:port` or `unix:/path`."),
    ] = "127.0.0.1:8080"
    admin_bind: Annotated[
        str,
        SettingSpec(
            "LEADERBOARD_ADMIN_BIND",
            "A second address, `host:port` or `unix:/path`. When it is set, resets and `/v1/keys` are served there "
            "only.",
        ),
    ] = ""
    auth: Annotated[
        Literal["keys", "open"],
        SettingSpec(
            "LEADERBOARD_AUTH",
            "`keys`: every request except probes and `/openapi.json` needs a key or a token. `open`: every client "
            "that reaches the address may read, submit and reset. On loopback, `run` is open unless this is set.",
            choices=("keys", "open"),
        ),
    ] = "keys"
    open_to_the_world: Annotated[
        Literal["no", "yes"],
        SettingSpec(
            "LEADERBOARD_OPEN_TO_THE_WORLD",
            "Allows `LEADERBOARD_AUTH=open` on an address that is not loopback.",
            choices=("no", "yes"),
        ),
    ] = "no"
    key: Annotated[
        str,
        SettingSpec("LEADERBOARD_KEY", "The key that `demo` sends to a server. A server does not use it.", hidden=True),
    ] = ""
    metrics_bind: Annotated[
        str,
        SettingSpec("LEADERBOARD_METRICS_BIND", "Address of the API's metrics, `host:port`. Empty: no metrics."),
    ] = ""
    relay_metrics_bind: Annotated[
        str,
        SettingSpec(
            "LEADERBOARD_RELAY_METRICS_BIND",
            "Address of the metrics of the relay pool and of the database, `host:port`. Empty: no metrics.",
        ),
    ] = ""
    limit_key: Annotated[
        int,
        SettingSpec(
            "LEADERBOARD_LIMIT_KEY",
            "Requests of one key in a window. A batch request counts as many as it has submissions. 0: no limit.",
            0,
            1_000_000,
        ),
    ] = 0
    limit_player: Annotated[
        int,
        SettingSpec(
            "LEADERBOARD_LIMIT_PLAYER",
            "Submissions for one player in a window, and requests with a token of that player. 0: no limit.",
            0,
            1_000_000,
        ),
    ] = 0
    limit_window_s: Annotated[
        int,
        SettingSpec(
            "LEADERBOARD_LIMIT_WINDOW_S",
            "The window of both limits. An empty quota is full again after this time.",
            1,
            3_600,
        ),
    ] = 10
    limit_deadline_ms: Annotated[
        int,
        SettingSpec(
            "LEADERBOARD_LIMIT_DEADLINE_MS",
            "Time for Redis to check a limit, before the request begins.",
            1,
            10_000,
        ),
    ] = 100
    limit_fail: Annotated[
        Literal["open", "closed"],
        SettingSpec(
            "LEADERBOARD_LIMIT_FAIL",
            "When Redis cannot check a limit: `open` accepts the request, `closed` answers 503.",
            choices=("open", "closed"),
        ),
    ] = "open"
    token_algorithm: Annotated[
        str,
        SettingSpec(
            "LEADERBOARD_TOKEN_ALGORITHM",
            "The only algorithm that is accepted for the signature of players' tokens (JWT). Empty: tokens are off.",
            choices=("HS256", "RS256", "ES256", "EdDSA"),
        ),
    ] = ""
    token_issuer: Annotated[
        str,
        SettingSpec("LEADERBOARD_TOKEN_ISSUER", "The required value of a token's `iss`."),
    ] = ""
    token_audience: Annotated[
        str,
        SettingSpec("LEADERBOARD_TOKEN_AUDIENCE", "The required value of a token's `aud`, or one of its values."),
    ] = ""
    token_secret: Annotated[
        str,
        SettingSpec("LEADERBOARD_TOKEN_SECRET", "For HS256: the shared secret, 32 bytes or more.", hidden=True),
    ] = ""
    token_jwks: Annotated[
        str,
        SettingSpec(
            "LEADERBOARD_TOKEN_JWKS",
            "For RS256, ES256, EdDSA: the issuer's public keys, as a file or a URL (`https`; `http` on loopback only).",
        ),
    ] = ""
    players: Annotated[
        Literal["read", "submit"],
        SettingSpec(
            "LEADERBOARD_PLAYERS",
            "Rights of a player's token. `read`: only servers submit. `submit`: the token also submits, for its own "
            "player.",
            choices=("read", "submit"),
        ),
    ] = "read"
    workers: Annotated[
        int,
        SettingSpec("LEADERBOARD_WORKERS", "gunicorn worker processes.", 1, 256),
    ] = 2
    connections: Annotated[
        int,
        SettingSpec(
            "LEADERBOARD_CONNECTIONS",
            "Connections that a worker keeps open. Past this number a new client is answered 503, and idle "
            "connections are closed.",
            1,
            1_000_000,
        ),
    ] = 4_096
    connections_per_address: Annotated[
        int,
        SettingSpec(
            "LEADERBOARD_CONNECTIONS_PER_ADDRESS",
            "Connections of one address (IPv6: of one /64) that a worker keeps open. Past this number a new one is "
            "answered 503. 0: no limit; required behind a proxy, where all clients have one address.",
            0,
            1_000_000,
        ),
    ] = 0
    streams: Annotated[
        int,
        SettingSpec(
            "LEADERBOARD_STREAMS",
            "Streams of boards that a worker keeps open. Past this number the answer is 503. Each takes a connection.",
            0,
            1_000_000,
        ),
    ] = 2_000
    streams_of_players: Annotated[
        int,
        SettingSpec(
            "LEADERBOARD_STREAMS_OF_PLAYERS",
            "Those of them with `userId`. Each change of a board costs a rank read for each player.",
            0,
            1_000_000,
        ),
    ] = 200
    receive_s: Annotated[
        int,
        SettingSpec(
            "LEADERBOARD_RECEIVE_S",
            "Time to receive the head of a request, and the longest time that its body may be behind a rate of 500 "
            "bytes a second. Bytes that came earlier give no time for later silence.",
            1,
            600,
        ),
    ] = 15
    send_s: Annotated[
        int,
        SettingSpec(
            "LEADERBOARD_SEND_S",
            "A client that reads less than 500 bytes a second of its answers for this time is disconnected.",
            1,
            600,
        ),
    ] = 30
    idle_s: Annotated[
        int,
        SettingSpec(
            "LEADERBOARD_IDLE_S",
            "A keep-alive connection is closed after this time without a request.",
            1,
            3_600,
        ),
    ] = 75
    cors_origins: Annotated[
        str,
        SettingSpec(
            "LEADERBOARD_CORS_ORIGINS",
            "Origins whose web pages may use the service, separated by commas (`https://play.example`), or `*`. On "
            "an open server, pages of other origins cannot even send a POST.",
        ),
    ] = ""
    embed_origins: Annotated[
        str,
        SettingSpec(
            "LEADERBOARD_EMBED_ORIGINS",
            "Origins whose pages may show `/embed/{sid}` in a frame, in the same form, or `*`. Empty: none but pages "
            "of this server.",
        ),
    ] = ""
    session_s: Annotated[
        int,
        SettingSpec("LEADERBOARD_SESSION_S", "Seconds after which operators sign in to `/admin` again.", 1, 604_800),
    ] = 28_800
    max_requests: Annotated[
        int,
        SettingSpec(
            "LEADERBOARD_MAX_REQUESTS",
            "A worker is replaced after about this many requests. 0: never.",
            0,
            10**9,
        ),
    ] = 0
    relays: Annotated[
        int,
        SettingSpec("LEADERBOARD_RELAYS", "Relay processes in the pool of this host.", 1, 64),
    ] = 2
    data_dir: Annotated[
        Path,
        SettingSpec(
            "LEADERBOARD_DATA_DIR",
            "Data of the embedded servers. Other commands find a running `leaderboard run` by it. Default: "
            "`/var/lib/leaderboard` for root, otherwise "
            "`$XDG_DATA_HOME/leaderboard` or `~/.local/share/leaderboard`.",
        ),
    ] = msgspec.field(default_factory=default_data_dir)
    servers: Annotated[
        Literal["auto", "system", "wheel"],
        SettingSpec(
            "LEADERBOARD_SERVERS",
            "The embedded servers that `run` starts: `system`, installed on this machine; `wheel`, from the Python "
            "packages; `auto` prefers installed ones.",
            choices=("auto", "system", "wheel"),
        ),
    ] = "auto"
    impl: Annotated[
        str,
        SettingSpec(
            "LEADERBOARD_IMPL",
            "Kernels: `c`, compiled; `python`, their pure-Python twin; `auto` takes the compiled ones if they are "
            "present.",
            choices=("auto", "c", "python"),
        ),
    ] = "auto"
    redis_prefix: Annotated[
        str,
        SettingSpec("LEADERBOARD_REDIS_PREFIX", "First part of every key in Redis: letters, digits, `_`, `-`, `.`."),
    ] = "lb"
    write_deadline_ms: Annotated[
        int,
        SettingSpec("LEADERBOARD_WRITE_DEADLINE_MS", "A submission is answered within this time.", 10, 60_000),
    ] = 800
    read_deadline_ms: Annotated[
        int,
        SettingSpec("LEADERBOARD_READ_DEADLINE_MS", "A read is answered within this time.", 10, 60_000),
    ] = 300
    probe_deadline_ms: Annotated[
        int,
        SettingSpec("LEADERBOARD_PROBE_DEADLINE_MS", "Time for each check of `/readyz`.", 10, 60_000),
    ] = 200
    seasons: Annotated[
        Literal["any", "defined"],
        SettingSpec(
            "LEADERBOARD_SEASONS",
            "`any`: the first submission to a season that does not exist creates it. `defined`: only seasons that were "
            "defined take submissions.",
            choices=("any", "defined"),
        ),
    ] = "any"
    intake_queue: Annotated[
        int,
        SettingSpec(
            "LEADERBOARD_INTAKE_QUEUE",
            "Submissions that wait for their commit in a worker. Past this number the answer is 503.",
            1,
            1_000_000,
        ),
    ] = 10_000
    intake_batch: Annotated[
        int,
        SettingSpec("LEADERBOARD_INTAKE_BATCH", "Most submissions in one statement and commit.", 1, 5_000),
    ] = 1_000
    batch_queue: Annotated[
        int,
        SettingSpec(
            "LEADERBOARD_BATCH_QUEUE",
            "Submissions of batch requests that wait in a worker. Past this number the answer is 503.",
            5_000,
            1_000_000,
        ),
    ] = 20_000
    intake_connections: Annotated[
        int,
        SettingSpec("LEADERBOARD_INTAKE_CONNECTIONS", "PostgreSQL connections of a worker's intake.", 1, 16),
    ] = 1
    idempotency_minutes: Annotated[
        int,
        SettingSpec("LEADERBOARD_IDEMPOTENCY_MINUTES", "Idempotency keys are kept at least this long.", 1, 525_600),
    ] = 1_440
    read_cache_ms: Annotated[
        int,
        SettingSpec("LEADERBOARD_READ_CACHE_MS", "A rendered top list is reused for this long. 0: never.", 0, 1_000),
    ] = 5
    relay_batch: Annotated[
        int,
        SettingSpec("LEADERBOARD_RELAY_BATCH", "Most hints that a relay takes in one batch.", 1, 50_000),
    ] = 2_000
    relay_idle_ms: Annotated[
        int,
        SettingSpec("LEADERBOARD_RELAY_IDLE_MS", "A relay without pokes looks for hints this often.", 1, 10_000),
    ] = 50
    relay_pace_ms: Annotated[
        int,
        SettingSpec(
            "LEADERBOARD_RELAY_PACE_MS",
            "Time between two batches of a partition. Under load, hints gather in it. A relay with several busy "
            "partitions takes up to four times as long.",
            0,
            1_000,
        ),
    ] = 4
    relay_check_ms: Annotated[
        int,
        SettingSpec(
            "LEADERBOARD_RELAY_CHECK_MS",
            "A relay compares the watermark of every partition with PostgreSQL this often.",
            100,
            600_000,
        ),
    ] = 2_000
    relay_sample_ms: Annotated[
        int,
        SettingSpec(
            "LEADERBOARD_RELAY_SAMPLE_MS",
            "A relay compares a few seasons and random players with PostgreSQL this often.",
            100,
            3_600_000,
        ),
    ] = 1_000
    ledger_days: Annotated[
        int,
        SettingSpec(
            "LEADERBOARD_LEDGER_DAYS",
            "Days of the ledger (every accepted submission) that are kept. 0: all.",
            0,
            36_500,
        ),
    ] = 90
    redis_timeout_ms: Annotated[
        int,
        SettingSpec(
            "LEADERBOARD_REDIS_TIMEOUT_MS",
            "A relay waits this long for a reply of Redis, then ends its transaction.",
            100,
            60_000,
        ),
    ] = 2_000
    shutdown_grace_s: Annotated[
        int,
        SettingSpec(
            "LEADERBOARD_SHUTDOWN_GRACE_S",
            "Time for a process to finish its work after the signal to stop.",
            1,
            600,
        ),
    ] = 10
    traces: Annotated[
        Literal["off", "log", "otlp"],
        SettingSpec(
            "LEADERBOARD_TRACES",
            "Spans of submissions that come with a sampled `traceparent`: `log` writes them to the log, `otlp` sends "
            "them to the OpenTelemetry collector at `OTEL_EXPORTER_OTLP_ENDPOINT` (extra `otel`).",
            choices=("off", "log", "otlp"),
        ),
    ] = "off"
    log_format: Annotated[
        Literal["text", "json"],
        SettingSpec(
            "LEADERBOARD_LOG_FORMAT",
            "Log lines for people, or one JSON object a line.",
            choices=("text", "json"),
        ),
    ] = "text"
    log_level: Annotated[
        str,
        SettingSpec(
            "LEADERBOARD_LOG_LEVEL",
            "The least severe level that is written.",
            choices=("debug", "info", "warning", "error"),
        ),
    ] = "info"

    @property
    def binds(self) -> list[str]:
        """Every address that the service listens on."""
        return [bind for bind in (self.bind, self.admin_bind) if bind]

    @property
    def loopback(self) -> bool:
        """True if only this machine can reach the service, over loopback or a Unix socket."""
        return all(is_local(bind) for bind in self.binds)

    @property
    def origins(self) -> frozenset[str]:
        """The origins of `cors_origins`."""
        return split_origins(self.cors_origins)

    @property
    def embed(self) -> frozenset[str]:
        """The origins of `embed_origins`."""
        return split_origins(self.embed_origins)

    @property
    def tcp(self) -> tuple[str, int] | None:
        """Host and port of `bind`, or None for a Unix socket."""
        return address(self.bind)


def split_origins(text: str) -> frozenset[str]:
    """The origins of a list."""
    return frozenset(origin for part in text.split(",") if (origin := part.strip()))


@cache
def setting_specs() -> dict[str, SettingSpec]:
    """Field name -> its specification, in order of declaration."""
    hints = get_type_hints(Settings, include_extras=True)
    return {f: next(m for m in hints[f].__metadata__ if isinstance(m, SettingSpec)) for f in Settings.__struct_fields__}


def environment(settings: Settings) -> dict[str, str]:
    """The variables from which `load` returns equal settings; for child processes."""
    return {spec.env: str(value) for f, spec in setting_specs().items() if str(value := getattr(settings, f)) != ""}
