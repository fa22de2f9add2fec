"""Copies of the product with defects planted in them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from support.repository import REPOSITORY

PACKAGES: Final = ("_speedups", "board", "service", "relay", "ctl")

STRIKE: Final = '''
import os

def strike(name):
    """Fail once for each time that the test has made the file of this name."""
    if os.path.exists(name):
        os.unlink(name)
        raise RuntimeError("planted")
'''


def plant(tree: Path, *edits: tuple[str, str, str]) -> Path:
    """Copy the product to `tree` and replace texts: (file, text, replacement). Fails if a text is not there once."""
    for package in PACKAGES:
        # With what Python has compiled, which counts for a copy, too: it has the sizes and the times of the sources.
        shutil.copytree(REPOSITORY / package, tree / package)
    for name, old, new in edits:
        path = tree / name
        text = path.read_text()
        assert text.count(old) == 1, f"{name} has {text.count(old)} times: {old}"
        path.write_text(text.replace(old, new))
    return tree


def plant_strike(tree: Path, name: str, before: str, *, word: str) -> Path:
    """Copy the product to `tree`; in its file `name`, in front of the statement `before`, it fails once if told to.

    It is told so by a file `word` in `tree`, which is the working directory of its processes.
    """
    (tree / "planted.py").write_text(STRIKE)
    return plant(tree, (name, before, f'__import__("planted").strike({word!r}); {before}'))
