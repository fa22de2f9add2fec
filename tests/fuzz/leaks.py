"""Look for memory that the kernels lose: ``python -m fuzz.leaks``.

Runs every input of the corpus under valgrind, N times and 10 N times. What the interpreter itself never frees is the
same both times; what grows is a leak, and ends with status 1, as does any bad read or write, or a decision by bytes
nobody has written, with a kernel in its stack. Blocks are counted: a lost reference is a lost block. One more run
loses one at each call on purpose, to show that it would be seen.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from support.repository import REPOSITORY

from fuzz.calls import call_of, outcome
from fuzz.run import CORPUS

TIMES: Final = 3
SLACK: Final = 8
"""Blocks by which two runs of an interpreter may differ by themselves."""
LOSING: Final = "losing"
LOST: Final = re.compile(r"(?:definitely|indirectly|possibly) lost: [\d,]+ bytes in ([\d,]+) blocks")
LEFT: Final = re.compile(r"still reachable: [\d,]+ bytes in ([\d,]+) blocks")


def call(times: int, *, losing: bool) -> None:
    """What runs under valgrind."""
    from _speedups import _c

    inputs = [call_of(path.read_bytes()) for path in sorted(CORPUS.iterdir())]
    for _ in range(times):
        for name, arguments, _ in inputs:
            outcome(_c, name, arguments)
            if losing:
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(bytes(100)))


def blocks(times: int, *more: str) -> tuple[int, int, str]:
    """Blocks lost and blocks left at the end of a run, and valgrind's report."""
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        command = ["valgrind", f"--log-file={log}", "--leak-check=full", "--show-leak-kinds=definite,indirect"]
        command += ["--num-callers=30", sys.executable, "-m", "fuzz.leaks", str(times), *more]
        env = {**os.environ, "PYTHONMALLOC": "malloc", "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY}/tests"}
        subprocess.run(command, env=env, check=True)
        report = log.read_text(errors="replace")
    lost, left = (sum(int(n.replace(",", "")) for n in kind.findall(report)) for kind in (LOST, LEFT))
    return lost, left, report


def errors(report: str) -> list[str]:
    """The paragraphs of a report that are about a kernel, leaks aside."""
    paragraphs = re.split(r"\n==\d+== \n", report)
    return [p for p in paragraphs if "_speedups" in p and re.search(r"Invalid|uninitialised|overlap", p)]


def main() -> int:
    """The command."""
    if len(sys.argv) > 1:
        call(int(sys.argv[1]), losing=LOSING in sys.argv)
        return 0
    if shutil.which("valgrind") is None:
        print("valgrind is needed (on Debian: apt install valgrind)")
        return 1
    (few_lost, few_left, _), (lost, left, report) = blocks(TIMES), blocks(10 * TIMES)
    calls = TIMES * len(list(CORPUS.iterdir()))
    print(f"{calls} calls: {few_lost} blocks lost, {few_left} left; {10 * calls} calls: {lost} lost, {left} left")
    losing = blocks(TIMES, LOSING)[0]
    if losing < few_lost + calls:
        print(f"{calls} blocks were lost on purpose, {losing - few_lost} were seen")
        return 1
    bad = errors(report)
    if bad or lost > few_lost + SLACK or left > few_left + SLACK:
        print("\n\n".join(bad) or report[-4_000:])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
