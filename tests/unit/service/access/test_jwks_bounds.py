"""Bounds of what an issuer can make a worker read and keep."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tokens import Issuer, jwks

from service.access.jwks import Unusable, parse_keys, read_source


def test_of_many_public_keys_a_hundred_are_kept() -> None:
    key = Issuer("EdDSA").jwk()
    assert len(parse_keys(jwks(*({**key, "kid": f"k{n}"} for n in range(101))), "EdDSA")) == 100


def test_a_set_of_keys_beyond_a_mebibyte_is_unusable(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(b" " * 1024 * 1024)
    assert len(read_source(str(path))) == 1024 * 1024
    path.write_bytes(b" " * (1024 * 1024 + 1))
    with pytest.raises(Unusable, match="more than"):
        read_source(str(path))
