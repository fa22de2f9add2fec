"""Each guard has a broken twin: without the guard, a fault must be found out. Else nothing would be proved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.repository import REPOSITORY

from faults.mutants import MUTANTS, SAMPLE, Mutant, make

pytestmark = pytest.mark.faults


EACH = [
    pytest.param(mutant, id=mutant.guard, marks=() if mutant.guard in SAMPLE else pytest.mark.full)
    for mutant in MUTANTS
]


@pytest.mark.parametrize("mutant", EACH)
def test_without_its_guard_the_product_is_found_out(mutant: Mutant, tmp_path: Path) -> None:
    tree = make(mutant, tmp_path / "tree")
    tmp_path.chmod(0o711)
    report = tmp_path / "report.json"
    command = [
        *(sys.executable, "-m", "faults.run", "--only", mutant.fault, "--tree", str(tree), "--json", str(report)),
        # What the sampler would mend, nobody mends: it is the guard that is looked at, not the net below it.
        *("--set", "LEADERBOARD_RELAY_SAMPLE_MS=3600000", "--heal-within", "8", "--until-broken"),
    ]
    env = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'tests'}{os.pathsep}{REPOSITORY}"}
    ran = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=400)
    assert ran.returncode == 1, f"nobody noticed\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
    found = {name for outcome in json.loads(report.read_text())["outcomes"] for name in outcome["breaches"]}
    assert found & set(mutant.found_as), (found, ran.stdout[-3000:])
