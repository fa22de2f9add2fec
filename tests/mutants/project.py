"""A copy of the project, in which something may be changed."""

from __future__ import annotations

import shutil
import subprocess
from itertools import chain
from pathlib import Path

from support.repository import REPOSITORY


def copy_project(tree: Path) -> None:
    """Copy all that git knows or would add, and the compiled kernels."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    kernels = (str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "_speedups").glob("*.so"))
    for name in chain(filter(None, listed.split("\0")), kernels):
        if (REPOSITORY / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, tree / name)
