"""The table of mutants fits the sources: each text is there once, each killing test exists, the page shows it."""

from __future__ import annotations

import ast
import contextlib
import io
from collections import Counter
from collections.abc import Iterator
from functools import cache

import pytest
from mutants import page
from mutants.modules import MODULES, Module
from mutants.mutant import Mutant, mutate
from mutants.table import MUTANTS
from support.repository import REPOSITORY

LAYERS = {"SQL", "Lua", "kernels", "service", "relay", "board", "ctl", "bench", "ansible", "monitoring"}


@cache
def functions_of(file: str) -> set[str]:
    """The names of the functions in a file of the tests."""
    tree = ast.parse((REPOSITORY / "tests" / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def faults(mutant: Mutant) -> Iterator[str]:
    """The reasons why a mutant does not fit."""
    text = (REPOSITORY / mutant.file).read_text()
    if text.count(mutant.old) != 1:
        yield f"{mutant.file} has {text.count(mutant.old)} times: {mutant.old}"
    elif mutate(mutant) == text:
        yield "it changes nothing"
    if bool(mutant.killed_by) == bool(mutant.reason):
        yield "a mutant has tests that fail, or a reason"
    for node in mutant.killed_by:
        file, _, name = node.partition("::")
        if not name.startswith("test_") or name not in functions_of(file):
            yield f"there is no test {node}"


def test_every_mutant_is_where_its_guard_is() -> None:
    assert [(mutant.guard, fault) for mutant in MUTANTS for fault in faults(mutant)] == []


def test_there_are_mutants_of_every_layer_and_nearly_all_are_killed() -> None:
    assert {mutant.layer for mutant in MUTANTS} == LAYERS
    assert len(MUTANTS) >= 60
    assert len([mutant for mutant in MUTANTS if mutant.killed_by]) >= 0.95 * len(MUTANTS)
    assert max(Counter(mutant.guard for mutant in MUTANTS).values()) == 1
    assert {mutant.layer for mutant in MUTANTS if mutant.sample} == LAYERS


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.path)
def test_a_pure_module_has_its_tests_and_each_survivor_a_reason(module: Module) -> None:
    defined = {getattr(node, "name", "") for node in ast.parse((REPOSITORY / module.path).read_text()).body}
    assert {*module.without} <= defined
    assert module.tests and all((REPOSITORY / "tests" / test).is_file() for test in module.tests)
    assert all(some.count > 0 and some.reason.endswith(".") for some in module.survivors)


def test_nearly_all_mutants_of_pure_modules_are_killed() -> None:
    """The others are equivalent, each with its reason."""
    assert max(Counter(module.path for module in MODULES).values()) == 1
    surviving, total = sum(module.surviving for module in MODULES), sum(module.mutants for module in MODULES)
    assert total >= 1_000 and surviving <= 0.04 * total


def test_the_page_is_that_of_the_table() -> None:
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        page.main()
    assert (REPOSITORY / "docs" / "mutants.md").read_text(encoding="utf-8") == written.getvalue(), "run `make docs`"
