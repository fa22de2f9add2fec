"""REDIS_URL, parsed once for both clients: addresses, Sentinels, database, credentials, TLS.

redis-py splits the URL (https://redis.readthedocs.io/en/stable/connections.html). This module adds several hosts and
Sentinel. Both clients take the same options and refuse the others: an option that only one of them followed would be in
force for half of the processes.
"""

from __future__ import annotations

import re
import ssl
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec
from redis.connection import parse_url

from board.errors import InvalidSetting

_CERT_REQS: Final = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


PORT: Final = 6379
SENTINEL_PORT: Final = 26379


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


class Address(NamedTuple):
    """The address of a node: host and port; with port 0 the path of a Unix socket."""

    host: str
    port: int

    def __str__(self) -> str:
        if not self.port:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class RedisOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where Redis is and how a connection begins. `path` is a Unix socket, or empty for TCP.

    `more` are the addresses after the first one. `sentinel` is the name of the master that Sentinels at these addresses
    are asked for; empty: the addresses are those of Redis. Sentinels have credentials of their own.
    """

    host: str = "localhost"
    port: int = PORT
    more: tuple[Address, ...] = ()
    path: str = ""
    db: int = 0
    username: str = ""
    password: str = ""
    sentinel: str = ""
    sentinel_username: str = ""
    sentinel_password: str = ""
    tls: TlsOptions | None = None

    @property
    def addresses(self) -> tuple[Address, ...]:
        """All addresses of the URL."""
        return (Address(self.path, 0),) if self.path else (Address(self.host, self.port), *self.more)

    @property
    def credentials(self) -> tuple[str, ...]:
        """The arguments of AUTH; empty if the URL has no credentials."""
        if self.username:
            return self.username, self.password
        return (self.password,) if self.password else ()

    def for_sentinels(self) -> RedisOptions:
        """The options of a connection to a Sentinel: TLS alike, other credentials, no database."""
        return msgspec.structs.replace(self, db=0, username=self.sentinel_username, password=self.sentinel_password)


def parse_redis_url(url: str) -> RedisOptions:
    """The options of a URL. Raises `InvalidSetting`, also for an option that is unknown."""
    if not url:
        raise InvalidSetting(
            "REDIS_URL is empty; set it, or start everything with `leaderboard run`: commands "
            "find that by its data directory (LEADERBOARD_DATA_DIR)"
        )
    url, more, sentinel = _split_hosts(url)
    try:
        found: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
        found["port"] = int(found.get("port", SENTINEL_PORT if sentinel else PORT))
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
        if name not in RedisOptions.__struct_fields__ or name in ("tls", "more", "sentinel"):
            raise InvalidSetting(f"REDIS_URL: unknown option {name[:60]!r}")
        if name.startswith("sentinel_") and not sentinel:
            raise InvalidSetting(f"REDIS_URL: option {name} needs redis+sentinel://")
    if found.get("sentinel_username") and not found.get("sentinel_password"):
        raise InvalidSetting("REDIS_URL: sentinel_username needs sentinel_password")
    options = RedisOptions(**found, more=more, sentinel=sentinel, tls=_tls_options(tls) if secure else None)
    if len({*options.addresses}) < len(options.addresses):
        raise InvalidSetting("REDIS_URL names an address twice")
    return options


_SENTINEL: Final = re.compile(r"(rediss?)\+sentinel://")


def _split_hosts(url: str) -> tuple[str, tuple[Address, ...], str]:
    """The URL with its first host only, the addresses of the others, and the name of the master for Sentinels."""
    sentinel = ""
    if found := _SENTINEL.match(url):
        parts = urlsplit(url)
        sentinel = unquote(parts.path.strip("/"))
        if not sentinel or "/" in sentinel:
            raise InvalidSetting("REDIS_URL: redis+sentinel:// needs the name of the master: …://host:26379/NAME")
        if not parts.netloc:
            raise InvalidSetting("REDIS_URL: redis+sentinel:// needs the address of a Sentinel: …://host:26379/NAME")
        # The path is the name: redis-py would take it for a database.
        url = parts._replace(scheme=found[1], path="").geturl()
    elif not re.match(r"rediss?://", url):
        if url.startswith("unix:") and "," in url.partition("?")[0]:
            raise InvalidSetting("REDIS_URL: unix:// is the socket of one Redis; several hosts need redis://")
        return url, (), ""
    scheme, _, rest = url.partition("://")
    ends = re.search(r"[/?#]|$", rest)
    netloc, tail = rest[: ends.start()], rest[ends.start() :]  # type: ignore[union-attr]
    user, at, hosts = netloc.rpartition("@")
    if "@" in user and "," in user:
        raise InvalidSetting(
            "REDIS_URL: all hosts have one user and password, before the first host; in them @ is %40, and a comma %2C"
        )
    database = tail.partition("?")[0].partition("#")[0].strip("/")
    if database and not (database.isascii() and database.isdigit()):
        # redis-py ignores it: the database would be 0, and hosts behind it would be lost.
        raise InvalidSetting("REDIS_URL: the path is the number of a database, behind the last host")
    first, *others = hosts.split(",")
    if others and not all((first, *others)):
        raise InvalidSetting("REDIS_URL: a host of the list is empty")
    more = []
    for host in others:
        try:
            one = urlsplit(f"{scheme}://{host}")
            more.append(Address(unquote(one.hostname or ""), one.port or (SENTINEL_PORT if sentinel else PORT)))
        except ValueError as error:
            raise InvalidSetting(f"REDIS_URL cannot be used: {error}") from error
    return f"{scheme}://{user}{at}{first}{tail}", tuple(more), sentinel


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
