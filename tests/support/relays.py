"""Relays under a test's hand: carriers that crash where told, and a relay that works until nothing is left."""

from __future__ import annotations

import random
from typing import Any, Final

import msgspec
import psycopg

from board.errors import BoardUnavailable, ServerUnreachable
from board.stop import Stop
from relay.actor import Relay
from relay.carrier import Carrier, Verdict
from support.waiting import eventually
from support.world import World


class Unsignalled(Stop):
    """A stop that takes no signals away from pytest."""

    def __init__(self) -> None:
        self.requested = False

    def request(self) -> None:
        self.requested = True

    def wait(self, seconds: float | None) -> bool:
        """Nobody has to wait here: a test turns the relay itself."""
        return self.requested


class Fragile(Carrier):
    """A carrier that loses its PostgreSQL connection around the call to Redis, when told."""

    crash_before_apply = False
    crash_after_apply = False

    def apply(self, partition: int, fence: int, committed: int, rows: list[Any]) -> Verdict:
        if self.crash_before_apply:
            self.db.close()
            raise psycopg.OperationalError("crashed before Redis")
        verdict = super().apply(partition, fence, committed, rows)
        if self.crash_after_apply:
            self.db.close()
            raise psycopg.OperationalError("crashed between Redis and the commit")
        return verdict


class Hand:
    """A relay without a process: every step is a call. It connects anew by itself after a crash."""

    def __init__(self, world: World, *, limit: int = 2_000, seed: int = 0) -> None:
        self.world: Final = world
        settings = msgspec.structs.replace(world.settings, relay_batch=limit, relay_idle_ms=1)
        self.relay: Final = Relay(settings, Unsignalled(), randomness=random.Random(seed))
        self.limit: Final = limit
        self._carrier: Fragile | None = None

    @property
    def carrier(self) -> Fragile:
        if self._carrier is None or self._carrier.db.closed:
            self.let_go()
            made = self.world.carrier(Fragile, limit=self.limit)
            assert isinstance(made, Fragile)
            self._carrier = made
        return self._carrier

    def let_go(self) -> None:
        """Give up both connections."""
        if self._carrier is not None:
            self._carrier.close()
            self._carrier = None

    def serve(self, partition: int, *, check: bool = False) -> None:
        """Carry a partition as the relay does, healing included. A lost connection ends it, as there."""
        try:
            self.relay.serve(self.carrier, partition, check=check)
        except (psycopg.OperationalError, psycopg.InterfaceError, BoardUnavailable, ServerUnreachable):
            self.let_go()

    def crash(self, partition: int, *, after: bool) -> None:
        """Carry a partition, but lose the connection before or after Redis was written."""
        carrier = self.carrier
        carrier.crash_before_apply, carrier.crash_after_apply = not after, after
        self.serve(partition)
        self.let_go()

    def drain(self) -> None:
        """Work until no hint is left and every watermark is sound."""

        def settled() -> bool:
            self.relay.check(self.carrier)
            for partition in self.carrier.dirty():
                self.serve(partition)
            return not self.carrier.dirty() and not self.world.value("SELECT count(*) FROM outbox")

        eventually(settled)
        self.relay.check(self.carrier)
