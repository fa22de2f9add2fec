"""A model of the whole way from PostgreSQL to Redis: whatever happens in whatever order, both end up equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from support.relays import Hand
from support.world import World

from board.keys import partition_of
from ctl.verifying import compare

SEASONS = ["s", next(name for n in range(500) if partition_of(name := f"n{n}") == partition_of("s")), "t"]
"""Two of one partition, one of another."""

seasons = st.sampled_from(SEASONS)
users = st.sampled_from(["ada", "bob", "cy", "J\u00f6rg", "d" * 128])
deltas = st.integers(-3, 5).filter(bool) | st.sampled_from([2**53, -(2**53), 2**62, -(2**62)])
partitions = st.sampled_from(sorted({partition_of(season) for season in SEASONS}))
hands = st.sampled_from([0, 1])


class Model(RuleBasedStateMachine):
    """Two relays, three seasons, five players, and everything that can go wrong between the two servers."""

    world: World

    @initialize()
    def begin(self) -> None:
        world = self.world
        world.execute(
            "TRUNCATE season, period, score, ledger, outbox, ailing",
            "UPDATE partition SET fence = 0, identity = '', low_xid = '0'",
        )
        world.redis.flushdb()
        self.hands = [Hand(world, limit=3, seed=1), Hand(world, limit=100, seed=2)]
        self.scores: dict[tuple[str, str], int] = {}
        self.shown: dict[tuple[str, str], int] = {}
        self.kept: dict[bytes, bytes] = {}

    @rule(batch=st.lists(st.tuples(seasons, users, deltas), min_size=1, max_size=5))
    def submit(self, batch: list[tuple[str, str, int]]) -> None:
        # One of a player at a time near the edge, as the intake does it.
        for season, user, delta in batch:
            ((status, score, _),) = self.world.submit((season, user, delta))
            expected = self.scores.get((season, user), 0) + delta
            fits = -(2**63) <= expected < 2**63
            assert status == (0 if fits else 2)
            if fits:
                assert score == expected
                self.scores[season, user] = expected

    @rule(batch=st.lists(st.tuples(seasons, users, st.integers(1, 9)), min_size=2, max_size=8))
    def submit_together(self, batch: list[tuple[str, str, int]]) -> None:
        results = self.world.submit(*batch)
        for (season, user, delta), (status, score, _) in zip(batch, results, strict=True):
            if status == 0:
                self.scores[season, user] = self.scores.get((season, user), 0) + delta
                assert score == self.scores[season, user]

    @rule(season=seasons, user=users, score=st.integers(-5, 5))
    def correct(self, season: str, user: str, score: int) -> None:
        if (season, user) in self.scores:
            self.world.correct(season, user, score)
            self.scores[season, user] = score

    @rule(season=seasons, user=users)
    def remove(self, season: str, user: str) -> None:
        if self.scores.pop((season, user), None) is not None:
            self.world.correct(season, user, None)

    @rule(season=seasons)
    def reset(self, season: str) -> None:
        self.world.reset(season)
        self.scores = {key: score for key, score in self.scores.items() if key[0] != season}

    @rule(hand=hands, partition=partitions)
    def carry(self, hand: int, partition: int) -> None:
        self.hands[hand].serve(partition)

    @rule(hand=hands, partition=partitions, after=st.booleans())
    def crash(self, hand: int, partition: int, after: bool) -> None:
        self.hands[hand].crash(partition, after=after)

    @rule(hand=hands)
    def check(self, hand: int) -> None:
        self.hands[hand].relay.check(self.hands[hand].carrier)

    @rule()
    def flush(self) -> None:
        self.world.redis.flushdb()
        self.shown.clear()

    @rule(partition=partitions)
    def lose_the_watermark(self, partition: int) -> None:
        self.world.redis.delete(self.world.keys.watermark[partition])

    @rule()
    def keep(self) -> None:
        """What a replica that is falling behind has."""
        self.kept = {key: self.world.redis.dump(key) for key in self.world.redis.keys(f"{self.world.name}:*")}

    @rule()
    def fail_over_to_what_was_kept(self) -> None:
        self.world.redis.flushdb()
        for key, value in self.kept.items():
            self.world.redis.restore(key, 0, value)
        self.shown.clear()

    @rule()
    def forget_scripts(self) -> None:
        self.world.redis.script_flush()

    @rule(partition=partitions)
    def another_postgresql_wrote(self, partition: int) -> None:
        self.world.redis.hset(self.world.keys.watermark[partition], mapping={"identity": "1:00000001", "fence": 10**9})

    @invariant()
    def redis_only_moves_forward(self) -> None:
        """Per player, within a period and unless Redis itself lost something."""
        if not hasattr(self, "shown"):
            return
        now: dict[tuple[str, str], int] = {}
        for season in SEASONS:
            period = self.world.redis.hget(self.world.keys.periods[partition_of(season)], season)
            for user, _, reached in self.world.board(season):
                key = (f"{season} {period!r}", user)
                now[key] = reached
                assert reached >= self.shown.get(key, 0), f"{key} went back"
        self.shown.update(now)

    def teardown(self) -> None:
        if not hasattr(self, "hands"):
            return
        self.hands[0].drain()
        for season in SEASONS:
            assert self.world.board(season) == self.world.expected(season)
            assert {u: s for u, s, _ in self.world.board(season)} == {
                u: score for (name, u), score in self.scores.items() if name == season
            }
        report = compare(self.world.settings, wait_s=0.0)
        assert report.equal, report.differences
        assert report.players == len(self.scores)
        for hand in self.hands:
            hand.let_go()


def machine(world: World) -> Callable[[], Any]:
    return type("RelayModel", (Model,), {"world": world})


@pytest.mark.filterwarnings("default::hypothesis.errors.HypothesisWarning")
def test_whatever_happens_both_sides_end_up_equal(world: World) -> None:
    run_state_machine_as_test(
        machine(world),  # type: ignore[arg-type]
        settings=settings(
            max_examples=20,
            stateful_step_count=25,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
