"""Instructions per row of each kernel, counted by callgrind: ``python -m bench callgrind [--check | --write]``.

Instruction counts are the same on a busy machine as on an idle one. The baseline is ``callgrind.json``; ``--check``
ends with status 1 when a kernel needs 10 % more than the baseline. Another compiler or processor library counts
differently, so each count is taken relative to a reference loop of the same run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from bench import REPOSITORY
from board.errors import ChildFailed, LeaderboardError, UsageError

BASELINE: Final = Path(__file__).with_name("callgrind.json")
ROWS: Final = 500
TOLERANCE: Final = 0.10
COMMON: Final = f"""
import random, struct
from _speedups import _c as k
rows = {ROWS}
dice = random.Random(7)
users = [f"player-{{dice.randrange(10**6)}}" for _ in range(rows)]
scores = [dice.randrange(-10**6, 10**6) for _ in range(rows)]
reached = list(range(1, rows + 1))
texts, ints, marks = k.pack_text_array(users), k.pack_int8_array(scores), k.pack_int8_array(reached)
"""
KERNELS: Final = {
    "pack_text_array": "k.pack_text_array(users)",
    "pack_int8_array": "k.pack_int8_array(scores)",
    "build_apply": "k.build_apply(b'0' * 40, [b'w', b'p', b'z', b'h'], [b'1', b'0', b'x'],"
    " [((b's', b'1'), texts, ints, marks)])",
    "build_load": "k.build_load(b'z', b'h', copied, 1000)",
    "build_segments": "k.build_segments(b's', b'g', placed, 1000)",
    "render_items": "k.render_items(replies, 0)",
}
"""The call of each kernel that is counted, with `ROWS` rows."""
PREPARE: Final = {
    "build_load": """
def row(u, s, r):
    u = u.encode()
    return struct.pack(">hi", 3, len(u)) + u + struct.pack(">iqiq", 8, s, 8, r)
copied = b"PGCOPY\\n\\xff\\r\\n\\0" + struct.pack(">ii", 0, 0)
copied += b"".join(map(row, users, scores, reached)) + b"\\xff\\xff"
""",
    "build_segments": """
def row(u, s, r):
    u, of = u.encode(), b"country:%d" % (r * 200 // (rows + 1))
    return b"".join((
        struct.pack(">hi", 5, len(u)), u, struct.pack(">iqiq", 8, s, 8, r), *2 * (struct.pack(">i", len(of)), of)))
placed = b"".join(map(row, users, scores, reached)) + b"\\xff\\xff"
""",
    "render_items": """
replies = [x for u, s, r in zip(users, scores, reached)
           for x in (b"\\0\\0" + r.to_bytes(8, "big") + u.encode(), b"%d" % -s)]
""",
}
REFERENCE: Final = "sorted"
"""Name of the reference: CPython's own sort of the scores."""


class Count(msgspec.Struct, frozen=True):
    """Instructions per row, and the same relative to the reference of the run."""

    per_row: float
    relative: float


def count_instructions(name: str, directory: Path) -> int:
    """Instructions inside one call of a kernel or of the reference. Raises `ChildFailed` when valgrind fails."""
    symbol, call = ("list_sort_impl*", "sorted(scores)") if name == REFERENCE else (f"__pyx_pw_*{name}", KERNELS[name])
    program = f"{COMMON}{PREPARE.get(name, '')}\n{call}\n"
    out = directory / f"{name}.out"
    argv = [
        "valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--collect-atstart=no",
        f"--toggle-collect={symbol}", sys.executable, "-c", program,
    ]  # fmt: skip
    env = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(argv, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildFailed(f"valgrind ended with status {done.returncode}: {' '.join(done.stderr.split())[-400:]}")
    for line in out.read_text().splitlines():
        if line.startswith(("summary:", "totals:")):
            counted = int(line.split()[1])
            if counted:
                return counted
    raise ChildFailed(f"callgrind counted nothing inside {symbol}")


def count_kernels() -> dict[str, Count]:
    """The counts of every kernel, by its name."""
    with tempfile.TemporaryDirectory(prefix="leaderboard-callgrind-") as directory:
        reference = count_instructions(REFERENCE, Path(directory))
        found = {name: count_instructions(name, Path(directory)) for name in KERNELS}
    return {name: Count(round(n / ROWS, 1), round(n / reference, 4)) for name, n in found.items()}


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench callgrind", description="Count instructions of the kernels.")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="compare with the baseline; status 1 if a kernel needs more")
    what.add_argument("--write", action="store_true", help="write the baseline from this run")
    args = parser.parse_args(argv)
    try:
        if shutil.which("valgrind") is None:
            raise UsageError("not installed: valgrind; install with: apt install valgrind")
        found = count_kernels()
    except LeaderboardError as error:
        print(f"bench callgrind: {error}", file=sys.stderr)
        return error.exit_code
    if args.write:
        BASELINE.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    base = msgspec.json.decode(BASELINE.read_bytes(), type=dict[str, Count])
    table = Table(header_style="bold")
    for name in ("kernel", "instructions per row", "baseline", "change"):
        table.add_column(name, justify="left" if name == "kernel" else "right")
    worse = []
    for name, count in found.items():
        change = count.relative / base[name].relative - 1
        if change > TOLERANCE:
            worse.append(name)
        table.add_row(name, f"{count.per_row:,.1f}", f"{base[name].per_row:,.1f}", f"{change:+.1%}")
    Console().print(table)
    if args.check and worse:
        print(f"bench callgrind: more instructions than the baseline allows: {', '.join(worse)}", file=sys.stderr)
        return 1
    return 0
