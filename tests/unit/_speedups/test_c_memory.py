"""The compiled kernels give all memory back."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from typing import Any

from support.kernels import copy_row, int8_array, outcome, reply, text_array


def test_the_compiled_kernels_give_all_memory_back(compiled: Any) -> None:
    big = "u" * 200_000
    users_array, ones, bad = text_array([big, big]), int8_array([1, 1]), int8_array([1, -1])
    placed = b"\0\5" + copy_row(big.encode(), 1, 1)[2:] + b"\0\0\0\4c:KR" * 2
    calls: list[tuple[Any, ...]] = [
        (compiled.pack_text_array, [big]),
        (compiled.pack_text_array, [big, "\0"]),
        (compiled.pack_text_array, [big, 1]),
        (compiled.pack_int8_array, [1] * 20_000),
        (compiled.pack_int8_array, [1] * 20_000 + [2**64]),
        (compiled.build_apply, b"s", [], [], [((), users_array, ones, ones)]),
        (compiled.build_apply, b"s", [], [], [((), users_array, ones, bad)]),
        (compiled.build_apply, b"s", [], [], [((), users_array, ones, ones), None]),
        (compiled.build_load, b"z", b"h", copy_row(big.encode(), 1, 1), 1),
        (compiled.build_load, b"z", b"h", copy_row(big.encode(), 1, 1) + b"\0", 1),
        (compiled.build_segments, b"s", b"g", placed, 1),
        (compiled.build_segments, b"s", b"g", placed + b"\0", 1),
        (compiled.render_items, reply(big, 1), 1),
        (compiled.render_items, [*reply(big, 1), bytes(10) + b"\xff", b"0"], 1),
        (compiled.split_request, b"GET /a HTTP/1.1\r\nhost:x\r\nauthorization:%b\r\n\r\n" % (b"a" * 7_000)),
        (compiled.encode_entry, 2**80, 0),
        (compiled.decode_score, 1, b"short"),
    ]

    def round_of_calls() -> None:
        for function, *args in calls:
            outcome(function, *args)

    tracemalloc.start()
    try:
        for _ in range(3):
            round_of_calls()
        gc.collect()
        before, references = tracemalloc.get_traced_memory()[0], sys.getrefcount(users_array)
        for _ in range(100):
            round_of_calls()
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    # One buffer that is forgotten once per round would be 20 MB.
    assert after - before < 50_000
    assert sys.getrefcount(users_array) == references
