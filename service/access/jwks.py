"""A set of public keys (RFC 7517) from a file or a URL, read in the background and never while a request waits."""

from __future__ import annotations

import asyncio
import http.client
import logging
import ssl
import urllib.request
from collections.abc import Callable
from itertools import islice
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
"""The least time between two reads. An unknown key causes a read, but no more often than this."""
PATIENCE_S: Final = 5.0
"""The longest wait for the source."""
SIZE_MOST_BYTES: Final = 1024 * 1024
KEYS_MOST: Final = 100
"""Usable keys of a set; further ones are ignored."""

KEY_TYPES: Final = {"RS256": ("RSA", None), "ES256": ("EC", "P-256"), "EdDSA": ("OKP", "Ed25519")}
"""Algorithm -> type and curve of its keys (RFC 7518, RFC 8037)."""


class Unusable(Exception):
    """The source cannot be read, or is no set of keys. A set may be empty."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: only the operator chooses the address."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class Jwks(Refresher):
    """The public keys of one algorithm from one source (RFC 7517), read again every `refresh_s` seconds.

    `source` is a URL or the path of a file, `algorithm` a name in `KEY_TYPES`. While the source cannot be read, the
    last set that was read stays in force. A set without a usable key is in force, too: all tokens are unknown then.
    """

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
        """Find the key with an id; without an id, the only key of the set. A miss causes another read soon."""
        keys = self._keys or {}
        if kid is None and keys:
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
                    "the keys of players' tokens cannot be read from %s: %s", self._source, error or "timed out"
                )
                await asyncio.sleep(backoff.failed())
                continue
            backoff.succeeded()
            if text != self._text:
                if keys:
                    log.info("%d keys for players' tokens", len(keys))
                else:
                    log.warning("%s has no public key for %s: all tokens are refused", self._source, self._algorithm)
                self._keys, self._text = keys, text
                # A key may be gone because it was stolen: its tokens must not stay valid.
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
    """Read the text of a set from a file or a URL. Raises `Unusable`; `TimeoutError` if the server is too slow."""
    try:
        if not source.startswith(("https://", "http://")):
            with Path(source).open("rb") as file:
                text = file.read(SIZE_MOST_BYTES + 1)
        else:
            handlers = (_NoRedirect(), urllib.request.HTTPSHandler(context=ssl.create_default_context()))
            with urllib.request.build_opener(*handlers).open(source, timeout=PATIENCE_S) as answer:
                text = read_within(PATIENCE_S, answer)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unusable(str(error)) from error
    if len(text) > SIZE_MOST_BYTES:
        raise Unusable(f"more than {SIZE_MOST_BYTES} bytes")
    return text


def read_within(seconds: float, answer: http.client.HTTPResponse) -> bytes:
    """Read a body, up to the first bytes beyond `SIZE_MOST_BYTES`. Raises `TimeoutError`.

    The socket's own timeout is for each piece: slow pieces without an end would occupy a thread forever.
    """
    text, end = b"", monotonic() + seconds
    while len(text) <= SIZE_MOST_BYTES and (piece := answer.read1(SIZE_MOST_BYTES)):
        text += piece
        if monotonic() > end:
            raise TimeoutError("timed out")
    return text


def parse_keys(text: bytes, algorithm: str) -> dict[str | None, jwt.PyJWK]:
    """Parse a set: key id -> key of the algorithm. Other keys are ignored. Raises `Unusable` if it is no set."""
    try:
        entries = msgspec.json.decode(text, type=dict[str, Any]).get("keys")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable(f"no JSON object: {error}") from error
    if not isinstance(entries, list):
        raise Unusable("no member `keys` with a list")
    found: dict[str | None, jwt.PyJWK] = {}
    usable = (entry for entry in entries if isinstance(entry, dict) and is_usable(entry, algorithm))
    for entry in islice(usable, KEYS_MOST):
        try:
            found[entry.get("kid")] = jwt.PyJWK(entry, algorithm)
        except jwt.PyJWTError as error:
            log.warning("a key for players' tokens is ignored: %s", type(error).__name__)
    return found


def is_usable(entry: dict[str, Any], algorithm: str) -> bool:
    """Whether a key is public, for signatures, and of the type of the algorithm."""
    kind, curve = KEY_TYPES[algorithm]
    return (
        entry.get("kty") == kind
        and (curve is None or entry.get("crv") == curve)
        and entry.get("alg", algorithm) == algorithm
        and entry.get("use", "sig") == "sig"
        and "d" not in entry
        and isinstance(entry.get("kid"), str | None)
    )
