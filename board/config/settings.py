"""Settings: one frozen object, read from the environment and from nowhere else.

The table of fields below is the only place that knows names, defaults and meanings; ``docs/settings.md`` is
written from it (``python -m board.config.page``) and a test holds the two together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_type_hints

import msgspec

from board.config.binds import address, is_local
from board.config.spec import Doc


def default_data_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Where the embedded servers keep their data when nobody says otherwise."""
    env = os.environ if environ is None else environ
    if os.geteuid() == 0:
        return Path("/var/lib/leaderboard")
    base = env.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "leaderboard"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of every process, in the units their names or texts give."""

    database_url: Annotated[
        str,
        Doc(
            "DATABASE_URL",
            "PostgreSQL, as a libpq URL or connection string. Empty: `run` starts an embedded server.",
            secret=True,
        ),
    ] = ""
    redis_url: Annotated[
        str,
        Doc(
            "REDIS_URL",
            "Redis or Valkey: `redis://`, `rediss://` or `unix://`. Empty: `run` starts an embedded server.",
            secret=True,
        ),
    ] = ""
    bind: Annotated[str, Doc("LEADERBOARD_BIND", "Address of the HTTP service: `host:port` or `unix:/path`.")] = (
        "127.0.0.1:8080"
    )
    admin_bind: Annotated[
        str,
        Doc(
            "LEADERBOARD_ADMIN_BIND",
            "A second address, `host:port` or `unix:/path`: when set, resets and `/v1/keys` are answered there only.",
        ),
    ] = ""
    auth: Annotated[
        Literal["keys", "open"],
        Doc(
            "LEADERBOARD_AUTH",
            "`keys`: every request but probes and `/openapi.json` needs a key or a token. `open`: anybody who reaches "
            "the address may read, submit and reset. `run` on loopback is open unless this is set.",
            choices=("keys", "open"),
        ),
    ] = "keys"
    open_to_the_world: Annotated[
        Literal["no", "yes"],
        Doc(
            "LEADERBOARD_OPEN_TO_THE_WORLD",
            "Allows `LEADERBOARD_AUTH=open` on an address that is not loopback.",
            choices=("no", "yes"),
        ),
    ] = "no"
    key: Annotated[
        str,
        Doc("LEADERBOARD_KEY", "The key with which `demo` speaks to a server. Not used by a server.", hidden=True),
    ] = ""
    metrics_bind: Annotated[str, Doc("LEADERBOARD_METRICS_BIND", "`host:port` of the API's metrics. Empty: none.")] = ""
    relay_metrics_bind: Annotated[
        str,
        Doc(
            "LEADERBOARD_RELAY_METRICS_BIND",
            "Where the relay pool shows its metrics and those of the database. Empty: nowhere.",
        ),
    ] = ""
    limit_key: Annotated[
        int,
        Doc(
            "LEADERBOARD_LIMIT_KEY",
            "Requests of one key in a window; a batch counts as many as it has submissions. 0: no limit.",
            0,
            1_000_000,
        ),
    ] = 0
    limit_player: Annotated[
        int,
        Doc(
            "LEADERBOARD_LIMIT_PLAYER",
            "Submissions for one player in a window, and requests with that player's token. 0: no limit.",
            0,
            1_000_000,
        ),
    ] = 0
    limit_window_s: Annotated[
        int,
        Doc(
            "LEADERBOARD_LIMIT_WINDOW_S",
            "The window of both limits: within it a used-up quota is full again.",
            1,
            3_600,
        ),
    ] = 10
    limit_deadline_ms: Annotated[
        int,
        Doc(
            "LEADERBOARD_LIMIT_DEADLINE_MS",
            "Redis gets this long to check a limit, before the request begins.",
            1,
            10_000,
        ),
    ] = 100
    limit_fail: Annotated[
        Literal["open", "closed"],
        Doc(
            "LEADERBOARD_LIMIT_FAIL",
            "When Redis cannot check a limit: `open` lets requests through, `closed` refuses them with 503.",
            choices=("open", "closed"),
        ),
    ] = "open"
    token_algorithm: Annotated[
        str,
        Doc(
            "LEADERBOARD_TOKEN_ALGORITHM",
            "Players' tokens (JWT) are signed with this algorithm and no other. Empty: there are no tokens.",
            choices=("HS256", "RS256", "ES256", "EdDSA"),
        ),
    ] = ""
    token_issuer: Annotated[str, Doc("LEADERBOARD_TOKEN_ISSUER", "What `iss` of a token must be.")] = ""
    token_audience: Annotated[str, Doc("LEADERBOARD_TOKEN_AUDIENCE", "What `aud` of a token must be, or contain.")] = ""
    token_secret: Annotated[
        str, Doc("LEADERBOARD_TOKEN_SECRET", "For HS256: the shared secret, 32 bytes or more.", hidden=True)
    ] = ""
    token_jwks: Annotated[
        str,
        Doc(
            "LEADERBOARD_TOKEN_JWKS",
            "For RS256, ES256, EdDSA: the issuer's public keys, a file or a URL (`https`; `http` on loopback only).",
        ),
    ] = ""
    players: Annotated[
        Literal["read", "submit"],
        Doc(
            "LEADERBOARD_PLAYERS",
            "What a player's token is good for: `read`, and only servers submit; or `submit`, for the player alone.",
            choices=("read", "submit"),
        ),
    ] = "read"
    workers: Annotated[int, Doc("LEADERBOARD_WORKERS", "gunicorn worker processes.", 1, 256)] = 2
    worker_class: Annotated[str, Doc("LEADERBOARD_WORKER_CLASS", "gunicorn worker class that serves the ASGI app.")] = (
        "service.worker.Worker"
    )
    connections: Annotated[
        int,
        Doc(
            "LEADERBOARD_CONNECTIONS",
            "Clients a worker keeps connected; past it a new one is told 503, and silent ones are closed.",
            1,
            1_000_000,
        ),
    ] = 4_096
    connections_per_address: Annotated[
        int,
        Doc(
            "LEADERBOARD_CONNECTIONS_PER_ADDRESS",
            "Clients of one address (IPv6: of one /64) that a worker keeps connected; past it a new one is told 503. "
            "0: no limit, as it must be behind a proxy, where all clients have one address.",
            0,
            1_000_000,
        ),
    ] = 0
    receive_s: Annotated[
        int,
        Doc(
            "LEADERBOARD_RECEIVE_S",
            "A request's head must be there within this time. A body gets it, too, and a second for every 500 bytes.",
            1,
            600,
        ),
    ] = 15
    send_s: Annotated[
        int,
        Doc(
            "LEADERBOARD_SEND_S",
            "A client that reads less than 500 bytes a second of its answers for this time is cut off.",
            1,
            600,
        ),
    ] = 30
    idle_s: Annotated[
        int, Doc("LEADERBOARD_IDLE_S", "A keep-alive connection may be silent for this long.", 1, 3_600)
    ] = 75
    cors_origins: Annotated[
        str,
        Doc(
            "LEADERBOARD_CORS_ORIGINS",
            "Origins whose web pages may use the service, separated by commas (`https://play.example`), or `*`. "
            "Where the server runs open, pages of others may not even send a POST.",
        ),
    ] = ""
    max_requests: Annotated[
        int, Doc("LEADERBOARD_MAX_REQUESTS", "A worker is replaced after about so many requests; 0: never.", 0, 10**9)
    ] = 0
    relays: Annotated[int, Doc("LEADERBOARD_RELAYS", "Relay processes in the pool of this host.", 1, 64)] = 2
    data_dir: Annotated[
        Path,
        Doc(
            "LEADERBOARD_DATA_DIR",
            "Data of the embedded servers. Default: `/var/lib/leaderboard` as root, else "
            "`$XDG_DATA_HOME/leaderboard` or `~/.local/share/leaderboard`.",
        ),
    ] = msgspec.field(default_factory=default_data_dir)
    servers: Annotated[
        Literal["auto", "system", "wheel"],
        Doc(
            "LEADERBOARD_SERVERS",
            "Which embedded servers `run` starts: those installed on the machine, or those of the wheels. "
            "`auto` prefers installed ones.",
            choices=("auto", "system", "wheel"),
        ),
    ] = "auto"
    impl: Annotated[
        str,
        Doc(
            "LEADERBOARD_IMPL",
            "Kernels: compiled, or their pure-Python twin. `auto` takes the compiled ones when they are there.",
            choices=("auto", "c", "python"),
        ),
    ] = "auto"
    redis_prefix: Annotated[
        str,
        Doc("LEADERBOARD_REDIS_PREFIX", "First part of every key in Redis: letters, digits, `_`, `-`, `.`."),
    ] = "lb"
    write_deadline_ms: Annotated[
        int, Doc("LEADERBOARD_WRITE_DEADLINE_MS", "A submission is answered within this time.", 10, 60_000)
    ] = 800
    read_deadline_ms: Annotated[
        int, Doc("LEADERBOARD_READ_DEADLINE_MS", "A read is answered within this time.", 10, 60_000)
    ] = 300
    probe_deadline_ms: Annotated[
        int, Doc("LEADERBOARD_PROBE_DEADLINE_MS", "`/readyz` gives each check this long.", 10, 60_000)
    ] = 200
    intake_queue: Annotated[
        int,
        Doc(
            "LEADERBOARD_INTAKE_QUEUE",
            "Submissions a worker keeps waiting for their commit; past it the answer is 503.",
            1,
            1_000_000,
        ),
    ] = 10_000
    intake_batch: Annotated[
        int, Doc("LEADERBOARD_INTAKE_BATCH", "Most submissions in one statement and commit.", 1, 5_000)
    ] = 1_000
    batch_queue: Annotated[
        int,
        Doc(
            "LEADERBOARD_BATCH_QUEUE",
            "Submissions of batch requests that a worker keeps waiting; past it the answer is 503.",
            5_000,
            1_000_000,
        ),
    ] = 20_000
    intake_connections: Annotated[
        int, Doc("LEADERBOARD_INTAKE_CONNECTIONS", "PostgreSQL connections of a worker's intake.", 1, 16)
    ] = 1
    idempotency_minutes: Annotated[
        int,
        Doc("LEADERBOARD_IDEMPOTENCY_MINUTES", "Idempotency keys are kept at least this long.", 1, 525_600),
    ] = 1_440
    read_cache_ms: Annotated[
        int,
        Doc(
            "LEADERBOARD_READ_CACHE_MS",
            "A rendered top list is reused for this long. 0 turns the reuse off.",
            0,
            1_000,
        ),
    ] = 5
    relay_batch: Annotated[int, Doc("LEADERBOARD_RELAY_BATCH", "Most hints a relay takes in one batch.", 1, 50_000)] = (
        2_000
    )
    relay_idle_ms: Annotated[
        int,
        Doc(
            "LEADERBOARD_RELAY_IDLE_MS",
            "A relay that hears no poke looks for hints this often.",
            1,
            10_000,
        ),
    ] = 50
    relay_pace_ms: Annotated[
        int,
        Doc(
            "LEADERBOARD_RELAY_PACE_MS",
            "A relay rests a partition this long between two batches, so that hints gather under load.",
            0,
            1_000,
        ),
    ] = 4
    relay_check_ms: Annotated[
        int,
        Doc(
            "LEADERBOARD_RELAY_CHECK_MS",
            "Every partition's watermark is compared with PostgreSQL this often, used or not.",
            100,
            600_000,
        ),
    ] = 2_000
    relay_sample_ms: Annotated[
        int,
        Doc(
            "LEADERBOARD_RELAY_SAMPLE_MS",
            "A relay compares a few seasons and random players with PostgreSQL this often.",
            100,
            3_600_000,
        ),
    ] = 1_000
    ledger_days: Annotated[
        int,
        Doc(
            "LEADERBOARD_LEDGER_DAYS",
            "Days of the ledger (every accepted submission) that are kept. 0 keeps all.",
            0,
            36_500,
        ),
    ] = 90
    redis_timeout_ms: Annotated[
        int,
        Doc(
            "LEADERBOARD_REDIS_TIMEOUT_MS",
            "A relay gives up on a Redis reply after this time and ends its transaction.",
            100,
            60_000,
        ),
    ] = 2_000
    shutdown_grace_s: Annotated[
        int,
        Doc(
            "LEADERBOARD_SHUTDOWN_GRACE_S",
            "Time a process gets to finish its work when told to stop.",
            1,
            600,
        ),
    ] = 10
    traces: Annotated[
        Literal["off", "log", "otlp"],
        Doc(
            "LEADERBOARD_TRACES",
            "Spans of submissions that come with a sampled `traceparent`: into the log, or to the OpenTelemetry "
            "collector at `OTEL_EXPORTER_OTLP_ENDPOINT` (extra `otel`).",
            choices=("off", "log", "otlp"),
        ),
    ] = "off"
    log_format: Annotated[
        Literal["text", "json"],
        Doc("LEADERBOARD_LOG_FORMAT", "Log lines for people, or one JSON object a line.", choices=("text", "json")),
    ] = "text"
    log_level: Annotated[
        str,
        Doc(
            "LEADERBOARD_LOG_LEVEL",
            "Least severe log line written.",
            choices=("debug", "info", "warning", "error"),
        ),
    ] = "info"

    @property
    def binds(self) -> list[str]:
        """Every address that is listened on."""
        return [bind for bind in (self.bind, self.admin_bind) if bind]

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches the service. A Unix socket is reached by this machine only."""
        return all(is_local(bind) for bind in self.binds)

    @property
    def origins(self) -> frozenset[str]:
        """The origins of `cors_origins`."""
        return frozenset(origin for text in self.cors_origins.split(",") if (origin := text.strip()))

    @property
    def tcp(self) -> tuple[str, int] | None:
        """Host and port of `bind`, or None for a Unix socket."""
        return address(self.bind)


def docs() -> dict[str, Doc]:
    """Field name -> its documentation, in order of declaration."""
    hints = get_type_hints(Settings, include_extras=True)
    return {f: next(m for m in hints[f].__metadata__ if isinstance(m, Doc)) for f in Settings.__struct_fields__}


def environment(settings: Settings) -> dict[str, str]:
    """The variables that make `load` return equal settings, to hand to child processes."""
    return {doc.env: str(value) for f, doc in docs().items() if str(value := getattr(settings, f)) != ""}
