"""A page is this server's own if its origin is the address that the request was sent to; a name proves nothing."""

from __future__ import annotations

import pytest

from service.http.own_origin import is_own_origin


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8000", "10.0.0.7:1", "[::1]", "[::1]:8000", "localhost", "localhost:65535"]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_page_of_an_address_or_of_localhost_is_its_own(scheme: str, host: str) -> None:
    assert is_own_origin(f"{scheme}://{host}", host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://game.test:8000", "game.test:8000"),  # a name, which may lead here
        ("http://localhost.game.test", "localhost.game.test"),
        ("http://127.0.0.1:8000", "127.0.0.1:8001"),
        ("http://127.0.0.1:8000", "127.0.0.1"),
        ("http://127.0.0.1", "localhost"),
        ("http://127.0.0.1:8000", None),
        ("ftp://127.0.0.1", "127.0.0.1"),
        ("file://", ""),
        ("http://", ""),
        ("null", "null"),
        ("", ""),
        # No port, no address, or a port that none listens on.
        ("http://127.0.0.1:0", "127.0.0.1:0"),
        ("http://127.0.0.1:65536", "127.0.0.1:65536"),
        ("http://127.0.0.1:x", "127.0.0.1:x"),
        ("http://[::1", "[::1"),
        ("http://127.0.0.256", "127.0.0.256"),
        ("http://ada@127.0.0.1", "127.0.0.1"),
    ],
)
def test_every_other_page_is_foreign(origin: str, host: str | None) -> None:
    assert not is_own_origin(origin, host)
