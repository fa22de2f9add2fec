"""Bytes that were cut or damaged are refused or make sense."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from support.kernels import (
    COPY_HEADER,
    COPY_TRAILER,
    INT64_MAX,
    INT64_MIN,
    commands_of,
    copy_row,
    int8_array,
    load,
    outcome,
    reply,
    text_array,
)

from _speedups import _py


def valid_calls() -> list[tuple[str, list[Any], list[tuple[int, ...]]]]:
    """Function, arguments, and the paths of the byte strings in them that a stranger could have damaged."""
    names = ["ann", "", "Zoë", "b" * 40, None]
    numbers = [1, INT64_MIN, INT64_MAX, 2**52, None]
    group = ((b"S",), text_array(names[:4]), int8_array([*numbers[:3], None]), int8_array([1, 2, 3, None]))
    rows = COPY_HEADER + copy_row(b"ann", 1, 1) + copy_row(b"", INT64_MIN, 2) + copy_row(b"b" * 40, 7, 3)
    more = b"\0\0\0\4c:KR\0\0\0\4c:KR"
    placed = b"".join(b"\0\5" + copy_row(user, 1, 1)[2:] + more for user in (b"ann", b"", b"b" * 40))
    window = [*reply("ann", 5), *reply("Zoë😀", INT64_MIN), *reply("\n", -(2**60)), bytes(10), b"4.5e+2"]
    return [
        ("decode_score", [-1500, bytes(10) + b"ann"], [(1,)]),
        ("build_apply", [b"sha", (b"k",), (b"h",), (group,)], [(3, 0, 1), (3, 0, 2), (3, 0, 3)]),
        ("build_load", [b"z", b"h", rows + COPY_TRAILER, 2], [(2,)]),
        ("build_segments", [b"s:", b"g", placed + COPY_TRAILER, 2], [(2,)]),
        ("render_items", [tuple(window), 1], [(0, index) for index in range(len(window))]),
    ]


def part_at(value: Any, path: tuple[int, ...]) -> Any:
    for index in path:
        value = value[index]
    return value


def replaced(value: Any, path: tuple[int, ...], part: bytes) -> Any:
    if not path:
        return part
    parts = list(value)
    parts[path[0]] = replaced(parts[path[0]], path[1:], part)
    return type(value)(parts)


def answer_is_well_formed(name: str, answer: Any) -> None:
    if name == "build_apply":
        assert len(commands_of(answer)) == 1
    elif name in ("build_load", "build_segments"):
        assert len(commands_of(answer[0])) == answer[1]
    elif name == "render_items":
        json.loads(answer)


@pytest.mark.parametrize(("name", "args", "paths"), valid_calls(), ids=lambda value: str(value)[:12])
def test_truncated_input_is_refused_or_makes_sense(impl: Any, name: str, args: Any, paths: Any) -> None:
    function = getattr(impl, name)
    answer_is_well_formed(name, function(*args))
    for path in paths:
        whole = part_at(args, path)
        for size in range(len(whole)):
            kind, answer = outcome(function, *replaced(args, path, whole[:size]))
            assert kind == "answer" or answer == "ValueError"
            if kind == "answer":
                answer_is_well_formed(name, answer)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("name", "args", "paths"), valid_calls(), ids=lambda value: str(value)[:12])
def test_damaged_input_is_refused_or_makes_sense(name: str, args: Any, paths: Any, seed: int) -> None:
    implementations = [_py, load("c")]
    dice = random.Random(seed)

    def damage(data: bytes) -> bytes:
        damaged = bytearray(data)
        for _ in range(dice.randint(1, 3)):
            action = dice.randrange(4)
            at = dice.randrange(len(damaged)) if damaged else 0
            if action == 0 and damaged:
                damaged[at] ^= 1 << dice.randrange(8)
            elif action == 1 and damaged:
                damaged[at] = dice.choice([0, 1, 3, 8, 0x7F, 0x80, 0xFF])
            elif action == 2:
                damaged[at:at] = dice.randbytes(dice.randint(1, 4))
            else:
                del damaged[at : at + dice.randint(1, 4)]
        return bytes(damaged)

    for _ in range(500):
        path = dice.choice(paths)
        broken = replaced(args, path, damage(part_at(args, path)))
        answers = [outcome(getattr(module, name), *broken) for module in implementations]
        assert answers[0] == answers[1], (seed, broken)
        kind, answer = answers[0]
        assert kind == "answer" or answer == "ValueError"
        if kind == "answer":
            answer_is_well_formed(name, answer)
