"""Cases of the kernel benchmarks: each byte kernel, its pure-Python twin, and libraries that do the same.

All implementations of a case must give equal bytes before they are timed. `includes` names the part of the work that an
implementation does, since some libraries do only a part.
"""

from __future__ import annotations

import importlib
import random
import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import hiredis
import msgspec
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import Format

from _speedups import _py

INT8_ARRAY_OID: Final = 1016
TEXT_ARRAY_OID: Final = 1009
SHA: Final = b"0123456789abcdef0123456789abcdef01234567"


class Implementation(NamedTuple):
    """One way to get the bytes of a case. `includes` names the part of the work that it does."""

    name: str
    includes: str
    call: Callable[[], bytes]


class Case(NamedTuple):
    """One kernel with an input of `rows` rows. ``implementations[0]`` is the compiled one, the base of the ratios."""

    name: str
    rows: int
    implementations: list[Implementation]


class RankedItem(msgspec.Struct, frozen=True):
    """An entry of a leaderboard, as the service would encode it without kernels."""

    rank: int
    userId: str
    score: int


def players(rows: int) -> tuple[list[str], list[int], list[int]]:
    """Users, scores and sequence numbers, `rows` of each, like those of a live season; the same in every run."""
    dice = random.Random(20)
    users = [f"player-{dice.randrange(10**9):09d}" for _ in range(rows)]
    # Past int4, or psycopg would choose a smaller array type and the bytes would differ.
    scores = [dice.randrange(2**31, 2**40) for _ in range(rows)]
    reached = [2**32 + index for index in range(rows)]
    return users, scores, reached


def apply_case(c: Any, rows: int) -> Case:
    """``build_apply``: arrays of PostgreSQL to one command for Redis. `c` is the module of compiled kernels."""
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
            Implementation("C kernel", whole, lambda: bytes(c.build_apply(SHA, keys, head, groups))),
            Implementation("Python twin", whole, lambda: _py.build_apply(SHA, keys, head, groups)),
            Implementation("psycopg + hiredis", f"{whole}, entries by the C kernel", lambda: hiredis_pack(arguments())),
            Implementation(
                "psycopg + redis-py",
                f"{whole}, entries by the C kernel",
                lambda: b"".join(connection.pack_command(*arguments())),
            ),
            Implementation("hiredis.pack_command", part, lambda: hiredis_pack(ready)),
            Implementation("redis-py, its hiredis packer", part, lambda: b"".join(connection.pack_command(*ready))),
            Implementation("redis-py, its Python packer", part, lambda: b"".join(python_packer.pack(*ready))),
        ],
    )


def hiredis_pack(arguments: tuple[bytes | str, ...]) -> bytes:
    """The arguments as one RESP command."""
    packed: bytes = hiredis.pack_command(arguments)  # type: ignore[arg-type]
    return packed


def load_case(c: Any, rows: int) -> Case:
    """``build_load``: rows of a binary COPY to commands for Redis."""
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
            Implementation(
                "C kernel", whole, lambda: bytes(c.build_load(b"lb:{17}:z:1", b"lb:{17}:h:1", piece, 1000)[0])
            ),
            Implementation(
                "Python twin", whole, lambda: _py.build_load(b"lb:{17}:z:1", b"lb:{17}:h:1", piece, 1000)[0]
            ),
        ],
    )


def segments_case(c: Any, rows: int) -> Case:
    """``build_segments``: rows of a binary COPY, in ten segments, to commands for Redis."""
    tuples = []
    for at, (user, score, reached) in enumerate(zip(*players(rows), strict=True)):
        name, of = user.encode(), b"country:%d" % (10 * at // rows)
        tuples.append(
            struct.pack(f">hi{len(name)}siqiq", 5, len(name), name, 8, score, 8, reached)
            + 2 * (struct.pack(">i", len(of)) + of)
        )
    piece = b"".join(tuples)
    whole = "COPY rows to commands of 1,000 pairs"
    keys = (b"lb:{17}:ts:1\n", b"lb:{17}:tg:1")
    return Case(
        "build_segments",
        rows,
        [
            Implementation("C kernel", whole, lambda: bytes(c.build_segments(*keys, piece, 1000)[0])),
            Implementation("Python twin", whole, lambda: _py.build_segments(*keys, piece, 1000)[0]),
        ],
    )


def pack_case(name: str, values: list[Any], c: Any) -> Case:
    """``pack_text_array`` or ``pack_int8_array``: a list to an array in PostgreSQL's binary format."""
    transformer = Transformer()
    compiled, twin = getattr(c, name), getattr(_py, name)
    whole = "list to array"
    return Case(
        name,
        len(values),
        [
            Implementation("C kernel", whole, lambda: bytes(compiled(values))),
            Implementation("Python twin", whole, lambda: bytes(twin(values))),
            Implementation(
                "psycopg's dumper",
                f"{whole}, choice of the type",
                lambda: bytes(transformer.get_dumper(values, PyFormat.BINARY).dump(values) or b""),
            ),
        ],
    )


def items_case(c: Any, rows: int) -> Case:
    """``render_items``: replies of Redis to JSON."""
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
            Implementation("C kernel", whole, lambda: bytes(c.render_items(replies, 1))),
            Implementation("Python twin", whole, lambda: _py.render_items(replies, 1)),
            Implementation("structs + msgspec", f"{whole}, scores by the C kernel", lambda: encoder.encode(items())),
            Implementation("msgspec", "encoding of ready structs only", lambda: encoder.encode(ready)),
        ],
    )


def entry_case(c: Any, rows: int) -> Case:
    """``encode_entry`` and ``decode_score``, one call of each per row; the figure includes the loop around them."""
    _, scores, reached = players(rows)
    pairs = list(zip(scores, reached, strict=True))

    def both(k: Any) -> bytes:
        found = bytearray()
        for score, time in pairs:
            zscore, prefix = k.encode_entry(score, time)
            found += prefix
            found += b"%d" % k.decode_score(zscore, prefix)
        return bytes(found)

    whole = "encode_entry, decode_score, and the loop"
    return Case(
        "entry",
        rows,
        [Implementation("C kernel", whole, lambda: both(c)), Implementation("Python twin", whole, lambda: both(_py))],
    )


def make_cases(rows: int, window: int) -> list[Case]:
    """Every case: batches of `rows` rows, and a list of `window` entries to render.

    Raises `ImportError` when the kernels are not compiled.
    """
    c = importlib.import_module("_speedups._c")
    users, scores, _ = players(rows)
    return [
        apply_case(c, rows),
        load_case(c, rows),
        segments_case(c, rows),
        pack_case("pack_int8_array", scores, c),
        pack_case("pack_text_array", users, c),
        items_case(c, window),
        entry_case(c, rows),
    ]


def find_differing(case: Case) -> list[str]:
    """Names of the implementations whose bytes differ from those of the compiled kernel."""
    expected = case.implementations[0].call()
    return [implementation.name for implementation in case.implementations if implementation.call() != expected]
