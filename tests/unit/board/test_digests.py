"""The fingerprints of a submission, found again from what the ledger keeps of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.nobody import Nobody

from board.digests import hash_player, list_fingerprints
from service.submissions.item import Extras, Item

names = st.lists(st.sampled_from(["a", "b", "moves"]), unique=True).map(sorted)


@given(
    user=st.text(min_size=1, max_size=5),
    number=st.integers(-(2**63), 2**63 - 1),
    scored=st.booleans(),
    version=st.sampled_from(["", "1.2"]),
    metadata=st.sampled_from([None, '{"a":1}']),
    columns=names,
    achieved=st.sampled_from([0, 1_700_000_000_000_000]),
    period=st.sampled_from([0, 3]),
)
def test_the_intake_makes_one_of_them(
    user: str,
    number: int,
    scored: bool,
    version: str,
    metadata: str | None,
    columns: list[str],
    achieved: int,
    period: int,
) -> None:
    runs = tuple((name, at - 1) for at, name in enumerate(columns))
    item = Item("s", user, number, Nobody(), 0.0)
    item.scored, item.extras = scored, Extras("k", version, metadata, runs, achieved, period)
    item.set_key("key")
    # The ledger has the number of the period that it counts in, whether it was named or not.
    found = list_fingerprints(user, number, (version, metadata, runs), achieved, 3)
    assert item.fingerprint in found
    assert item.fingerprint not in list_fingerprints(user + "x", number, (version, metadata, runs), achieved, 3)


@pytest.mark.parametrize(("secret", "user"), [(b"other", "ada"), (b"secret", "bob")])
def test_a_hash_of_a_player_is_of_one_player_and_one_installation(secret: bytes, user: str) -> None:
    assert hash_player(b"secret", "ada") == hash_player(b"secret", "ada") != hash_player(secret, user)
