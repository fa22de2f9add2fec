"""`If-Match` and `If-None-Match`: the revisions for which a change may go on."""

from __future__ import annotations

import pytest

from service.contract.preconditions import always, make_precondition, make_tag


def allowed(if_match: str | None, if_none_match: str | None) -> set[int | None]:
    allows = make_precondition(if_match, if_none_match)
    assert allows is not None
    return {revision for revision in (None, 1, 2, 12) if allows(revision)}


@pytest.mark.parametrize(
    ("header", "matching"),
    [
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
def test_a_change_goes_on_for_these_revisions(header: str, matching: set[int | None]) -> None:
    assert allowed(header, None) == matching


@pytest.mark.parametrize(
    ("header", "matching"),
    [
        ("*", {None}),
        ('"1"', {None, 2, 12}),
        ('W/"1", "12"', {None, 2}),
        ("1", {None, 1, 2, 12}),
        ("", {None, 1, 2, 12}),
    ],
)
def test_a_change_goes_on_for_all_but_these_revisions(header: str, matching: set[int | None]) -> None:
    assert allowed(None, header) == matching


def test_both_headers_hold() -> None:
    assert allowed('"1", "2"', '"2"') == {1}
    assert allowed("*", "*") == set()


def test_a_change_without_them_has_no_precondition() -> None:
    assert make_precondition(None) is None
    assert {always(revision) for revision in (None, 1)} == {True}


def test_the_tag_of_a_revision_matches_it_alone() -> None:
    assert make_tag(7) == '"7"'
    assert allowed(make_tag(2), None) == {2}
