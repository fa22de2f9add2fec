"""Slots, tags and the keys of commands: by them a cluster finds the node."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from board.partitions import PARTITIONS
from board.redis.async_cluster import spell_out
from board.redis.async_protocol import pack
from board.redis.keyspace import Keyspace
from board.redis.options import Address
from board.redis.routing import find_slot, key_in, key_of
from board.redis.scripts import script
from board.redis.topology.layout import NOBODY, SLOTS, Layout, slot_of, tag_of


@pytest.mark.parametrize(
    ("key", "slot"),
    # The first is the check value of CRC-16/XMODEM, the others are what CLUSTER KEYSLOT of Redis 7.0 says.
    [(b"123456789", 0x31C3), (b"foo", 12182), (b"{user1000}.following", 3443), (b"foo{}{bar}", 8363), (b"", 0)],
)
def test_slots_are_those_of_redis(key: bytes, slot: int) -> None:
    assert find_slot(key) == slot_of(tag_of(key)) == slot


@pytest.mark.parametrize(
    ("key", "tag"),
    [
        (b"lb:{17}:w", b"17"),
        (b"{a}{b}", b"a"),
        (b"a{}b", b"a{}b"),
        (b"a{b", b"a{b"),
        (b"a}b{c}", b"c"),
        (b"a}b", b"a}b"),
        (b"{a}}b}", b"a"),
        (b"{{a}}", b"{a"),
        (b"a", b"a"),
    ],
)
def test_a_tag_is_what_the_first_braces_hold(key: bytes, tag: bytes) -> None:
    assert tag_of(key) == tag


@pytest.mark.parametrize("masters", [1, 2, 4, 8, 16, 32, 64])
def test_so_many_masters_get_equal_shares(masters: int) -> None:
    keys = Keyspace("lb", cluster=True)
    shares = Counter(find_slot(mark) * masters // SLOTS for mark in keys.watermark)
    assert {*shares.values()} == {PARTITIONS // masters} and len(shares) == masters


def test_the_tags_are_those_of_the_first_release_that_had_them() -> None:
    keys = Keyspace("lb", cluster=True)
    assert [find_slot(mark) for mark in keys.watermark] == [256 * p + 128 for p in range(PARTITIONS)]
    assert keys.watermark[0] == b"lb:{53t}:w" and keys.watermark[63] == b"lb:{e3z}:w"


def test_keys_that_one_script_uses_share_a_slot() -> None:
    keys = Keyspace("lb", cluster=True)
    assert find_slot(keys.poke) == find_slot(keys.held)
    for p in range(PARTITIONS):
        one = [keys.watermark[p], keys.periods[p], keys.temporary[p], keys.board(p, b"s"), keys.members(p, b"s{x}")]
        one += [keys.loaded_board(p, b"s"), keys.loaded_members(p, b"s")]
        assert len({find_slot(key) for key in one}) == 1
    assert find_slot(keys.limit(b"k:a")) == find_slot(keys.limit(b"u:{b}"))


def test_one_redis_keeps_its_keys() -> None:
    """Releases before 0.3.0 use them at the same time during an upgrade."""
    keys = Keyspace("lb")
    assert (keys.poke, keys.held, keys.watermark[17]) == (b"lb:poke", b"lb:held", b"lb:{17}:w")
    keys.adopt(cluster=True)
    keys.adopt(cluster=False)
    assert (keys.poke, keys.held, keys.watermark[17]) == (b"lb:poke", b"lb:held", b"lb:{17}:w")


@pytest.mark.parametrize(
    ("command", "key"),
    [
        ((b"HGET", b"lb:{a}:w", b"fence"), b"lb:{a}:w"),
        (("hget", "lb:{a}:w", "fence"), b"lb:{a}:w"),
        ((b"EVALSHA_RO", b"0" * 40, b"2", b"k1", b"k2"), b"k1"),
        ((b"EVAL", b"return 1\n-- \r", b"1", b"k"), b"k"),
        ((b"PING",), None),
        ((b"DBSIZE",), None),
        ((b"EVAL", b"return 1"), None),
        ((b"EVAL", b"return 1", b"0"), None),
        (("HELLO",), None),
        ((b"SCRIPT", b"LOAD", b"return 1"), None),
    ],
)
def test_the_key_of_a_command_is_found_packed_or_not(command: tuple[Any, ...], key: bytes | None) -> None:
    assert key_of(command) == key_in(pack(command)) == key


@pytest.mark.parametrize(("short", "long"), [(b"EVALSHA", b"EVAL"), (b"EVALSHA_RO", b"EVAL_RO")])
def test_a_call_by_digest_is_spelled_out(short: bytes, long: bytes) -> None:
    top = script("top")
    arguments = (b"1", b"a key", b"\x00\r\n", b"")
    assert spell_out(top, pack((short, top.sha, *arguments))) == pack((long, top.source, *arguments))


def test_slots_without_an_owner_are_missing() -> None:
    masters = (Address("a", 1), Address("b", 2))
    assert Layout("cluster", masters, [0, -1, 1, -1, -1, 0]).missing == 3
    assert Layout("cluster", masters, [0, 1, 1]).missing == Layout("standalone", masters[:1]).missing == 0
    assert NOBODY == -1 and Layout("standalone", masters[:1]).epoch == 0


def test_a_layout_never_changes() -> None:
    layout = Layout("standalone", (Address("a", 1),))
    with pytest.raises(AttributeError):
        layout.epoch = 1  # type: ignore[misc]
