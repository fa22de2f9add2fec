"""Members of the sorted set of pokes: partitions, and seasons that a reader suspects."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from board.redis.poke import Suspicion, parse_poke

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=64)


@given(names, names | st.just(""))
def test_a_suspicion_comes_back(season: str, user: str) -> None:
    suspicion = Suspicion(season, user)
    assert parse_poke(suspicion.mark()) == suspicion
    assert not suspicion.mark().isdigit(), "a relay of an older release ignores it"


def test_partitions() -> None:
    assert [parse_poke(member) for member in (b"0", b"63")] == [0, 63]


def test_other_members_are_ignored() -> None:
    assert [parse_poke(member) for member in (b"64", b"-1", b"x", b"", b"1.5")] == [None] * 5
    assert parse_poke(b"!\xff") == Suspicion("\ufffd")
