"""The kinds of seasons under load, in turn: every operator and order, columns that decide ties, feeds, and segments.

A submission to the second one counts in three others: in the plain one, in one that has its columns in another order
and bounds, and through that one in a sum. One to the fifth reaches two that refuse its columns, each time.
"""

from __future__ import annotations

import random
from typing import Any, Final

import msgspec

OPS_MOST: Final = 10**9
"""Above every `op`: where metadata do not tell it, a number is a random multiple of this and the `op`."""
SCHEDULE: Final = {"every": "P3650D", "startsAt": "2020-01-01T00:00:00Z"}
"""Of seasons whose periods end: no end comes by itself."""


class Kind(msgspec.Struct, frozen=True):
    """A kind of season. `scores` are the few that are submitted, so that many runs are equal; `feeds` are places.

    Each value of the attributes in `segments` has a board.
    """

    operator: str
    order: str
    columns: tuple[tuple[str, str], ...] = ()
    feeds: tuple[int, ...] = ()
    least: int | None = None
    scores: range | None = None
    segments: tuple[str, ...] = ()


KINDS: Final = (
    Kind("sum", "desc"),
    Kind("best", "asc", (("time", "asc"), ("moves", "desc")), feeds=(0, 2), scores=range(12), segments=("country",)),
    Kind("last", "desc", (("moves", "desc"), ("time", "asc")), feeds=(3,), least=4, scores=range(4, 16)),
    Kind("sum", "asc", (("time", "desc"), ("moves", "asc")), segments=("country", "platform")),
    Kind("best", "desc", (("moves", "desc"),), feeds=(2, 5), scores=range(12)),
    Kind("last", "asc", segments=("platform",)),
)
COLUMN: Final = range(-2, 3)
"""The values of columns: few, so that whole runs are equal, too."""
ATTRIBUTES: Final = ("country", "platform")
"""Those that players get."""


def kind_of(number: int) -> Kind:
    """The kind of the season with this number, from 0."""
    return KINDS[number % len(KINDS)]


def is_default(number: int) -> bool:
    """Whether a season needs no definition: its first submission creates it."""
    return kind_of(number) == KINDS[0]


def depth_of(number: int) -> int:
    """How far a season is from the last one that it feeds: those of a lower depth are defined first."""
    return max((1 + depth_of(fed) for fed in kind_of(number).feeds), default=0)


def definition_of(number: int, seasons: list[str], *, ends: bool) -> dict[str, Any]:
    """The definition of a season. It feeds seasons of its own turn only, as far as they are there."""
    kind, first = kind_of(number), number - number % len(KINDS)
    made: dict[str, Any] = {"operator": kind.operator, "order": kind.order}
    if kind.columns:
        made["columns"] = [{"name": name, "order": order} for name, order in kind.columns]
    if fed := [seasons[first + at] for at in kind.feeds if first + at < len(seasons)]:
        made["feeds"] = fed
    if kind.least is not None:
        made["bounds"] = {"min": kind.least}
    if kind.segments:
        made["segments"] = [*kind.segments]
    if ends:
        made |= {"schedule": SCHEDULE, "ranking": ("ordinal", "competition")[number % 2]}
    return made


def draw_run(rng: random.Random, kind: Kind, op: int) -> dict[str, Any]:
    """The members of a submission to a season: its number, its columns, and its `op` where the number is not it."""
    member = "delta" if kind.operator == "sum" else "score"
    if kind.scores is not None:
        number = rng.choice(kind.scores)
    else:
        number = op if member == "delta" else rng.randrange(1_000) * OPS_MOST + op
    made: dict[str, Any] = {member: number}
    if kind.columns:
        made |= {"columns": {name: rng.choice(COLUMN) for name, _ in kind.columns}, "metadata": {"op": op}}
    return made


def draw_attributes(rng: random.Random, values: list[str]) -> dict[str, str]:
    """All attributes of a player from now on: each has one of these values, or is not there."""
    drawn = {name: rng.choice([*values, ""]) for name in ATTRIBUTES}
    return {name: value for name, value in drawn.items() if value}
