"""One mutant: a change to one file, and the tests that fail with it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from support.repository import REPOSITORY

KERNELS: Final = (".pyx", ".pxi")


class Mutant(msgspec.Struct, frozen=True):
    """The `guard` that goes: in `file` stands `new` in the place of `old`, and the tests `killed_by` fail.

    A test is given as pytest names it, without ``tests/``. A mutant without tests survives, for the `reason`. Those of
    the `sample` run in CI, too.
    """

    guard: str
    file: str
    old: str
    new: str
    killed_by: tuple[str, ...] = ()
    reason: str = ""
    sample: bool = False

    @property
    def layer(self) -> str:
        """The layer of the file, as the page of the mutants names it."""
        if self.file.endswith((".sql", ".lua")):
            return "SQL" if self.file.endswith(".sql") else "Lua"
        return {"_speedups": "kernels"}.get(first := self.file.partition("/")[0], first)

    @property
    def compiled(self) -> bool:
        """Whether the kernels have to be compiled anew."""
        return self.file.endswith(KERNELS)


def mutate(mutant: Mutant, tree: Path = REPOSITORY) -> str:
    """The file's text with the mutation. Fails unless the old text is there exactly once."""
    text = (tree / mutant.file).read_text()
    assert text.count(mutant.old) == 1, f"{mutant.file} has {text.count(mutant.old)} times: {mutant.old}"
    return text.replace(mutant.old, mutant.new)
