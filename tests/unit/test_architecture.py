"""The house: who may import whom, and what a module may weigh."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from support.repository import REPOSITORY

PACKAGES = ("_speedups", "board", "service", "relay", "ctl")
MODULES = sorted(path for name in PACKAGES for path in (REPOSITORY / name).rglob("*.py"))


def test_import_arrows_go_one_way() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept, 0 broken" in done.stdout


def test_service_and_relay_never_import_each_other() -> None:
    for ours, theirs in (("service", "relay"), ("relay", "service")):
        for path in (REPOSITORY / ours).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not any(name.split(".")[0] == theirs for name in names), path


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_modules_say_what_they_are_and_fit_in_the_head(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "a module says what it is"
    assert text.count("\n") <= 450
    assert "TODO" not in text and "FIXME" not in text


def test_no_broad_except() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                broad = node.type is None or (
                    isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
                )
                assert not broad, f"{path}:{node.lineno}"


def test_every_query_is_used() -> None:
    from board.pg.session import queries

    code = "".join(path.read_text(encoding="utf-8") for path in MODULES)
    unused = [name for name in queries() if f'"{name}"' not in code]
    assert not unused
