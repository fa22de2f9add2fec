"""`If-Match`: the revisions for which a change may go on."""

from __future__ import annotations

import pytest

from service.contract.preconditions import make_precondition, make_tag


@pytest.mark.parametrize(
    ("header", "matching"),
    [
        (None, {None, 1, 2, 12}),
        ("*", {1, 2, 12}),
        (" * ", {1, 2, 12}),
        ('"1"', {1}),
        (' "1" , "12"', {1, 12}),
        ('W/"1"', set()),
        ('W/"1", "2"', {2}),
        ('"1", nonsense', {1}),
        ("1", set()),
        ('""', set()),
        ("", set()),
        ('"None"', set()),
        ('"*"', set()),
    ],
)
def test_a_change_goes_on_for_these_revisions(header: str | None, matching: set[int | None]) -> None:
    allows = make_precondition(header)
    assert {revision for revision in (None, 1, 2, 12) if allows(revision)} == matching


def test_the_tag_of_a_revision_matches_it_alone() -> None:
    assert make_tag(7) == '"7"'
    allows = make_precondition(make_tag(7))
    assert allows(7) and not allows(8) and not allows(None)
