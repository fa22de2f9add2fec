"""Arguments of wrong types are errors, and subclasses are read as what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.kernels import ONE_NUMBER, ONE_USER, int8_array, outcome, reply


def test_wrong_types_are_type_errors(impl: Any) -> None:
    group = ((), ONE_USER, ONE_NUMBER, ONE_NUMBER)
    calls: list[tuple[Any, ...]] = [
        (impl.encode_entry, 1.0, 1),
        (impl.encode_entry, 1, None),
        (impl.decode_score, 1.0, bytes(10)),
        (impl.decode_score, 1, "0123456789"),
        (impl.decode_score, 1, bytearray(10)),
        (impl.pack_int8_array, None),
        (impl.pack_int8_array, range(3)),
        (impl.pack_int8_array, ["1"]),
        (impl.pack_int8_array, [1.0]),
        (impl.pack_text_array, "abc"),
        (impl.pack_text_array, [b"a"]),
        (impl.pack_text_array, iter(["a"])),
        (impl.build_apply, "s", [], [], []),
        (impl.build_apply, b"s", b"key", [], []),
        (impl.build_apply, b"s", ["key"], [], []),
        (impl.build_apply, b"s", [], [None], []),
        (impl.build_apply, b"s", [], [], group),
        (impl.build_apply, b"s", [], [], [list(group)]),
        (impl.build_apply, b"s", [], [], [group[:3]]),
        (impl.build_apply, b"s", [], [], [(b"ab", *group[1:])]),
        (impl.build_apply, b"s", [], [], [((), memoryview(ONE_USER), ONE_NUMBER, ONE_NUMBER)]),
        (impl.build_load, None, b"h", b"", 1),
        (impl.build_load, b"z", "h", b"", 1),
        (impl.build_load, b"z", b"h", bytearray(), 1),
        (impl.build_load, b"z", b"h", b"", 1.0),
        (impl.build_segments, None, b"g", b"", 1),
        (impl.build_segments, b"s", "g", b"", 1),
        (impl.build_segments, b"s", b"g", bytearray(), 1),
        (impl.build_segments, b"s", b"g", b"", 1.0),
        (impl.render_items, [bytes(10), "1"], 0),
        (impl.render_items, [bytes(10), 1.0], 0),
        (impl.render_items, [None, b"1"], 0),
        (impl.render_items, b"ab", 0),
        (impl.render_items, [], None),
    ]
    for function, *args in calls:
        with pytest.raises(TypeError):
            function(*args)


def test_subclasses_are_read_as_what_they_hold(impl: Any) -> None:
    class Shifty(list[Any]):
        """A list that would change while it is iterated by Python code."""

        def __iter__(self) -> Iterator[Any]:
            self.clear()
            return iter(())

    assert impl.pack_int8_array([True, False]) == int8_array([1, 0])
    assert impl.pack_int8_array(Shifty()) == int8_array([])
    # What it answers does not matter; that it neither crashes nor writes out of its buffer does.
    outcome(impl.pack_text_array, Shifty(["a"] * 50))
    outcome(impl.render_items, Shifty(reply("a", 1) * 50), 0)
