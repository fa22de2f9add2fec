"""The pure modules that a tool mutates place by place, with the tests that hold them: ``pure.toml``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec


class Survivors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many mutants of a module that no test can tell, for the `reason`."""

    count: int
    reason: str


class Module(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A module, the files of its `tests` without ``tests/``, and the number of its `mutants`.

    The classes and functions that it is mutated `without` ask a server, and tests with one hold them.
    """

    path: str
    tests: tuple[str, ...]
    mutants: int
    without: tuple[str, ...] = ()
    survivors: tuple[Survivors, ...] = ()

    @property
    def surviving(self) -> int:
        """The number of mutants that survive."""
        return sum(some.count for some in self.survivors)


class _Modules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    module: tuple[Module, ...]


MODULES: Final = msgspec.toml.decode(Path(__file__).with_name("pure.toml").read_bytes(), type=_Modules).module
