"""REDIS_URL, parsed once for both clients: address, database, credentials, TLS.

redis-py splits the URL (https://redis.readthedocs.io/en/stable/connections.html). Both clients take the same options
and refuse the others: an option that only one of them followed would be in force for half of the processes.
"""

from __future__ import annotations

import ssl
from typing import Any, Final

import msgspec
from redis.connection import parse_url

from board.errors import InvalidSetting

_CERT_REQS: Final = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


class TlsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The `ssl_…` options of a ``rediss://`` URL; paths are empty where the URL has none.

    `ca_certs` (a file) and `ca_path` (a directory) replace the system's certificate authorities.
    """

    ca_certs: str = ""
    ca_path: str = ""
    certfile: str = ""
    keyfile: str = ""
    cert_reqs: str = "required"
    check_hostname: bool = True

    def context(self) -> ssl.SSLContext:
        """A context for one connection. Reads the files, so that replaced ones count. Raises `OSError`."""
        context = ssl.create_default_context(cafile=self.ca_certs or None, capath=self.ca_path or None)
        if self.certfile:
            context.load_cert_chain(self.certfile, self.keyfile or None)
        context.check_hostname = self.check_hostname and self.cert_reqs != "none"
        context.verify_mode = _CERT_REQS[self.cert_reqs]
        return context


class RedisOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where Redis is and how a connection begins. `path` is a Unix socket, or empty for TCP."""

    host: str = "localhost"
    port: int = 6379
    path: str = ""
    db: int = 0
    username: str = ""
    password: str = ""
    tls: TlsOptions | None = None

    @property
    def credentials(self) -> tuple[str, ...]:
        """The arguments of AUTH; empty if the URL has no credentials."""
        if self.username:
            return self.username, self.password
        return (self.password,) if self.password else ()


def parse_redis_url(url: str) -> RedisOptions:
    """The options of a URL. Raises `InvalidSetting`, also for an option that is unknown."""
    if not url:
        raise InvalidSetting(
            "REDIS_URL is empty; set it, or start everything with `leaderboard run`: commands "
            "find that by its data directory (LEADERBOARD_DATA_DIR)"
        )
    try:
        found: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
        found["port"] = int(found.get("port", 6379))
    except ValueError as error:
        raise InvalidSetting(f"REDIS_URL cannot be used: {error}") from error
    if not isinstance(found.get("connection_class"), str):  # a class is of redis-py, a text is of the URL
        found.pop("connection_class", None)
    if url.startswith("unix:") and not found.get("path"):
        raise InvalidSetting("REDIS_URL names no socket path after unix://")
    secure = url.startswith("rediss:")
    tls = {name.removeprefix("ssl_"): found.pop(name) for name in list(found) if name in _TLS_NAMES}
    if tls and not secure:
        raise InvalidSetting(f"REDIS_URL: option ssl_{next(iter(tls))} needs rediss://")
    for name in found:
        if name not in RedisOptions.__struct_fields__ or name == "tls":
            raise InvalidSetting(f"REDIS_URL: unknown option {name[:60]!r}")
    return RedisOptions(**found, tls=_tls_options(tls) if secure else None)


_TLS_NAMES: Final = frozenset(f"ssl_{name}" for name in TlsOptions.__struct_fields__)


def _tls_options(found: dict[str, Any]) -> TlsOptions:
    if "cert_reqs" in found:
        found["cert_reqs"] = found["cert_reqs"].lower()
    options = TlsOptions(**found)
    if options.cert_reqs not in _CERT_REQS:
        raise InvalidSetting(f"REDIS_URL: ssl_cert_reqs must be one of {', '.join(_CERT_REQS)}")
    if options.keyfile and not options.certfile:
        raise InvalidSetting("REDIS_URL: ssl_keyfile needs ssl_certfile")
    return options
