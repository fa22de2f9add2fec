"""A set of keys that is followed: an empty one ends the old keys' tokens, one that cannot be read does not."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.tokens import AUDIENCE, ISSUER, Issuer, jwks

from service.access.authorizer import Authorizer
from service.access.grant import Grant
from service.access.jwks import SIZE_MOST_BYTES, Jwks
from service.access.keyring import Keyring
from service.access.tokens import Tokens
from service.contract.answers import Answer

OLD = Issuer("ES256", "old")
NEW = Issuer("ES256", "new")
TOKEN = f"Bearer {OLD.token(exp=time.time() + 3600)}".encode()

EMPTY = {
    "no key": jwks(),
    "another type": jwks(Issuer("EdDSA", "old").jwk()),
    "another use": jwks(OLD.jwk(use="enc")),
    "another algorithm": jwks(OLD.jwk(alg="ES384")),
    "a private key": jwks(OLD.jwk(d="AA")),
    "a broken key": jwks(OLD.jwk(x="")),
    "no objects": b'{"keys":[null,5,"x",[]]}',
}
UNREADABLE = {
    "no file": None,
    "nothing": b"",
    "no JSON": b"<html>",
    "cut off": jwks(NEW.jwk())[:-1],
    "no object": b"[]",
    "no keys": b"{}",
    "keys are no list": b'{"keys":{}}',
    "too large": jwks(NEW.jwk()) + b" " * SIZE_MOST_BYTES,
}


class Followed:
    """A file with a set of keys, the reader that follows it, and an authorizer that remembers tokens."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.keys = Jwks(str(path), "ES256", refresh_s=0.02, hurry_s=0.01)
        tokens = Tokens(self.keys, algorithm="ES256", issuer=ISSUER, audience=AUDIENCE, scopes=("read",))
        self.authorizer = Authorizer(Keyring(""), tokens)

    def admit(self, token: bytes = TOKEN) -> int:
        """The status for a token: 200 if it is admitted."""
        found = self.authorizer.admit(token, 1, "s")
        assert found is not None
        return found.status if isinstance(found, Answer) else 200

    async def until(self, look: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not look():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def followed(path: Path) -> AsyncIterator[Followed]:
    made = Followed(path)
    made.keys.start(made.authorizer.forget)
    await made.keys.wait_for_first_try()
    try:
        yield made
    finally:
        await made.keys.stop()


@pytest.mark.parametrize("text", EMPTY.values(), ids=EMPTY.keys())
def test_a_set_without_a_usable_key_ends_the_tokens_of_the_old_keys(tmp_path: Path, text: bytes) -> None:
    async def run() -> None:
        path = tmp_path / "keys.json"
        path.write_bytes(jwks(OLD.jwk()))
        async with followed(path) as made:
            assert made.admit() == 200
            path.write_bytes(text)
            await made.until(lambda: made.admit() == 401)
            assert made.keys.loaded
            # The key comes back, and so do its tokens.
            path.write_bytes(jwks(OLD.jwk()))
            await made.until(lambda: made.admit() == 200)

    asyncio.run(run())


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_set_that_cannot_be_read_leaves_the_last_one_in_force(
    tmp_path: Path, text: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    # Other tests of the same process may have silenced it.
    caplog.set_level(logging.WARNING, "service.access.jwks")

    async def run() -> None:
        path = tmp_path / "keys.json"
        path.write_bytes(jwks(OLD.jwk()))
        async with followed(path) as made:
            assert made.admit() == 200
            if text is None:
                path.unlink()
            else:
                path.write_bytes(text)
            await made.until(lambda: caplog.text.count("cannot be read") >= 3)
            assert made.admit() == 200
            path.write_bytes(jwks(NEW.jwk()))
            await made.until(lambda: made.admit() == 401)
            assert made.admit(f"Bearer {NEW.token()}".encode()) == 200

    asyncio.run(run())


@pytest.mark.parametrize("text", EMPTY.values(), ids=EMPTY.keys())
def test_an_empty_set_at_the_first_start_is_loaded_and_all_tokens_are_unknown(tmp_path: Path, text: bytes) -> None:
    async def run() -> None:
        path = tmp_path / "keys.json"
        path.write_bytes(text)
        async with followed(path) as made:
            assert made.keys.loaded
            assert made.admit() == 401
            without_id = Issuer("ES256", None)
            assert made.admit(f"Bearer {without_id.token()}".encode()) == 401
            path.write_bytes(jwks(without_id.jwk()))
            await made.until(lambda: made.admit(f"Bearer {without_id.token()}".encode()) == 200)

    asyncio.run(run())


def test_the_verifier_names_the_reason(tmp_path: Path) -> None:
    async def run() -> None:
        path = tmp_path / "keys.json"
        path.write_bytes(jwks())
        async with followed(path) as made:
            tokens = Tokens(made.keys, algorithm="ES256", issuer=ISSUER, audience=AUDIENCE, scopes=("read",))
            assert tokens.find(OLD.token().encode()) == "unknown"
            path.write_bytes(jwks(OLD.jwk()))
            await made.until(lambda: isinstance(tokens.find(OLD.token().encode()), Grant))

    asyncio.run(run())
