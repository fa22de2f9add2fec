"""Micro-benchmark of the byte kernels: `python -m bench.micro`.

Each table sets the compiled kernel beside its pure-Python twin and beside what one would use without kernels. All
sides of a table must give equal bytes before anything is timed. They run in one process and take turns, so that a
slow moment of the machine hits all of them; the figure is the median over the turns, the spread the distance of
the quartiles. The column "includes" says what a side does: some of the rivals do only a part of the job.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import importlib.metadata
import platform
import random
import statistics
import struct
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import hiredis
import msgspec
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import Format
from rich.console import Console
from rich.table import Table

from _speedups import _py

INT8_ARRAY_OID, TEXT_ARRAY_OID = 1016, 1009
SHA = b"0123456789abcdef0123456789abcdef01234567"
TURN_NS = 4_000_000  # One measurement lasts about this long, far above the clock's resolution.


class Side(NamedTuple):
    """One way to get the bytes of a case."""

    name: str
    includes: str
    call: Callable[[], bytes]


class Case(NamedTuple):
    """One table: ``sides[0]`` is the compiled kernel, the base of the ratios."""

    name: str
    rows: int
    sides: list[Side]


class SideResult(msgspec.Struct, frozen=True):
    """Nanoseconds per row: median and quartiles; ``ratio`` is the median over that of the compiled kernel."""

    name: str
    includes: str
    median_ns: float
    q1_ns: float
    q3_ns: float
    ratio: float


class CaseResult(msgspec.Struct, frozen=True):
    name: str
    rows: int
    sides: list[SideResult]


class Report(msgspec.Struct, frozen=True):
    machine: str
    versions: dict[str, str]
    rounds: int
    cases: list[CaseResult]


class RankedItem(msgspec.Struct, frozen=True):
    rank: int
    userId: str
    score: int


# --- The cases -------------------------------------------------------------------------------------------


def players(rows: int) -> tuple[list[str], list[int], list[int]]:
    """Users, scores and sequence numbers like those of a season under way; the same at every run."""
    dice = random.Random(20)
    users = [f"player-{dice.randrange(10**9):09d}" for _ in range(rows)]
    # Past int4, or psycopg would choose a smaller array type and the bytes would differ.
    scores = [dice.randrange(2**31, 2**40) for _ in range(rows)]
    reached = [2**32 + index for index in range(rows)]
    return users, scores, reached


def apply_case(c: Any, rows: int) -> Case:
    users, scores, reached = players(rows)
    keys, head = [b"lb:{17}:z:1", b"lb:{17}:h:1", b"lb:{17}:mark"], [b"12345", b"7300000000000000000-1"]
    arrays = [_py.pack_text_array(users), _py.pack_int8_array(scores), _py.pack_int8_array(reached)]
    groups = [((b"1",), arrays[0], arrays[1], arrays[2])]
    transformer = Transformer()
    text_loader = transformer.get_loader(TEXT_ARRAY_OID, Format.BINARY)
    int8_loader = transformer.get_loader(INT8_ARRAY_OID, Format.BINARY)

    def arguments() -> tuple[bytes | str, ...]:
        names: list[str] = text_loader.load(arrays[0])
        points: list[int] = int8_loader.load(arrays[1])
        times: list[int] = int8_loader.load(arrays[2])
        found: list[bytes | str] = ["EVALSHA", SHA, str(len(keys)), *keys, *head, b"1", str(len(names))]
        zscores = []
        for name, score, time_ in zip(names, points, times, strict=True):
            zscore, prefix = c.encode_entry(score, time_)
            found += name, prefix
            zscores.append(str(zscore))
        return (*found, *zscores)

    ready = arguments()
    redis: Any = importlib.import_module("redis.connection")  # Its functions have no types.
    connection = redis.Connection()
    python_packer = redis.PythonRespSerializer(6000, connection.encoder.encode)
    whole, part = "arrays to command", "packing of ready arguments only"
    return Case(
        "build_apply",
        rows,
        [
            Side("C kernel", whole, lambda: bytes(c.build_apply(SHA, keys, head, groups))),
            Side("Python twin", whole, lambda: _py.build_apply(SHA, keys, head, groups)),
            Side("psycopg + hiredis", f"{whole}, entries by the C kernel", lambda: hiredis_pack(arguments())),
            Side(
                "psycopg + redis-py",
                f"{whole}, entries by the C kernel",
                lambda: b"".join(connection.pack_command(*arguments())),
            ),
            Side("hiredis.pack_command", part, lambda: hiredis_pack(ready)),
            Side("redis-py, its hiredis packer", part, lambda: b"".join(connection.pack_command(*ready))),
            Side("redis-py, its Python packer", part, lambda: b"".join(python_packer.pack(*ready))),
        ],
    )


def hiredis_pack(arguments: tuple[bytes | str, ...]) -> bytes:
    packed: bytes = hiredis.pack_command(arguments)  # type: ignore[arg-type]
    return packed


def load_case(c: Any, rows: int) -> Case:
    tuples = []
    for user, score, reached in zip(*players(rows), strict=True):
        name = user.encode()
        tuples.append(struct.pack(f">hi{len(name)}siqiq", 3, len(name), name, 8, score, 8, reached))
    piece = b"".join(tuples)
    whole = "COPY rows to commands of 1,000 pairs"
    return Case(
        "build_load",
        rows,
        [
            Side("C kernel", whole, lambda: bytes(c.build_load(b"lb:{17}:z:1", b"lb:{17}:h:1", piece, 1000)[0])),
            Side("Python twin", whole, lambda: _py.build_load(b"lb:{17}:z:1", b"lb:{17}:h:1", piece, 1000)[0]),
        ],
    )


def pack_case(name: str, values: list[Any], c: Any) -> Case:
    transformer = Transformer()
    compiled, twin = getattr(c, name), getattr(_py, name)
    whole = "list to array"
    return Case(
        name,
        len(values),
        [
            Side("C kernel", whole, lambda: bytes(compiled(values))),
            Side("Python twin", whole, lambda: bytes(twin(values))),
            Side(
                "psycopg's dumper",
                f"{whole}, choice of the type",
                lambda: bytes(transformer.get_dumper(values, PyFormat.BINARY).dump(values) or b""),
            ),
        ],
    )


def items_case(c: Any, rows: int) -> Case:
    replies: list[bytes] = []
    for user, score, reached in zip(*players(rows), strict=True):
        zscore, prefix = _py.encode_entry(score, reached)
        replies += prefix + user.encode(), b"%d" % zscore
    encoder = msgspec.json.Encoder()

    def items() -> list[RankedItem]:
        return [
            RankedItem(
                1 + index // 2,
                replies[index][10:].decode(),
                c.decode_score(int(replies[index + 1]), replies[index]),
            )
            for index in range(0, len(replies), 2)
        ]

    ready = items()
    whole = "replies to JSON"
    return Case(
        "render_items",
        rows,
        [
            Side("C kernel", whole, lambda: bytes(c.render_items(replies, 1))),
            Side("Python twin", whole, lambda: _py.render_items(replies, 1)),
            Side("structs + msgspec", f"{whole}, scores by the C kernel", lambda: encoder.encode(items())),
            Side("msgspec", "encoding of ready structs only", lambda: encoder.encode(ready)),
        ],
    )


# --- Measuring -------------------------------------------------------------------------------------------


def measure(case: Case, rounds: int) -> CaseResult:
    """Check that all sides agree, then time them in turns; an `AssertionError` when they do not."""
    expected = case.sides[0].call()
    for side in case.sides:
        if side.call() != expected:
            raise AssertionError(f"{case.name}: the bytes of {side.name} differ from those of the C kernel")
    repeats = [max(1, TURN_NS // max(1, timed(side.call, 3) // 3)) for side in case.sides]
    samples: list[list[float]] = [[] for _ in case.sides]
    enabled = gc.isenabled()
    gc.disable()
    try:
        for turn in range(rounds):
            for step in range(len(case.sides)):
                # Another side begins each turn, so that none always follows the same one.
                at = (turn + step) % len(case.sides)
                elapsed = timed(case.sides[at].call, repeats[at])
                samples[at].append(elapsed / repeats[at] / case.rows)
            gc.collect()
    finally:
        if enabled:
            gc.enable()
    base = statistics.median(samples[0])
    results = []
    for side, values in zip(case.sides, samples, strict=True):
        q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
        results.append(SideResult(side.name, side.includes, median, q1, q3, median / base))
    return CaseResult(case.name, case.rows, results)


def timed(call: Callable[[], bytes], repeats: int) -> int:
    start = time.perf_counter_ns()
    for _ in range(repeats):
        call()
    return time.perf_counter_ns() - start


def show(report: Report, console: Console) -> None:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    console.print(f"{report.machine}; {versions}; {report.rounds} rounds", highlight=False)
    for case in report.cases:
        table = Table(title=f"{case.name}, {case.rows:,} rows", title_justify="left", title_style="bold")
        table.add_column("side")
        table.add_column("includes", style="dim")
        for column in ("ns/row", "spread", "x C kernel"):
            table.add_column(column, justify="right")
        for side in case.sides:
            spread = (side.q3_ns - side.q1_ns) / side.median_ns
            table.add_row(side.name, side.includes, f"{side.median_ns:,.1f}", f"{spread:.0%}", f"{side.ratio:.1f}")
        console.print(table)


def machine() -> str:
    """The processor by its name where Linux tells it, with the number of cores this process may use."""
    name = platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass  # Not Linux: the architecture has to do.
    return name


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def arguments_of(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.micro",
        description="Time the compiled byte kernels beside their pure-Python twin, redis-py, hiredis, psycopg "
        "and msgspec. Every side must give equal bytes before it is timed.",
        epilog="Exit codes: 0 measured, 1 sides gave different bytes, 2 usage, or no compiled kernels.",
    )
    parser.add_argument("--rows", type=positive, default=2000, help="rows of a batch (default: %(default)s)")
    parser.add_argument("--window", type=positive, default=100, help="rows of a rendered window (default: %(default)s)")
    parser.add_argument(
        "--rounds", type=positive, default=25, help="turns of each side (default: %(default)s, about 4 s in all)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit code."""
    options = arguments_of(argv)
    try:
        c = importlib.import_module("_speedups._c")
    except ImportError as error:
        print(f"bench.micro: the compiled kernels are not built ({error})", file=sys.stderr)
        return 2
    users, scores, _ = players(options.rows)
    cases = [
        apply_case(c, options.rows),
        load_case(c, options.rows),
        pack_case("pack_int8_array", scores, c),
        pack_case("pack_text_array", users, c),
        items_case(c, options.window),
    ]
    try:
        results = [measure(case, max(2, options.rounds)) for case in cases]
    except AssertionError as error:
        print(f"bench.micro: {error}", file=sys.stderr)
        return 1
    names = ("redis", "hiredis", "psycopg", "msgspec")
    versions = {"Python": platform.python_version()} | {n: importlib.metadata.version(n) for n in names}
    report = Report(machine(), versions, max(2, options.rounds), results)
    if options.json:
        print(msgspec.json.encode(report).decode())
    else:
        show(report, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())
