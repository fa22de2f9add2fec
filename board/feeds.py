"""Feeds: the seasons that a submission to one season counts in, too. They form a graph without a cycle."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from board.errors import InvalidFeeds

FEEDS_MOST: Final = 15
"""Other seasons that one submission may reach."""

Graph = Mapping[str, Collection[str]]
"""The feeds of each season that has some."""


def check_feeds(season: str, feeds: Iterable[str], graph: Graph, missing: Collection[str] = ()) -> None:
    """Raise `InvalidFeeds` unless a season may have these feeds, beside those of the other seasons.

    `missing` are those of them that do not exist.
    """
    wanted = [*feeds]
    if len(set(wanted)) < len(wanted):
        raise InvalidFeeds("feeds names a season twice")
    if season in wanted:
        raise InvalidFeeds("a season cannot feed itself")
    if missing:
        raise InvalidFeeds(f"feeds names a season that does not exist: {min(missing)}")
    after = {**graph, season: wanted}
    if season in find_reach(season, after):
        raise InvalidFeeds("feeds would lead back to the season itself")
    for source in after:
        if len(reach := find_reach(source, after)) > FEEDS_MOST:
            raise InvalidFeeds(f"a submission to {source} would count in {len(reach)} others, {FEEDS_MOST} at most")


def find_reach(season: str, graph: Graph) -> set[str]:
    """The seasons that a season feeds, directly or through others; itself if there is a cycle."""
    found: set[str] = set()
    ahead = [*graph.get(season, ())]
    while ahead:
        one = ahead.pop()
        if one not in found:
            found.add(one)
            ahead += graph.get(one, ())
    return found
