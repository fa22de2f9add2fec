"""Records of clients for tests of the judge: true ones, which a test then alters."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from support.relays import Hand
from support.world import World

from faults.history import History
from faults.judge import INVARIANTS, Breaches, judge


class Tape:
    """Writes events as the generator does."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.clock = 0.0

    def note(self, kind: str, do: str, op: int, **more: Any) -> None:
        self.clock += 1.0
        self.events.append({"t": self.clock, "kind": kind, "op": op, "do": do, "client": 0, "season": "s", **more})

    def submit(self, op: int, user: str, answer: tuple[int, int] | None, *, kind: str = "ok") -> None:
        """A submission with its answer (score, version)."""
        self.note("invoke", "submit", op, user=user, keyed=False)
        more = {} if answer is None else {"score": answer[0], "version": answer[1]}
        self.note(kind, "submit", op, user=user, keyed=False, **more)

    def read(self, do: str, op: int, user: str = "", **answer: Any) -> None:
        """A read with its answer."""
        self.note("invoke", do, op, user=user)
        self.note("ok", do, op, user=user, status=answer.pop("status", 200), **answer)

    def lines(self) -> Iterable[str]:
        return [json.dumps(event) for event in self.events]


class Case:
    """Two players, three submissions, reads of all kinds, a reset of another season: all as it should be."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tape = Tape()
        self.hand = Hand(world)
        for op, user in ((11, "ada"), (12, "bob"), (13, "ada")):
            ((_, score, version),) = world.submit(("s", user, op))
            self.tape.submit(op, user, (score, version))
            self.last = (score, version)
        self.hand.drain()
        score, version = self.last
        self.tape.read("rank", 21, "ada", score=score, version=version)
        self.tape.read("top", 22, users=["ada", "bob"], scores=[24, 12])
        self.tape.read("around", 23, "bob", users=["ada", "bob"], scores=[24, 12])

    def judged(self) -> Breaches:
        """What the judge says, without the invariants that hold."""
        url = self.world.settings
        found = judge(History(self.tape.lines()), url.database_url, url.redis_url, prefix=self.world.name)
        assert set(found) == set(INVARIANTS)
        return {name: lines for name, lines in found.items() if lines}
