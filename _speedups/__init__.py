"""Byte kernels: board entries, PostgreSQL arrays, Redis commands, JSON items and HTTP requests.

``LEADERBOARD_IMPL`` chooses the implementation when the package is first imported: ``auto`` (the default)
takes the compiled kernels when they are there and the pure-Python twin otherwise, ``c`` insists on the
compiled ones (`ImportError` without them), ``python`` takes the twin. Any other value is a `ValueError`.
`IMPLEMENTATION` says which one runs: ``"c"`` or ``"python"``. Both give the same bytes.
"""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

__all__ = [
    "IMPLEMENTATION",
    "build_apply",
    "build_load",
    "build_segments",
    "decode_score",
    "encode_entry",
    "pack_int8_array",
    "pack_text_array",
    "render_items",
    "split_request",
]


def _choose(wanted: str) -> tuple[str, ModuleType]:
    """The name and the module of the implementation that ``wanted`` asks for."""
    if wanted not in ("auto", "c", "python"):
        raise ValueError(f"LEADERBOARD_IMPL must be auto, c or python, not {wanted!r}")
    if wanted != "python":
        try:
            return "c", import_module("_speedups._c")
        except ImportError as error:
            if wanted == "c":
                raise ImportError(
                    f"LEADERBOARD_IMPL=c, but the compiled kernels cannot be loaded ({error}); "
                    "install with a C compiler, or set LEADERBOARD_IMPL=auto"
                ) from error
    return "python", import_module("_speedups._py")


IMPLEMENTATION, _module = _choose(os.environ.get("LEADERBOARD_IMPL") or "auto")

if TYPE_CHECKING:
    from _speedups._py import (
        build_apply,
        build_load,
        build_segments,
        decode_score,
        encode_entry,
        pack_int8_array,
        pack_text_array,
        render_items,
        split_request,
    )
else:
    build_apply = _module.build_apply
    build_load = _module.build_load
    build_segments = _module.build_segments
    decode_score = _module.decode_score
    encode_entry = _module.encode_entry
    pack_int8_array = _module.pack_int8_array
    pack_text_array = _module.pack_text_array
    render_items = _module.render_items
    split_request = _module.split_request
