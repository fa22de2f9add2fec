"""Runs in forks: each sees the module as it is now, and none lasts for ever."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mutants.forks import BROKEN, fork, load_without, serving
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
    (made / "double.py").write_text("import number\nDOUBLE = 2 * number.NUMBER\n")
    (made / "once.py").write_text("print('once is loaded', flush=True)\n")
    (made / "test_number.py").write_text(
        "import double\nimport number\nimport once\n\n"
        "def test_number():\n    assert number.NUMBER == 1\n\n"
        "def test_double():\n    assert double.DOUBLE == 2\n"
    )
    # As in a copy of the project, which keeps the times of files.
    for path in made.iterdir():
        os.utime(path, (1e9, 1e9))
    yield made


ENV = {
    **os.environ,
    "PYTHONPATH": f"{REPOSITORY / 'tests'}{os.pathsep}{REPOSITORY}",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}
OPTIONS = ("-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".")


def test_each_run_sees_the_module_as_it_is_also_by_another_one_and_within_one_second(tree: Path) -> None:
    with serving("number", [*OPTIONS, "test_number.py::test_double"], tree, ENV, 60) as command:
        found = []
        for number in (1, 2, 1, 3):
            (tree / "number.py").write_text(f"NUMBER = {number}\n")
            found.append(subprocess.run(shlex.split(command), check=False).returncode)
    assert found == [0, 1, 0, 1]


def test_tests_that_fail_without_a_mutation_are_no_measure(tree: Path) -> None:
    (tree / "number.py").write_text("NUMBER = 2\n")
    with (
        pytest.raises(RuntimeError, match=r"(?s)have to pass.*assert 2 == 1"),
        serving("number", [*OPTIONS, "test_number.py"], tree, ENV, 60),
    ):
        pass


def test_only_the_module_and_those_that_import_it_are_left_to_each_run(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(tree)
    try:
        load_without("number", ["double", "number", "once", "nowhere"])
        assert "once" in sys.modules and not {"double", "number"} & sys.modules.keys()
    finally:
        sys.modules.pop("once", None)
    assert capsys.readouterr().out == "once is loaded\n"
