"""The house: import arrows, sizes of modules, and the layout of the tests."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from support.repository import REPOSITORY

PACKAGES = ("_speedups", "board", "service", "relay", "ctl")
MODULES = sorted(path for name in PACKAGES for path in (REPOSITORY / name).rglob("*.py"))
TESTS = sorted((REPOSITORY / "tests").rglob("*.py"))
UNIT = REPOSITORY / "tests/unit"
UNIT_TESTS = [path for path in TESTS if path.is_relative_to(UNIT) and path.name.startswith("test_")]

TEST_LINES = 450
MODULE_LINES = 400
"""The most lines of a file; a module should have about 300."""
LARGER = {"board/config/settings.py": 500}
"""A table of all settings, which does not gain by division."""

OF_NO_MODULE = {
    "test_architecture.py": "board",
    "test_compose.py": "docker-compose.yml",
    "test_decoders.py": "service",
    "test_locks.py": "locks",
    "test_monitoring.py": "monitoring",
    "test_prose.py": "docs",
    "test_releases.py": "CHANGELOG.md",
    "test_security_page.py": "SECURITY.md",
    "test_templates.py": "ansible",
    "test_vocabulary.py": "docs/glossary.md",
}
"""Unit tests of more than one module, or of none: each with the folder or the page that it is about."""


def test_import_arrows_go_one_way() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert f"{len(contracts)} kept, 0 broken" in done.stdout


def test_service_and_relay_never_import_each_other() -> None:
    for ours, theirs in (("service", "relay"), ("relay", "service")):
        for path in (REPOSITORY / ours).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not any(name.split(".")[0] == theirs for name in names), path


def misfits(paths: Iterable[Path], most_lines: int) -> list[str]:
    """Files that do not say what they are, or are longer than they may be."""
    found = []
    for path in paths:
        name, text = str(path.relative_to(REPOSITORY)), path.read_text(encoding="utf-8")
        if not ast.get_docstring(ast.parse(text)):
            found.append(f"{name} does not say what it is")
        if (lines := text.count("\n")) > (most := LARGER.get(name, most_lines)):
            found.append(f"{name} has {lines} lines, more than {most}")
    return found


def test_modules_say_what_they_are_and_fit_in_the_head() -> None:
    assert misfits(MODULES, MODULE_LINES) == []
    assert [path for path in MODULES if re.search("TODO|FIXME", path.read_text(encoding="utf-8"))] == []


def test_files_of_the_tests_fit_in_the_head() -> None:
    assert misfits(TESTS, TEST_LINES) == []


def module_of(test: Path) -> Path | None:
    """The module that a unit test is about: `<folder>/test_<module>.py`, or `test_<module>_<promise>.py`.

    Modules are Python, Cython, Lua or SQL files, or packages; `test_init.py` is about `__init__.py`.
    """
    folder = REPOSITORY / test.parent.relative_to(UNIT)
    words = test.stem.removeprefix("test_").split("_")
    for end in range(len(words), 0, -1):
        name = "_".join(words[:end])
        for stem in (name, f"_{name}", f"__{name}__"):
            for suffix in ("", ".py", ".pyx", ".pxi", ".lua", ".sql"):
                if (folder / f"{stem}{suffix}").exists():
                    return folder / f"{stem}{suffix}"
    return None


def test_every_unit_test_lies_where_its_module_lies() -> None:
    for path in UNIT_TESTS:
        name = str(path.relative_to(UNIT))
        if name in OF_NO_MODULE:
            assert (REPOSITORY / OF_NO_MODULE[name]).exists(), name
        else:
            assert path.parent != UNIT and module_of(path), f"{name} mirrors no module; is it one for OF_NO_MODULE?"


def test_the_unit_tests_of_no_module_exist() -> None:
    assert {path.name for path in UNIT.glob("test_*.py")} == set(OF_NO_MODULE)


def test_tests_share_helpers_through_support_only() -> None:
    """Not through a conftest, nor another test file, nor private names."""
    ours = {path.name for path in (REPOSITORY / "tests").iterdir() if path.is_dir()}
    for path in TESTS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                imported = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            else:
                continue
            for name in imported:
                words = name.split(".")
                assert "conftest" not in words, f"{path}:{node.lineno}: {name}"
                assert not any(word.startswith("test_") for word in words), f"{path}:{node.lineno}: {name}"
                private = any(word.startswith("_") for word in words[1:])
                assert not (words[0] in ours and private), f"{path}:{node.lineno}: {name}"


def test_no_broad_except() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                broad = node.type is None or (
                    isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
                )
                assert not broad, f"{path}:{node.lineno}"


def test_every_query_is_used() -> None:
    from board.pg.queries import queries

    code = "".join(path.read_text(encoding="utf-8") for path in MODULES)
    unused = [name for name in queries() if f'"{name}"' not in code]
    assert not unused
