"""Mutate pure modules by cosmic-ray: ``python -m mutants.pure [--only WORD]`` with ``PYTHONPATH=tests:.``.

Each module is mutated in a copy of the project, one place at a time, and its own tests are run. Survivors are shown as
differences. The exit status is 1 if a module has more of them than the table allows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from mutants.project import copy_project

TEST_S: Final = 20
ANNOTATIONS: Final = "core/ReplaceBinaryOperator_BitOr_.*"
"""The operator of unions in annotations, which nothing evaluates."""


class Module(msgspec.Struct, frozen=True):
    """A module, its tests, and how many mutants may survive, for the `reason`."""

    path: str
    tests: str
    survivors: int = 0
    reason: str = ""


MODULES: Final = (
    Module("board/process/backoff.py", "tests/unit/board/process/test_backoff.py"),
    Module("board/process/throttle.py", "tests/unit/board/process/test_throttle.py"),
    Module("board/partitions.py", "tests/unit/board/redis/test_keyspace.py"),
    Module("relay/schedule.py", "tests/unit/relay/test_schedule.py"),
    Module("service/submissions/apart.py", "tests/unit/service/submissions/test_apart.py"),
    Module("service/http/addresses.py", "tests/unit/service/http/test_addresses.py"),
)


def configure(tree: Path, module: Module) -> Path:
    """The configuration of a run."""
    path = tree / "cosmic-ray.toml"
    command = f"{sys.executable} -m pytest -q -x -p no:cacheprovider -p no:xdist --timeout={TEST_S} {module.tests}"
    path.write_text(
        "[cosmic-ray]\n"
        f'module-path = "{module.path}"\n'
        f"timeout = {2 * TEST_S}.0\n"
        "excluded-modules = []\n"
        f'test-command = "{command}"\n'
        "[cosmic-ray.distributor]\n"
        'name = "local"\n'
        "[cosmic-ray.filters.operators-filter]\n"
        f'exclude-operators = ["{ANNOTATIONS}"]\n'
    )
    return path


def run(tree: Path, module: Module) -> tuple[Counter[str], list[str]]:
    """Run the mutants of one module: their outcomes by name, and the differences of those that survived."""
    config, session = configure(tree, module), tree / "session.sqlite"
    session.unlink(missing_ok=True)
    env = {**os.environ, "PYTHONPATH": f"{tree}{os.pathsep}{tree / 'tests'}", "HYPOTHESIS_MAX_EXAMPLES": "50"}
    program = str(Path(sys.executable).with_name("cosmic-ray"))
    for arguments in (["init", str(config), str(session)], ["exec", str(config), str(session)]):
        subprocess.run([program, *arguments], cwd=tree, env=env, check=True)
    dump = subprocess.run(
        [program, "dump", str(session)], cwd=tree, env=env, check=True, capture_output=True, text=True
    )
    outcomes: Counter[str] = Counter()
    survivors = []
    for line in dump.stdout.splitlines():
        _, result = json.loads(line)
        outcome = result["test_outcome"] if result else "pending"
        outcomes[outcome] += 1
        if outcome == "survived":
            survivors.append(result["diff"])
    return outcomes, survivors


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="mutants.pure", description=__doc__)
    parser.add_argument("--only", default="", metavar="WORD", help="only modules with this word in their path")
    arguments = parser.parse_args(argv)
    bad = False
    for module in MODULES:
        if arguments.only not in module.path:
            continue
        with tempfile.TemporaryDirectory(prefix="lb-mutants-") as directory:
            tree = Path(directory, "tree")
            copy_project(tree)
            outcomes, survivors = run(tree, module)
        total = outcomes.total()
        killed = total - outcomes["survived"]
        print(f"{module.path}: {killed} of {total} mutants were killed", flush=True)
        for survivor in survivors:
            print(survivor)
        bad |= outcomes["pending"] > 0 or len(survivors) > module.survivors
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
