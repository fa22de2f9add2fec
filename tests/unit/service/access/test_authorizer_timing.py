"""Whether a key exists takes no other time to refuse: the same work is done, call by call."""

from __future__ import annotations

import sys
from collections.abc import Callable
from math import inf
from typing import Any

import pytest

from service.access import key_text as keytext
from service.access.authorizer import REFUSALS_BY_REASON, Authorizer
from service.access.grant import Grant
from service.access.key_text import KeyText
from service.access.keyring import Held, Keyring
from service.contract.scopes import SCOPES, pack_scopes

STATES = {"valid": (False, inf), "revoked": (True, inf), "expired": (False, 1.0)}


def impostor(known: KeyText) -> str:
    """The id of a key, and another secret."""
    text = f"{keytext.PREFIX}{known.id}_{'x' * keytext.SECRET_LENGTH}"
    return text + keytext.compute_checksum(text)


def calls(work: Callable[[], object]) -> list[str]:
    """Every function that is called, Python's and C's, in order."""
    made: list[str] = []

    def note(frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            made.append(frame.f_code.co_qualname)
        elif event == "c_call":
            made.append(argument.__qualname__)

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return made[:-1]  # without the end of it


@pytest.fixture
def ring() -> Keyring:
    """A keyring that has read one key in each state."""
    made = Keyring("")
    made._version = 1
    for revoked, until in STATES.values():
        _, kept = keytext.make_key()
        made._held[kept.id] = Held(kept.digest, revoked, Grant(f"k:{kept.id}", pack_scopes(SCOPES), None, until))
    return made


def test_a_wrong_secret_is_refused_by_the_same_work_as_an_unknown_key(ring: Keyring) -> None:
    authorizer = Authorizer(ring)

    def refused(text: str) -> list[str]:
        header = f"Bearer {text}".encode()
        assert authorizer.admit(header, 1, "s") is REFUSALS_BY_REASON["unknown"]
        return calls(lambda: authorizer.admit(header, 1, "s"))

    unknown = refused(keytext.make_key()[0])
    assert sum("compare_digest" in call for call in unknown) == 1 and sum("sha256" in call for call in unknown) == 1
    for name, held in ring._held.items():
        # Of one that is revoked or expired, too, only who has its secret is told.
        assert refused(impostor(KeyText(name, held.digest))) == unknown


def test_the_comparison_is_of_equal_lengths(ring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    """compare_digest takes the same time for texts of the same length only."""
    seen: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        seen.append((len(one), len(other)))
        return False

    monkeypatch.setattr("service.access.keyring.hmac.compare_digest", compare)
    for name in [*ring._held, "0000000000"]:
        assert ring.find(KeyText(name, keytext.hash_secret("x"))) == "unknown"
    assert seen == [(32, 32)] * 4
