"""A model of the whole way from PostgreSQL to Redis: whatever happens in whatever order, both end up equal.

`MODEL_EXAMPLES` and `MODEL_STEPS` give it more to try. A failure prints its `MODEL_SEED`, which repeats the run, and
`MODEL_SHRINK=1` looks for the shortest way to it.
"""

from __future__ import annotations

import json
import os
import random

import redis
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from board.partitions import partition_of
from ctl.comparison.report import compare
from support.relays import POINTS, Hand
from support.segments import are_filtered, divide
from support.waiting import eventually
from support.world import World

SEASONS = ["s", next(name for n in range(500) if partition_of(name := f"n{n}") == partition_of("s")), "t"]
"""Two of one partition, one of another."""

seasons = st.sampled_from(SEASONS)
PLAYERS = [name for n in range(500) if partition_of(name := f"p{n}") == partition_of("s")][:3]
"""Players whose profiles are in the same partition as a board."""

players = st.sampled_from(PLAYERS)
users = st.sampled_from(["ada", "bob", "cy", "J\u00f6rg", "d" * 128, *PLAYERS[:2]])
countries = st.sampled_from([{"country": "KR"}, {"country": "GB"}, {}])
deltas = st.integers(-3, 5).filter(bool) | st.sampled_from([2**53, -(2**53), 2**62, -(2**62)])
partitions = st.sampled_from(sorted({partition_of(season) for season in SEASONS}))
numbers = st.integers(0, 2)
batches = st.lists(st.tuples(seasons, users, st.integers(1, 9)), min_size=1, max_size=8)
works = st.sampled_from(["carry", "check", "rebuild"])
points = st.sampled_from(POINTS)


class Model(RuleBasedStateMachine):
    """Three relays, three seasons, five players, and everything that can go wrong between the two servers.

    A relay dies, or stands still, at every point between its claim and its commit. One that stands still may lose its
    claim, which makes it a zombie, and works on later, after whatever the others have done meanwhile.
    """

    world: World

    @initialize()
    def begin(self) -> None:
        world = self.world
        world.execute(
            "TRUNCATE season, period, score, ledger, outbox, ailing, leader, event, player, segment_value",
            "UPDATE partition SET fence = 0, identity = '', low_xid = '0'",
            # The others only cost time.
            f"DELETE FROM partition WHERE id NOT IN ({', '.join(str(partition_of(season)) for season in SEASONS)})",
        )
        world.redis.flushdb()
        self.hands = [Hand(world, limit=limit, seed=limit) for limit in (3, 100, 7)]
        self.scores: dict[tuple[str, str], int] = {}
        self.names: dict[str, str] = {}
        self.backup: tuple[dict[tuple[str, str], int], dict[str, str]] | None = None
        self.shown: dict[tuple[str, str], int] = {}
        self.fences: dict[tuple[int, bytes], int] = {}
        self.kept: dict[bytes, bytes] = {}
        self.spoilt: set[str] = set()
        self.future_shown = False

    def redis_lost_something(self) -> None:
        """What Redis holds may go back now."""
        self.shown.clear()
        self.fences.clear()

    def free(self, n: int) -> Hand:
        """A relay that works: this one, or the next one that does not stand still."""
        hand = next((hand for hand in self.hands[n:] + self.hands[:n] if not hand.stands), self.hands[n])
        if hand.stands:
            hand.go_on()
        hand.come_back()
        self.future_shown = False
        return hand

    def standing(self, n: int) -> Hand:
        """A relay that stands still: this one, or the next one that does."""
        return next(hand for hand in self.hands[n:] + self.hands[:n] if hand.stands)

    def one_stands(self) -> bool:
        return any(hand.stands for hand in getattr(self, "hands", []))

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

    @rule(batch=batches)
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

    @rule(user=players, name=st.sampled_from(["Ada", "Bob", "Cy"]) | st.none(), attributes=countries)
    def rename(self, user: str, name: str | None, attributes: dict[str, str]) -> None:
        self.world.name_player(user, name, **attributes)
        self.names.pop(user, None)
        if name is not None:
            self.names[user] = f"{name}\n{json.dumps(attributes, separators=(',', ':'))}"

    @rule(season=seasons, segments=st.sampled_from(["country", None]))
    def divide(self, season: str, segments: str | None) -> None:
        divide(self.world, season, segments)

    @rule(season=seasons)
    def reset(self, season: str) -> None:
        self.world.reset(season)
        self.scores = {key: score for key, score in self.scores.items() if key[0] != season}

    @rule(n=numbers, partition=partitions)
    def carry(self, n: int, partition: int) -> None:
        self.free(n).serve(partition)

    @rule(n=numbers, partition=partitions)
    def rebuild(self, n: int, partition: int) -> None:
        self.free(n).rebuild(partition)

    @rule(n=numbers, partition=partitions, point=points, work=works)
    def crash(self, n: int, partition: int, point: str, work: str) -> None:
        hand = self.free(n)
        hand.session.dies_at = point
        self.work(hand, partition, work)
        hand.let_go()

    @rule(n=numbers, partition=partitions, point=points, work=works)
    def stand_still(self, n: int, partition: int, point: str, work: str) -> None:
        hand = self.free(n)
        hand.start(lambda: self.work(hand, partition, work), point)

    def work(self, hand: Hand, partition: int, work: str) -> None:
        if work == "rebuild":
            hand.rebuild(partition)
        else:
            hand.serve(partition, check=work == "check")

    @precondition(one_stands)
    @rule(n=numbers)
    def lose_the_claim(self, n: int) -> None:
        self.standing(n).lose_claim()

    @precondition(one_stands)
    @rule(n=numbers, dying=st.booleans())
    def go_on(self, n: int, dying: bool) -> None:
        self.standing(n).go_on(dying=dying)

    @rule(n=numbers, partition=partitions, point=points, work=works, batch=batches)
    def a_zombie_wakes(self, n: int, partition: int, point: str, work: str, batch: list[tuple[str, str, int]]) -> None:
        """What chance rarely puts together: a relay stands still, is succeeded, and goes on."""
        hand = self.free(n)
        self.submit_together(batch)
        self.rename(PLAYERS[0], "Ada", {"country": "KR"})
        hand.start(lambda: self.work(hand, partition, work), point)
        if not hand.stands:
            return
        hand.lose_claim()
        self.submit_together(batch)
        self.rename(PLAYERS[0], f"Ada {len(self.fences)}", {"country": "GB"})
        self.free(n).serve(partition)
        self.redis_only_moves_forward()
        if hand.stands:
            hand.go_on()

    @rule(n=numbers)
    def check(self, n: int) -> None:
        hand = self.free(n)
        hand.careful(lambda: hand.relay.check(hand.session))

    @rule(n=numbers)
    def retry_seasons_set_aside(self, n: int) -> None:
        hand = self.free(n)
        self.world.execute("UPDATE ailing SET retry_at = now()")
        hand.careful(lambda: hand.relay.repairs.retry_set_aside(hand.session))

    @rule(season=seasons, half=st.sampled_from(["board", "members"]))
    def spoil(self, season: str, half: str) -> None:
        """A key of another type stands in the place: the season is refused."""
        key = getattr(self.world.keys, half)(partition_of(season), season.encode())
        if self.world.redis.delete(key):
            self.world.redis.set(key, "nonsense")
            self.spoilt.add(season)
            self.redis_lost_something()

    @rule(n=numbers, batch=batches)
    def fail_over_to_a_replica_behind(self, n: int, batch: list[tuple[str, str, int]]) -> None:
        """What chance rarely puts together: a replica has not seen the last batch."""
        self.keep()
        self.submit_together(batch)
        for season in {season for season, _, _ in batch}:
            self.free(n).serve(partition_of(season))
        self.fail_over_to_what_was_kept()

    @rule(n=numbers, first=batches, then=batches)
    def lose_history(self, n: int, first: list[tuple[str, str, int]], then: list[tuple[str, str, int]]) -> None:
        """What chance rarely puts together: boards show what PostgreSQL then loses."""
        self.back_up()
        for batch in (first, then):
            self.submit_together(batch)
            for season in {season for season, _, _ in batch}:
                self.free(n).serve(partition_of(season))
        self.go_back()

    @rule()
    def back_up(self) -> None:
        self.world.keep()
        self.backup = dict(self.scores), dict(self.names)

    @precondition(lambda self: getattr(self, "backup", None) is not None)
    @rule()
    def go_back(self) -> None:
        """PostgreSQL's volume is set back. No relay lives through that, and no replica of Redis is older than that."""
        for hand in self.hands:
            if hand.stands:
                hand.go_on(dying=True)
            hand.let_go()
        assert self.backup is not None
        self.world.go_back()
        self.scores, self.names = map(dict, self.backup)
        self.kept = {}
        # Redis shows what PostgreSQL has lost until the first relay comes back.
        self.future_shown = True
        self.redis_lost_something()

    @rule()
    def flush(self) -> None:
        self.world.redis.flushdb()
        self.redis_lost_something()

    @rule(partition=partitions)
    def lose_the_watermark(self, partition: int) -> None:
        self.world.redis.delete(self.world.keys.watermark[partition])
        self.redis_lost_something()

    @rule()
    def keep(self) -> None:
        """What a replica that is falling behind has. None is older than PostgreSQL's way back: both at once only
        the sampler finds."""
        if self.future_shown:
            self.free(0)
        self.kept = {key: self.world.redis.dump(key) for key in self.world.redis.keys(f"{self.world.name}:*")}

    @rule()
    def fail_over_to_what_was_kept(self) -> None:
        self.world.redis.flushdb()
        for key, value in self.kept.items():
            self.world.redis.restore(key, 0, value)
        self.redis_lost_something()

    @rule()
    def forget_scripts(self) -> None:
        self.world.redis.script_flush()

    @rule(partition=partitions)
    def another_postgresql_wrote(self, partition: int) -> None:
        self.world.redis.hset(self.world.keys.watermark[partition], mapping={"identity": "1:00000001", "fence": 10**9})
        self.redis_lost_something()

    @invariant()
    def redis_only_moves_forward(self) -> None:
        """Per player, within a period and unless Redis itself lost something; and so do fences."""
        if not hasattr(self, "shown") or self.future_shown:
            return
        for season in SEASONS:
            period = self.world.redis.hget(self.world.keys.periods[partition_of(season)], season)
            try:
                board = self.world.board(season)
            except redis.ResponseError:
                assert season in self.spoilt
                continue
            for user, _, reached in board:
                key = (f"{season} {period!r}", user)
                assert reached >= self.shown.get(key, 0), f"{key} went back"
                self.shown[key] = reached
            mark = self.world.redis.hgetall(self.world.keys.watermark[partition_of(season)])
            line = (partition_of(season), mark.get(b"identity", b""))
            fence = int(mark.get(b"fence", 0))
            assert fence >= self.fences.get(line, 0), f"the fence of {season!r} went back"
            self.fences[line] = fence

    def teardown(self) -> None:
        if not hasattr(self, "hands"):
            return
        for hand in self.hands:
            if hand.stands:
                hand.go_on()
        hand = self.free(0)
        hand.drain()
        self.world.execute("UPDATE ailing SET retry_at = now()")
        hand.relay.repairs.retry_set_aside(hand.session)
        hand.drain()
        for season in self.spoilt:
            # What no watermark tells of is found by sampling.
            eventually(lambda season=season: (hand.relay.repairs.sample(hand.session), self.equal(season))[1], 3)
        # A rebuild leaves hints of new leaders.
        hand.drain()
        for season in SEASONS:
            assert self.equal(season)
            self.check_leaders(season)
            assert {u: s for u, s, _ in self.world.board(season)} == {
                u: score for (name, u), score in self.scores.items() if name == season
            }
        held = self.world.profiles(partition_of("s"))
        assert held == self.names
        assert are_filtered(self.world, *SEASONS)
        report = compare(self.world.settings, wait_s=0.0)
        assert report.equal, report.differences
        assert report.players == len(self.scores)
        assert self.world.redis.keys(f"{self.world.name}:{{*}}:t*") == [], "a rebuild has left something"
        for hand in self.hands:
            hand.let_go()

    def check_leaders(self, season: str) -> None:
        """The events of the current period are a chain, and its end is the first player of the board."""
        changes = self.world.rows(
            "SELECT e.data::json FROM event e JOIN season s USING (season_id) JOIN period p USING (period_id) "
            "WHERE e.season_id = %s AND e.period = p.number AND e.kind = 'leader.changed' "
            "ORDER BY e.history, e.xid, e.number", season)  # fmt: skip
        leader = None
        for (data,) in changes:
            # Nobody leads an empty board.
            assert data["previousUserId"] in (leader, None) and data["userId"] != data["previousUserId"], changes
            leader = data["userId"]
        board = self.world.expected(season)
        assert not board or leader == board[0][0], (season, changes, board)

    def equal(self, season: str) -> bool:
        try:
            return self.world.board(season) == self.world.expected(season)
        except redis.ResponseError:
            return False


def run_model(world: World, model: type[Model], examples: int) -> None:
    """Try a model on a world."""
    number = int(os.environ.get("MODEL_SEED", random.randrange(2**32)))
    print(f"MODEL_SEED={number}")
    machine = seed(number)(type(model.__name__, (model,), {"world": world}))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=int(os.environ.get("MODEL_EXAMPLES", examples)),
            stateful_step_count=int(os.environ.get("MODEL_STEPS", "25")),
            deadline=None,
            database=None,
            print_blob=True,
            # Shrinking takes minutes.
            phases=[Phase.generate, Phase.shrink] if "MODEL_SHRINK" in os.environ else [Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
