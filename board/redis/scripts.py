"""The Lua scripts and their SHA-1, by which Redis calls them."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

_BEGINNING: Final = re.compile(rb"-- begins with: (\S+)\n")


class Script(msgspec.Struct, frozen=True):
    """One script: its source, and the hex digest for EVALSHA."""

    name: str
    source: bytes
    sha: bytes


def _read(file: str) -> bytes:
    source = files("board.redis.lua").joinpath(file).read_bytes()
    if (line := _BEGINNING.match(source)) is not None:
        source = _read(line[1].decode()) + source[line.end() :]
    return source


@cache
def script(name: str) -> Script:
    """Load a script of ``board/redis/lua`` by its name without the ending.

    A first line ``-- begins with: board.lua`` stands for the text of that file.
    """
    source = _read(f"{name}.lua")
    return Script(name, source, hashlib.sha1(source, usedforsecurity=False).hexdigest().encode())
