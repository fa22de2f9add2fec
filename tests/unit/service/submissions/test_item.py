"""Fingerprints: what a retry is compared by. Stored ones are of older releases, too."""

from __future__ import annotations

from typing import Any

from service.submissions.item import NO_EXTRAS, Extras, Item, make_digest


class Nobody:
    """A caller that waits for nothing."""

    def done(self) -> bool:
        return False

    def set_result(self, result: Any, /) -> None: ...

    def set_exception(self, error: Any, /) -> None: ...


def fingerprint(number: int = 5, *, scored: bool = False, extras: Extras = NO_EXTRAS) -> str | None:
    item = Item("s", "ada", number, Nobody(), 0.0)
    item.scored, item.extras = scored, extras
    item.set_key("k")
    return item.fingerprint


def test_without_more_than_a_number_they_are_those_of_0_2_0() -> None:
    """Byte for byte: a retry may come after an upgrade. The key that it came with is no part of it."""
    assert fingerprint() == "fe9f0e77ef74833cfbf56713f8701dd3" == make_digest("ada", "5")
    assert fingerprint(scored=True) == "380009bc53635b72fd081f82ab30b3f6"
    assert fingerprint(extras=Extras("4fT9s0aKqZ")) == fingerprint()


def test_every_member_changes_them() -> None:
    told = [
        Extras("", version, metadata)
        for version in ("", "1", "1.0", "{}")
        for metadata in (None, "{}", '{"a":1}', '{"a":"1"}')
    ]
    found = [fingerprint(n, scored=scored, extras=one) for n in (5, 51) for scored in (False, True) for one in told]
    assert len({*found}) == len(found)
