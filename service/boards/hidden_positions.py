"""Standings that are not shown, and the positions of the others without them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, Final


class HiddenPositions:
    """The stored positions that are not shown, from the best one on. Stored positions never change with them."""

    def __init__(self, positions: Sequence[int]) -> None:
        self._positions: Final = positions
        self._gaps: Final = [position - nth for nth, position in enumerate(positions)]
        """For each of them the position that the next standing behind it is shown at."""

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._positions)

    def find_position(self, shown: int) -> int:
        """The stored position of a standing by the position that it is shown at; both from 1."""
        return shown + bisect_right(self._gaps, shown)

    def count_shown(self, position: int) -> int:
        """How many of the first stored positions are shown."""
        return position - bisect_right(self._positions, position)

    def show(self, rows: list[Any]) -> list[Any]:
        """The rows that are shown, each with its position and rank, the first two fields, as they are shown."""
        hidden = self._positions
        if not hidden:
            return rows
        return [
            (position - ahead, rank - bisect_left(hidden, rank), *others)
            for position, rank, *others in rows
            if (ahead := bisect_left(hidden, position)) == len(hidden) or hidden[ahead] != position
        ]


ALL_SHOWN: Final = HiddenPositions(())
