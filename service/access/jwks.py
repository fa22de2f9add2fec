"""A set of public keys (RFC 7517) from a file or a URL, read in the background and never while a request waits."""

from __future__ import annotations

import asyncio
import http.client
import logging
import ssl
import urllib.request
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any, Final

import jwt
import msgspec

from board.process.backoff import Backoff
from service.access.refresher import Refresher

log: Final = logging.getLogger(__name__)

REFRESH_S: Final = 300.0
HURRY_S: Final = 5.0
"""A key that is not known makes us look again, but not more often than this."""
PATIENCE_S: Final = 5.0
SIZE_MOST: Final = 1024 * 1024
KEYS_MOST: Final = 100

KEY_TYPES: Final = {"RS256": ("RSA", None), "ES256": ("EC", "P-256"), "EdDSA": ("OKP", "Ed25519")}
"""Algorithm -> type and curve of its keys."""


class Unusable(Exception):
    """What was read is no set of keys, or could not be read."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The address was given by the operator; nobody else shall choose another."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class Jwks(Refresher):
    """The keys of one algorithm from one source. The last good set stays in force while the source is away."""

    def __init__(self, source: str, algorithm: str, *, refresh_s: float = REFRESH_S, hurry_s: float = HURRY_S) -> None:
        super().__init__("jwks")
        self._source: Final = source
        self._algorithm: Final = algorithm
        self._refresh_s: Final = refresh_s
        self._hurry_s: Final = hurry_s
        self._keys: dict[str | None, jwt.PyJWK] | None = None
        self._text = b""

    @property
    def loaded(self) -> bool:
        """Whether the source was read at least once."""
        return self._keys is not None

    def find(self, kid: str | None) -> jwt.PyJWK | None:
        """The key of this name; without a name the only key there is. An unknown name makes us look again soon."""
        keys = self._keys or {}
        if kid is None:
            return next(iter(keys.values())) if len(keys) == 1 else None
        found = keys.get(kid)
        if found is None:
            self.hurry()
        return found

    async def _refresh(self, on_change: Callable[[], None]) -> None:
        backoff = Backoff(0.2, self._hurry_s)
        while True:
            try:
                async with asyncio.timeout(2 * PATIENCE_S):
                    text = await asyncio.to_thread(read_source, self._source)
                    keys = parse_keys(text, self._algorithm)
            except (Unusable, TimeoutError) as error:
                self._tried.set()
                log.warning(
                    "the keys of players' tokens cannot be read from %s: %s", self._source, error or "time is up"
                )
                await asyncio.sleep(backoff.failed())
                continue
            backoff.succeeded()
            if text != self._text:
                log.info("%d keys for players' tokens", len(keys))
                self._keys, self._text = keys, text
                # A key may be gone because it was stolen: what it has signed counts no more.
                on_change()
            self._tried.set()
            self._wake.clear()
            await asyncio.sleep(self._hurry_s)
            try:
                async with asyncio.timeout(max(0.0, self._refresh_s - self._hurry_s)):
                    await self._wake.wait()
            except TimeoutError:
                continue


def read_source(source: str) -> bytes:
    """The text of the set. Raises `Unusable`."""
    try:
        if not source.startswith(("https://", "http://")):
            with Path(source).open("rb") as file:
                text = file.read(SIZE_MOST + 1)
        else:
            handlers = (_NoRedirect(), urllib.request.HTTPSHandler(context=ssl.create_default_context()))
            with urllib.request.build_opener(*handlers).open(source, timeout=PATIENCE_S) as answer:
                text = read_within(PATIENCE_S, answer)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unusable(str(error)) from error
    if len(text) > SIZE_MOST:
        raise Unusable(f"more than {SIZE_MOST} bytes")
    return text


def read_within(seconds: float, answer: http.client.HTTPResponse) -> bytes:
    """The body, or what of it shows that it is too large. Raises `TimeoutError`: pieces that come for ever would keep
    a thread for ever."""
    text, end = b"", monotonic() + seconds
    while len(text) <= SIZE_MOST and (piece := answer.read1(SIZE_MOST)):
        text += piece
        if monotonic() > end:
            raise TimeoutError("time is up")
    return text


def parse_keys(text: bytes, algorithm: str) -> dict[str | None, jwt.PyJWK]:
    """Name -> key, of those that fit the algorithm; others are passed over. Raises `Unusable` when none is left."""
    try:
        entries = msgspec.json.decode(text, type=dict[str, Any]).get("keys")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable(f"no JSON object: {error}") from error
    if not isinstance(entries, list):
        raise Unusable("no member `keys` with a list")
    found: dict[str | None, jwt.PyJWK] = {}
    for entry in entries[:KEYS_MOST]:
        if not isinstance(entry, dict) or not is_usable(entry, algorithm):
            continue
        try:
            found[entry.get("kid")] = jwt.PyJWK(entry, algorithm)
        except jwt.PyJWTError as error:
            log.warning("a key for players' tokens is passed over: %s", type(error).__name__)
    if not found:
        raise Unusable(f"no public key for {algorithm}")
    return found


def is_usable(entry: dict[str, Any], algorithm: str) -> bool:
    """Whether a key is public, meant for signatures, and of the type that the algorithm takes."""
    kind, curve = KEY_TYPES[algorithm]
    return (
        entry.get("kty") == kind
        and (curve is None or entry.get("crv") == curve)
        and entry.get("alg", algorithm) == algorithm
        and entry.get("use", "sig") == "sig"
        and "d" not in entry
        and isinstance(entry.get("kid"), str | None)
    )
