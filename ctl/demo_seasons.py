"""The seasons of `leaderboard demo`: the plain one that it always plays, and one of each other kind beside it."""

from __future__ import annotations

import http.client
import random
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import msgspec

from ctl.http_client import Client

PLAIN_SHARE: Final = 0.55
"""The part of the submissions that go to the plain season, where there are others."""


class Kind(msgspec.Struct, frozen=True):
    """A kind of season: the end of its id, its definition, and how a number of a player of some skill is drawn."""

    suffix: str
    title: str
    member: str
    draw: Callable[[random.Random, float], int]
    definition: dict[str, Any] = {}
    thousandths: bool = False
    """Whether a score is shown in thousandths."""


class DemoSeason(msgspec.Struct, frozen=True):
    """A season that is played."""

    season: str
    kind: Kind

    @property
    def path(self) -> str:
        """The path of the season."""
        return f"/v1/seasons/{quote(self.season, safe='')}"

    def make_move(self, user: str, rng: random.Random, skill: float) -> dict[str, Any]:
        """The body of a submission; skill is from 0.2 to 2, the higher the better."""
        return {"userId": user, self.kind.member: self.kind.draw(rng, skill)}

    def format_score(self, score: int) -> str:
        """A score for people."""
        return f"{score / 1_000:,.3f}" if self.kind.thousandths else f"{score:,}"


PLAIN: Final = Kind("", "", "delta", lambda rng, skill: max(1, int(rng.expovariate(0.01) * skill)))
KINDS: Final = (
    Kind(
        "-weekly",
        "best score of the week",
        "score",
        lambda rng, skill: int(rng.gauss(1_000, 200) * skill),
        {"operator": "best", "schedule": {"cron": "0 0 * * MON", "timeZone": "UTC"}, "keepPeriods": 52},
    ),
    Kind(
        "-lap",
        "best lap, in seconds",
        "score",
        lambda rng, skill: int(60_000 + rng.expovariate(skill / 20_000)),
        {"operator": "best", "order": "asc", "bounds": {"min": 20_000}, "display": {"unit": "s", "decimals": 3}},
        thousandths=True,
    ),
    Kind(
        "-cup",
        "last points, equal ones share a rank",
        "score",
        lambda rng, skill: 5 * int(rng.uniform(0, 8) * skill),
        {"operator": "last", "ranking": "competition"},
    ),
)


def define_seasons(client: Client, season: str) -> tuple[list[DemoSeason], str]:
    """The seasons to play, the plain one first; and a word about those that cannot be played, or an empty text.

    A key without the scope `admin` plays the plain season only. A season that exists is played as it is, unless its
    rule is another one. Raises OSError or `http.client.HTTPException` without an answer.
    """
    found = [DemoSeason(season, PLAIN)]
    for kind in KINDS:
        one = DemoSeason(season + kind.suffix, kind)
        status, body = client.ask("GET", one.path)
        if status == http.client.NOT_FOUND:
            status, body = client.ask("PUT", one.path, {**kind.definition, "title": kind.title})
        if status in (401, 403):
            return found, "seasons of other kinds need a key with the scope admin"
        shown = msgspec.json.decode(body) if status in (200, 201) else {}
        fits = all(shown.get(name) == kind.definition.get(name, shown.get(name)) for name in ("operator", "order"))
        if shown and fits:
            found.append(one)
    names = [season + kind.suffix for kind in KINDS if kind not in [one.kind for one in found]]
    return found, f"left out, of another rule: {', '.join(names)}" if names else ""


def choose_season(seasons: list[DemoSeason], rng: random.Random) -> DemoSeason:
    """The season of the next submission."""
    return seasons[0] if len(seasons) == 1 or rng.random() < PLAIN_SHARE else rng.choice(seasons[1:])
