"""The Lua scripts and their SHA-1, by which Redis calls them."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

import msgspec


class Script(msgspec.Struct, frozen=True):
    """One script: its source, and the hex digest for EVALSHA."""

    name: str
    source: bytes
    sha: bytes


@cache
def script(name: str) -> Script:
    """Load a script of ``board/redis/lua`` by its name without the ending."""
    source = files("board.redis.lua").joinpath(f"{name}.lua").read_bytes()
    return Script(name, source, hashlib.sha1(source, usedforsecurity=False).hexdigest().encode())
