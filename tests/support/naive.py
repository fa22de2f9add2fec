"""A naive board: a list, best first, that answers every question by counting."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from board.season import Ranking, Rule, rank_rows
from board.season import Row as season_row

Row = tuple[str, int, int]
"""User, score, reached."""


class NaiveBoard:
    """The answers of a board with these rows, best first, but for `asOf`.

    A season with columns has them in the order of the rows.
    """

    def __init__(
        self,
        season: str,
        rows: Sequence[Row],
        ranking: Ranking = "ordinal",
        columns: Sequence[dict[str, int]] | None = None,
        ranks: Sequence[int] | None = None,
    ) -> None:
        self.season: Final = season
        self.columns: Final = [{"columns": one} for one in columns] if columns else [{} for _ in rows]
        self.rows: Final = list(rows)
        self.ranking: Final = ranking
        if ranks is not None:
            self.ranks = list(ranks)
            return
        ranked = rank_rows(Rule(ranking=ranking), {user: season_row(score, reached) for user, score, reached in rows})
        assert [user for _, user, _ in ranked] == [user for user, _, _ in rows]
        self.ranks = [rank for rank, _, _ in ranked]

    def top(self, limit: int, offset: int) -> dict[str, Any]:
        """The answer for a page of the top list."""
        return {"seasonId": self.season, "items": self.items()[offset : offset + limit], "total": len(self.rows)}

    def items(self) -> list[dict[str, Any]]:
        """All rows, as top and around show them."""
        ranked = zip(self.ranks, self.rows, self.columns, strict=True)
        return [{"rank": rank, "userId": user, "score": score, **more} for rank, (user, score, _), more in ranked]

    def rank(self, user: str) -> dict[str, Any]:
        """The answer for a player who is on the board."""
        ((rank, (_, score, reached), more),) = [
            found for found in zip(self.ranks, self.rows, self.columns, strict=True) if found[1][0] == user
        ]
        below = sum(other >= rank for other in self.ranks)
        return {
            "seasonId": self.season,
            "userId": user,
            "rank": rank,
            "score": score,
            "version": reached,
            "total": len(self.rows),
            "percentile": float(Decimal(100 * below) / len(self.rows) // Decimal("0.01") * Decimal("0.01")),
            **more,
        }

    def lookup(self, users: Sequence[str]) -> dict[str, Any]:
        """The answer to a lookup of these players."""
        asked = [found for found in zip(self.ranks, self.rows, self.columns, strict=True) if found[1][0] in users]
        items = [
            {"rank": rank, "position": position, "userId": user, "score": score, "version": reached, **more}
            for position, (rank, (user, score, reached), more) in enumerate(asked, 1)
        ]
        on_board = {user for user, _, _ in self.rows}
        return {"seasonId": self.season, "items": items, "notFound": [user for user in users if user not in on_board]}

    def around(self, user: str, side: int, fill: bool) -> dict[str, Any]:
        """The answer for the neighbours of a player who is on the board."""
        ranked = self.items()
        (here,) = [at for at, item in enumerate(ranked) if item["userId"] == user]
        shown = [item for at, item in enumerate(ranked) if abs(at - here) <= side]
        if fill:
            # Of all windows of this size the one that has the player nearest to its middle.
            size = min(2 * side + 1, len(ranked))
            first = min(range(len(ranked) - size + 1), key=lambda at: abs(at + side - here))
            shown = ranked[first : first + size]
        return {"seasonId": self.season, "userId": user, "range": side, "items": shown, "total": len(self.rows)}

    def place(self, score: int, side: int, fill: bool) -> dict[str, Any]:
        """The answer for the place of a score: that of a new row, which is the last one of its equals."""
        ranked = self.items()
        place = sum(other >= score for _, other, _ in self.rows)
        equal = [rank for rank, (_, other, _) in zip(self.ranks, self.rows, strict=True) if other == score]
        first = place - side
        if fill:
            first = max(0, min(first, len(ranked) - 2 * side))
        shown = [item for at, item in enumerate(ranked) if first <= at < first + 2 * side]
        rank = equal[0] if equal and self.ranking == "competition" else place + 1
        known = {"seasonId": self.season, "score": score, "rank": rank, "range": side}
        return {**known, "items": shown, "total": len(self.rows)}

    def score(self, rank: int) -> dict[str, Any] | None:
        """The answer for a rank; None if the board has fewer players."""
        if not 1 <= rank <= len(self.rows):
            return None
        return {"seasonId": self.season, "rank": self.ranks[rank - 1], "score": self.rows[rank - 1][1]}

    def percentile(self, percentile: Fraction) -> dict[str, Any] | None:
        """The answer for a percentile, by the share of players at or below each one, worst first; None without any."""
        size = len(self.rows)
        for rank in range(size, 0, -1):
            if Fraction(100 * (size - rank + 1), size) >= percentile:
                return self.score(rank)
        return None

    def histogram(self, firsts: Sequence[int]) -> dict[str, Any]:
        """The answer for buckets that begin with these scores, the worst one first."""
        lasts = [first - 1 for first in firsts[1:]] + [self.rows[0][1]] * bool(firsts)
        ranges = zip(firsts, lasts, strict=True)
        return {
            "seasonId": self.season,
            "buckets": [
                {"from": first, "to": last, "count": sum(first <= score <= last for _, score, _ in self.rows)}
                for first, last in ranges
            ],
        }

    def quantiles(self, parts: int) -> list[int]:
        """The worst score of each of so many parts of the board with the same number of players, each score once."""
        rising = [score for _, score, _ in reversed(self.rows)]
        return sorted({rising[len(rising) * part // parts] for part in range(parts)}) if rising else []
