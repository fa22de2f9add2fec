"""One module shows data: the only one that knows rich, and that names the command as it can be typed."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
from support.repository import REPOSITORY

from ctl import output


def test_only_one_module_knows_rich() -> None:
    users = [
        str(path.relative_to(REPOSITORY))
        for folder in ("ctl", "service", "relay", "board")
        for path in (REPOSITORY / folder).rglob("*.py")
        if re.search(r"^\s*(?:from|import) rich\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert users == ["ctl/output.py"]


def test_the_command_is_named_as_it_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    monkeypatch.chdir(tmp_path)
    script = tmp_path / ".venv/bin/leaderboard"
    assert output.find_program_name() == "leaderboard", "it is not beside the interpreter"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert output.name_program("run `leaderboard migrate`") == "run `.venv/bin/leaderboard migrate`"
    assert output.name_program("the leaderboard at `leaderboard`") == "the leaderboard at `leaderboard`"
    monkeypatch.chdir(REPOSITORY)
    assert output.find_program_name() == str(script)
    monkeypatch.setenv("PATH", str(script.parent))
    assert shutil.which("leaderboard") and output.find_program_name() == "leaderboard"
