"""Write docs/mutants.md: ``python -m mutants.page > docs/mutants.md`` with ``PYTHONPATH=tests:.``, or ``make docs``."""

from __future__ import annotations

import sys
from itertools import groupby

from mutants.modules import MODULES, Module
from mutants.mutant import Mutant
from mutants.table import MUTANTS

HEAD = """# Mutants

Generated from `tests/mutants` by `make docs`.

A mutant is a copy of the project in which one guard is taken out or one bound is moved. `make
mutants` makes each of them, and runs only the tests that have to fail with it. The rows with * are
run in CI. `make mutants-pure` lets a tool mutate [pure modules](#pure-modules), place by place. The
mutants that need minutes of faults are in `tests/faults/mutants.py`; see
[guarantees.md](guarantees.md).

"""


def main() -> int:
    """Print the page."""
    killed = [mutant for mutant in MUTANTS if mutant.killed_by]
    sys.stdout.write(HEAD)
    print(f"{len(MUTANTS)} mutants, {len(killed)} of them are killed.")
    for layer, group in groupby(killed, key=lambda mutant: mutant.layer):
        print(f"\n## {layer}\n\n| guard or bound | file | killed by |\n|---|---|---|")
        for mutant in group:
            print(f"| {mutant.guard}{' *' if mutant.sample else ''} | `{mutant.file}` | {describe(mutant)} |")
    if survivors := [mutant for mutant in MUTANTS if not mutant.killed_by]:
        print("\n## Survivors\n\n| guard or bound | file | why no test can tell |\n|---|---|---|")
        for mutant in survivors:
            print(f"| {mutant.guard} | `{mutant.file}` | {mutant.reason} |")
    total, surviving = sum(module.mutants for module in MODULES), sum(module.surviving for module in MODULES)
    print(f"\n## Pure modules\n\n{total} mutants, {total - surviving} of them are killed by unit tests.")
    print("\n| module | mutants | killed | why no test can tell the others |\n|---|---|---|---|")
    for module in MODULES:
        killed_here = module.mutants - module.surviving
        print(f"| `{module.path}`{leave_out(module)} | {module.mutants} | {killed_here} | {explain(module)} |")
    return 0


def describe(mutant: Mutant) -> str:
    """The tests that kill it, each as file and name."""
    return ", ".join(f"`{node.rpartition('/')[2].replace('::', ' ')}`" for node in mutant.killed_by)


def leave_out(module: Module) -> str:
    """The parts of a module that are not mutated."""
    return f" without {', '.join(f'`{name}`' for name in module.without)}" if module.without else ""


def explain(module: Module) -> str:
    """The reasons of a module's survivors, each with their number."""
    return " ".join(f"{some.count}: {some.reason}" for some in module.survivors)


if __name__ == "__main__":
    sys.exit(main())
