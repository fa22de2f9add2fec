"""The table of mutants: the files ``*.toml`` beside this one, one for each layer, or feature."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from mutants.mutant import Mutant


class Layer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The mutants of one layer."""

    mutant: list[Mutant]


FILES: Final = (
    "sql",
    "lua",
    "kernels",
    "service",
    "players",
    "audit",
    "moderation",
    "restrictions",
    "corrections",
    "erasure",
    "segments",
    "relay",
    "board",
    "topology",
    "ctl",
    "bench",
    "ansible",
    "monitoring",
)

MUTANTS: Final = tuple(
    mutant
    for name in FILES
    for mutant in msgspec.toml.decode(Path(__file__).with_name(f"{name}.toml").read_bytes(), type=Layer).mutant
)
"""All mutants, layer by layer."""
