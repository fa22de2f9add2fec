"""Submissions set apart: each must be the only one of its player in its statement, which then judges it exactly."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from service.submissions.item import Item


class ApartQueue:
    """A queue for each player, and turns among the players.

    PERF: a batch costs a step for each player in it, however many submissions wait.
    """

    def __init__(self) -> None:
        self._players: dict[tuple[str, str], deque[Item]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def append(self, item: Item) -> None:
        """Queue an item behind those of its player."""
        self._players.setdefault((item.season, item.user), deque()).append(item)
        self._size += 1

    def take(self, most: int) -> list[Item]:
        """The next item of each player, `most` items at most. Items whose callers are gone are dropped."""
        taken: list[Item] = []
        for player in list(self._players):
            if len(taken) == most:
                break
            waiting = self._players.pop(player)
            while waiting:
                item = waiting.popleft()
                self._size -= 1
                if not item.future.done():
                    taken.append(item)
                    break
            if waiting:
                # Behind the other players, whose turn is next.
                self._players[player] = waiting
        return taken

    def take_expired(self, now: float) -> Iterator[Item]:
        """Take the items whose deadline has passed."""
        for player, waiting in list(self._players.items()):
            while waiting and waiting[0].deadline <= now:
                self._size -= 1
                yield waiting.popleft()
            if not waiting:
                del self._players[player]

    def take_all(self) -> Iterator[Item]:
        """Take every item."""
        return self.take_expired(float("inf"))

    def find_deadline(self) -> float | None:
        """The earliest deadline; None for an empty queue."""
        return min((waiting[0].deadline for waiting in self._players.values()), default=None)
