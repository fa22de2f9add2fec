"""The numbers of those who submit, as the ledger has them: pairs of a key and a client's version."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

Pair = tuple[str, str]
"""The id of a key (`Extras.key_id`), and a client's version; both may be empty."""

NOBODY: Final[Pair] = ("", "")
VERSIONS_MOST: Final = 10_000
"""Numbers after which no further version of a client gets one. Anybody may send any text for a version."""
KNOWN_MOST: Final = 4_096
"""Pairs that a connection remembers."""
TRIES: Final = 2
"""A pair that another session adds meanwhile is left out by the first try, and found by the second."""


class Origins:
    """The numbers that one connection knows. 0 stands for nobody.

    `ask` runs `note_origins` for lists of keys and of versions; its rows are key, version and number.
    """

    def __init__(self, ask: Callable[[list[str], list[str]], Awaitable[Iterable[Any]]]) -> None:
        self._ask: Final = ask
        self._known: dict[Pair, int] = {NOBODY: 0}

    async def find(self, pairs: list[Pair]) -> list[int]:
        """The number of each pair. A version beyond `VERSIONS_MOST` gets that of its key alone.

        Raises as `ask` does.
        """
        known = self._known
        missing = {pair for pair in pairs if pair not in known}
        if missing:
            if len(known) + 2 * len(missing) > KNOWN_MOST:
                known = self._known = {NOBODY: 0}
                missing = {*pairs} - {NOBODY}
            await self._learn(missing)
        return [known[pair] for pair in pairs]

    async def _learn(self, missing: set[Pair]) -> None:
        wanted = missing | {(key, "") for key, _ in missing} - {NOBODY}
        for _ in range(TRIES):
            asked = sorted(wanted - self._known.keys())
            if asked:
                rows = await self._ask([key for key, _ in asked], [version for _, version in asked])
                self._known.update(((key, version), number) for key, version, number in rows)
        for key, version in missing - self._known.keys():
            self._known[key, version] = self._known[key, ""]
