"""Feeds are a graph without a cycle, of a bounded reach."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from board.errors import InvalidFeeds
from board.feeds import FEEDS_MOST, check_feeds, find_reach

names = st.sampled_from("abcdefgh")


@pytest.mark.parametrize(
    ("feeds", "graph", "text"),
    [
        (["s"], {}, "itself"),
        (["a", "a"], {}, "twice"),
        (["a"], {"a": ["s"]}, "back"),
        (["a"], {"a": ["b"], "b": ["c", "s"]}, "back"),
    ],
)
def test_what_leads_back_is_refused(feeds: list[str], graph: dict[str, list[str]], text: str) -> None:
    with pytest.raises(InvalidFeeds, match=text):
        check_feeds("s", feeds, graph)


def test_a_missing_season_is_named() -> None:
    with pytest.raises(InvalidFeeds, match="does not exist: b"):
        check_feeds("s", ["c", "b", "a"], {}, ["c", "b"])


def test_a_submission_reaches_a_bounded_number_of_seasons() -> None:
    others = [f"o{n}" for n in range(FEEDS_MOST)]
    check_feeds("s", others, {})
    with pytest.raises(InvalidFeeds, match="16 others"):
        check_feeds("s", ["o0"], {"o0": others[1:], "o1": ["x", "y"], "z": ["s"]})
    # Also for those that feed this one.
    with pytest.raises(InvalidFeeds, match="submission to z"):
        check_feeds("s", others, {"z": ["s"]})
    # What is the same season by two ways counts once.
    check_feeds("s", others, {"o0": others[1:]})


@given(st.lists(st.tuples(names, st.lists(names, max_size=4))))
def test_no_order_of_changes_makes_a_cycle(changes: list[tuple[str, list[str]]]) -> None:
    graph: dict[str, list[str]] = {}
    for season, feeds in changes:
        try:
            check_feeds(season, feeds, graph)
        except InvalidFeeds:
            assert len(set(feeds)) < len(feeds) or season in find_reach(season, {**graph, season: feeds})
        else:
            graph[season] = feeds
        assert not any(one in find_reach(one, graph) for one in graph)
