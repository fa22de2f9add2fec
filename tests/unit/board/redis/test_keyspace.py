"""Keys: one slot for everything of a partition, one home for every season, for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from board.partitions import PARTITIONS, partition_of
from board.redis.keyspace import Keyspace


def test_where_seasons_live_never_changes() -> None:
    # Written down once: a change here would leave every existing board behind.
    assert PARTITIONS == 64
    assert [partition_of(s) for s in ("spring", "s", "2024/autumn", "caf\u00e9", "\U0001f600")] == [41, 11, 42, 53, 4]


@given(st.text(min_size=1, max_size=64))
def test_every_season_has_a_partition(season: str) -> None:
    if not any("\ud800" <= c <= "\udfff" for c in season):
        assert 0 <= partition_of(season) < PARTITIONS


def all_keys(keys: Keyspace, partition: int, season: bytes) -> list[bytes]:
    return [
        keys.watermark[partition],
        keys.periods[partition],
        keys.temporary[partition],
        keys.board(partition, season),
        keys.members(partition, season),
        keys.loaded_board(partition, season),
        keys.loaded_members(partition, season),
    ]


@given(st.integers(0, PARTITIONS - 1), st.binary(min_size=1, max_size=40))
def test_all_keys_of_a_partition_share_one_hash_tag(partition: int, season: bytes) -> None:
    for key in all_keys(Keyspace("lb"), partition, season):
        # Redis Cluster: what is between the first { and the first } after it.
        start = key.index(b"{")
        assert key[start + 1 : key.index(b"}", start)] == b"%d" % partition


@given(st.sets(st.binary(min_size=1, max_size=6), min_size=2, max_size=6))
def test_no_two_things_share_a_key(seasons: set[bytes]) -> None:
    keys = Keyspace("lb")
    found = [key for p in (1, 11) for s in seasons for key in all_keys(keys, p, s)[3:]]
    found += [key for p in (1, 11) for key in all_keys(keys, p, b"x")[:3]]
    found += [keys.poke, keys.held]
    assert len(found) == len(set(found))


def test_quotas_share_one_hash_tag() -> None:
    keys = Keyspace("lb")
    assert (keys.limit(b"k:1"), keys.limit(b"p:ada")) == (b"lb:{limits}:k:1", b"lb:{limits}:p:ada")


def test_two_prefixes_never_meet() -> None:
    ours, theirs = Keyspace("lb"), Keyspace("lb2")
    assert not set(all_keys(ours, 3, b"s")) & set(all_keys(theirs, 3, b"s"))
    assert ours.poke != theirs.poke
