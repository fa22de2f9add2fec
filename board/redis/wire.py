"""One connection of redis-py to one address, without retries: TLS, credentials, name, timeouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from redis.backoff import NoBackoff
from redis.connection import Connection, ConnectionPool, UnixDomainSocketConnection
from redis.retry import Retry

from board.redis.options import Address, RedisOptions, TlsOptions


class _TlsConnection(Connection):
    """A TLS connection with the context of `TlsOptions`, which the asynchronous client has, too.

    NOTE: redis-py's own makes a context that trusts the system's authorities beside those of ``ssl_ca_certs``.
    """

    def __init__(self, tls: TlsOptions, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._tls: Final = tls

    def _connect(self) -> Any:
        plain = super()._connect()  # type: ignore[no-untyped-call]
        try:
            return self._tls.context().wrap_socket(plain, server_hostname=self.host)
        except OSError:
            plain.close()
            raise


def begin_plainly(connection: Any) -> None:
    """Begin a connection as redis-py does: credentials, name."""
    connection.on_connect()


def make_connection(
    options: RedisOptions, address: Address, name: str, timeout_s: float, begin: Callable[[Any], None]
) -> Any:
    """A connection that opens with its first command, and then begins with `begin`, in database 0."""
    common: dict[str, Any] = {
        "username": options.username or None,
        "password": options.password or None,
        "client_name": name,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "redis_connect_func": begin,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
    }
    if not address.port:
        kind: type = UnixDomainSocketConnection
        place: dict[str, Any] = {"path": address.host}
    else:
        kind = Connection if options.tls is None else _TlsConnection
        place = {"host": address.host, "port": address.port}
        if options.tls is not None:
            place["tls"] = options.tls
    pool: Any = ConnectionPool(connection_class=kind, **place, **common)
    return pool.make_connection()
