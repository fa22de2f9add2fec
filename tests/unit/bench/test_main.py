"""`python -m bench`: each command of the table can be called, and each is listed in ``--help``."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
from support.absent import absent

from bench.__main__ import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_a_help_of_its_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "perf" and importlib.util.find_spec("pyperf") is None:
        absent("pyperf is not installed (extra bench)")
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"python -m bench {name}" in " ".join(capsys.readouterr().out.split())


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(f"  {name} " in text and summary in text for name, (_, summary) in COMMANDS.items())


def test_a_command_does_not_import_the_others() -> None:
    code = """import sys, bench.__main__ as m
m.main(["schema"])
mine = m.COMMANDS["schema"][0]
sys.exit(", ".join({module for module, _ in m.COMMANDS.values()} & sys.modules.keys() - {mine}) or 0)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and '"Report of python -m bench"' in done.stdout
