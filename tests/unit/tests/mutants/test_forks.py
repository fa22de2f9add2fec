"""Runs in forks: each sees the module as it is now, and none lasts for ever."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from mutants.forks import BROKEN, fork, serving
from support.repository import REPOSITORY


def hang() -> int:
    while True:
        signal.pause()


def fail() -> int:
    raise AssertionError


def test_an_act_ends_with_its_status_or_with_that_of_a_failure() -> None:
    assert [fork(lambda: 0, 60), fork(lambda: 3, 60), fork(fail, 60)] == [0, 3, BROKEN]
    assert fork(hang, 0.01) != 0


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A module with its test, in a directory of its own."""
    made = tmp_path / "tree"
    made.mkdir()
    (made / "number.py").write_text("NUMBER = 1\n")
    (made / "test_number.py").write_text("import number\n\ndef test_number():\n    assert number.NUMBER == 1\n")
    # As in a copy of the project, which keeps the times of files.
    os.utime(made / "number.py", (1e9, 1e9))
    yield made


ENV = {
    **os.environ,
    "PYTHONPATH": f"{REPOSITORY / 'tests'}{os.pathsep}{REPOSITORY}",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}
OPTIONS = ("-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", "test_number.py")


def test_each_run_sees_the_module_as_it_is_even_within_one_second(tree: Path) -> None:
    with serving(OPTIONS, tree, ENV, 60) as command:
        found = []
        for number in (1, 2, 1, 3):
            (tree / "number.py").write_text(f"NUMBER = {number}\n")
            found.append(subprocess.run(shlex.split(command), check=False).returncode)
    assert found == [0, 1, 0, 1]


def test_tests_that_fail_without_a_mutation_are_no_measure(tree: Path) -> None:
    (tree / "number.py").write_text("NUMBER = 2\n")
    with pytest.raises(RuntimeError, match=r"(?s)have to pass.*assert 2 == 1"), serving(OPTIONS, tree, ENV, 60):
        pass
