"""Mutate pure modules by cosmic-ray: ``python -m mutants.pure [--only WORD] [--jobs N]`` with ``PYTHONPATH=tests:.``.

Each module is mutated in a copy of the project, one place at a time, and its own tests are run. Survivors are shown as
differences. The exit status is 1 if a module has another number of mutants or survivors than the table (`MODULES`).
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from mutants.forks import serving
from mutants.modules import MODULES, Module
from mutants.project import copy_project

TEST_S: Final = 10
NEAR: Final = (
    "Add_(Sub|Mul|BitOr|BitXor)",
    "Sub_(Add|Mul|Mod|BitXor)",
    "Mul_(Add|Sub|FloorDiv|Pow)",
    "Div_(Mul|Sub|Mod|FloorDiv)",
    "FloorDiv_(Mul|Div|Mod|RShift)",
    "Mod_(Mul|Sub|FloorDiv|BitAnd)",
    "Pow_(Add|Mul|LShift|BitXor)",
    "LShift_(Mul|Pow|RShift)",
    "RShift_(Sub|FloorDiv|LShift)",
    "BitAnd_(Add|Mod|BitOr|BitXor)",
    "BitXor_(Sub|BitAnd|BitOr)",
)
"""Arithmetic as it is mistaken. Of the others, such as a power in the place of a sum, nearly each test can tell."""
LEFT_OUT: Final = (
    # `|` among them: it is that of unions in annotations, which nothing evaluates.
    f"core/ReplaceBinaryOperator_(?!({'|'.join(NEAR)})$)",
    # Identity in the place of equality, which small numbers and interned texts do not tell apart, and the reverse.
    "core/ReplaceComparisonOperator_(Eq|NotEq|Lt|LtE|Gt|GtE)_Is",
    "core/ReplaceComparisonOperator_Is(Not)?_(Eq|NotEq|Lt|LtE|Gt|GtE)",
)
"""Operators of cosmic-ray that make no mutants, as patterns."""
OPTIONS: Final = ("-q", "-x", "--noconftest", "-p", "no:cacheprovider", "-p", "pytest_timeout", "-p", "mutants.quick")
"""Options of pytest. Unit tests of pure modules need no servers, and no other plugins, whose start takes longer."""


class Outcome(msgspec.Struct, frozen=True):
    """The result of one module: its mutants by outcome, the differences of those that survived, and the seconds."""

    outcomes: Counter[str]
    survivors: list[str]
    took_s: float

    def find_fault(self, module: Module) -> str:
        """The difference to the table; empty if there is none."""
        found = (self.outcomes.total(), len(self.survivors), self.outcomes["pending"])
        if found == (module.mutants, module.surviving, 0):
            return ""
        return f"the table has {module.mutants} mutants, {module.surviving} survivors; pending: {found[2]}"


def list_lines(text: str, without: Collection[str]) -> list[str]:
    """The lines of a module without these definitions, as ranges such as ``1-99``.

    The decorators of caches, with the line behind each, are left out, too: a cache changes only the time.
    """
    left_out: set[int] = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            start = min(part.lineno for part in [node, *node.decorator_list])
            if node.name in without:
                left_out |= {*range(start, (node.end_lineno or start) + 1)}
            for part in node.decorator_list:
                if ast.unparse(part).startswith("lru_cache"):
                    left_out |= {part.lineno, part.lineno + 1}
    kept = [line for line in range(1, len(text.splitlines()) + 1) if line not in left_out]
    firsts = [line for line in kept if line - 1 not in kept]
    lasts = [line for line in kept if line + 1 not in kept]
    return [f"{first}-{last}" for first, last in zip(firsts, lasts, strict=True)]


def configure(tree: Path, module: Module, command: str) -> Path:
    """The configuration of a run."""
    path = tree / "cosmic-ray.toml"
    lines = list_lines((tree / module.path).read_text(), module.without)
    path.write_text(
        "[cosmic-ray]\n"
        f'module-path = "{module.path}"\n'
        f"timeout = {3 * TEST_S}.0\n"
        "excluded-modules = []\n"
        f"test-command = {json.dumps(command)}\n"
        "[cosmic-ray.distributor]\n"
        'name = "local"\n'
        "[cosmic-ray.filters.operators-filter]\n"
        f"exclude-operators = {json.dumps(LEFT_OUT)}\n"
        "[cosmic-ray.filters.line-filter.lines]\n"
        f'"{module.path}" = {json.dumps(lines)}\n'
    )
    return path


def run(tree: Path, module: Module) -> Outcome:
    """Run the mutants of one module. Raises `RuntimeError` if its tests fail without a mutation."""
    began = time.monotonic()
    session = tree / "session.sqlite"
    env = {
        **os.environ,
        "PYTHONPATH": f"{tree}{os.pathsep}{tree / 'tests'}",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }

    def call(program: str, *arguments: object) -> str:
        command = [str(Path(sys.executable).with_name(program)), *map(str, arguments)]
        return subprocess.run(command, cwd=tree, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout

    tests = [f"tests/{name}" for name in module.tests]
    name = module.path.removesuffix(".py").replace("/", ".")
    with serving(name, [*OPTIONS, f"--timeout={TEST_S}", *tests], tree, env, 2 * TEST_S) as command:
        config = configure(tree, module, command)
        call("cosmic-ray", "init", config, session)
        call("cr-filter-operators", session, config)
        call("cr-filter-lines", session, "--config", config)
        call("cosmic-ray", "exec", config, session)
    outcomes: Counter[str] = Counter()
    survivors = []
    for line in call("cosmic-ray", "dump", session).splitlines():
        _, result = json.loads(line)
        if result and result["worker_outcome"] == "skipped":
            continue
        outcome = result["test_outcome"] if result else "pending"
        outcomes[outcome] += 1
        if outcome == "survived":
            survivors.append(result["diff"])
    return Outcome(outcomes, survivors, time.monotonic() - began)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="mutants.pure", description=__doc__)
    parser.add_argument("--only", default="", metavar="WORD", help="only modules with this word in their path")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="modules at the same time (default: 2)")
    arguments = parser.parse_args(argv)
    chosen = [module for module in MODULES if arguments.only in module.path]
    bad = 0
    with tempfile.TemporaryDirectory(prefix="lb-mutants-") as directory:
        base = Path(directory, "base")
        copy_project(base)

        def run_one(module: Module) -> Outcome:
            with tempfile.TemporaryDirectory(dir=directory) as own:
                return run(Path(shutil.copytree(base, Path(own, "tree"))), module)

        with ThreadPoolExecutor(arguments.jobs) as pool:
            for module, found in zip(chosen, pool.map(run_one, chosen), strict=True):
                total = found.outcomes.total()
                killed = total - found.outcomes["survived"]
                print(f"{module.path}: {killed} of {total} mutants were killed, {found.took_s:.0f} s", flush=True)
                if fault := found.find_fault(module):
                    bad += 1
                    print(fault, *found.survivors, sep="\n", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
