"""Run the mutants: each in a copy of the project, against only the tests that kill it.

``python -m mutants.run [--sample] [--only WORD] [--jobs N]`` with ``PYTHONPATH=tests:.``. First the tests have to pass
in a copy without a mutation. The exit status is 1 if a mutant survives that should not, or dies that should not.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec

from mutants.mutant import Mutant, mutate
from mutants.project import copy_project
from mutants.table import MUTANTS

TEST_S: Final = 60
TIMEOUT_S: Final = 240
"""For each test of a mutant, and for all of one mutant. A mutant that makes a test hang is found, too."""
PATIENCE_S: Final = "12"
"""Seconds for which a test waits for what no promise bounds: with a mutant it may never come."""
PASSED, FAILED = 0, 1


class Result(msgspec.Struct, frozen=True):
    """What became of a mutant: killed, survived or broken (its tests could not be run); and the tests' output."""

    mutant: Mutant
    outcome: str
    took_s: float
    output: str = ""

    @property
    def expected(self) -> bool:
        return self.outcome == ("killed" if self.mutant.killed_by else "survived")


def run_tests(tree: Path, nodes: Sequence[str], *options: str, within_s: float = TIMEOUT_S) -> tuple[int, str]:
    """Run tests of a copy; pytest's exit status (`FAILED` after the time is up), and its output."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--timeout={TEST_S}", *options]
    env = {
        **os.environ,
        "PYTHONPATH": f"{tree}{os.pathsep}{tree / 'tests'}",
        "LEADERBOARD_TEST_PATIENCE_S": PATIENCE_S,
    }
    with subprocess.Popen(
        # Also tests that the default run leaves out: -m "" is in the place of that of pyproject.toml.
        [*command, "-m", "", *(f"tests/{node}" for node in nodes)],
        cwd=tree,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as child:
        try:
            output, _ = child.communicate(timeout=within_s)
        except subprocess.TimeoutExpired:
            # Its servers are told by the kernel.
            os.killpg(child.pid, signal.SIGKILL)
            output, _ = child.communicate()
            return FAILED, output
    return child.returncode, output


def compile_kernels(tree: Path) -> tuple[int, str]:
    """Build the kernels of a copy in place; exit status and output."""
    for built in (tree / "_speedups").glob("*.so"):
        built.unlink()
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=tree, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def run_mutant(mutant: Mutant, base: Path, nodes: Sequence[str] = ()) -> Result:
    """Run one mutant against its tests, or against `nodes`."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lb-mutant-", dir=base.parent) as directory:
        tree = Path(directory, "tree")
        # Hard links: the copy costs nothing, and only the mutated file is written anew.
        shutil.copytree(base, tree, copy_function=os.link)
        text = mutate(mutant, base)
        (tree / mutant.file).unlink()
        (tree / mutant.file).write_text(text)
        status, output = compile_kernels(tree) if mutant.compiled else (0, "")
        if status:
            return Result(mutant, "broken", time.monotonic() - began, output)
        status, output = run_tests(tree, nodes or mutant.killed_by, "-x")
    outcome = {PASSED: "survived", FAILED: "killed"}.get(status, "broken")
    return Result(mutant, outcome, time.monotonic() - began, output)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="mutants.run", description=__doc__)
    parser.add_argument("--sample", action="store_true", help="only those that CI runs")
    parser.add_argument("--only", default="", metavar="WORD", help="only those with this word in guard or file")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="at the same time (default: 2)")
    parser.add_argument("--tests", nargs="*", default=(), metavar="TEST", help="these tests instead of the table's")
    arguments = parser.parse_args(argv)
    chosen = [
        mutant
        for mutant in MUTANTS
        if (mutant.sample or not arguments.sample)
        and arguments.only in f"{mutant.guard} {mutant.file}"
        and (mutant.killed_by or arguments.tests)
    ]
    with tempfile.TemporaryDirectory(prefix="lb-mutants-") as directory:
        Path(directory).chmod(0o711)
        base = Path(directory, "base")
        copy_project(base)
        nodes = sorted({*chain.from_iterable(arguments.tests or mutant.killed_by for mutant in chosen)})
        if not arguments.sample:
            print(f"the {len(nodes)} tests of {len(chosen)} mutants, without a mutation", flush=True)
            apart = ("-n", str(arguments.jobs), "--dist", "worksteal")
            status, output = run_tests(base, nodes, *apart, within_s=TEST_S * len(nodes))
            if status != PASSED:
                print(f"without a mutation the tests have to pass:\n{output[-6000:]}")
                return 1
        bad = 0
        with ThreadPoolExecutor(arguments.jobs) as pool:
            results = pool.map(lambda mutant: run_mutant(mutant, base, arguments.tests), chosen)
            for number, result in enumerate(results, 1):
                mutant = result.mutant
                print(
                    f"{number:3}/{len(chosen)} {result.outcome:8} {result.took_s:5.1f} s  "
                    f"{mutant.layer}: {mutant.guard}",
                    flush=True,
                )
                if not result.expected:
                    bad += 1
                    print(result.output[-3000:])
    print(f"{len(chosen) - bad} of {len(chosen)} mutants were killed")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
