"""A model of corrections: whatever is corrected and undone in whatever order, rows are those of a naive ledger.

`MODEL_EXAMPLES` and `MODEL_STEPS` give it more to try.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from support.correcting import stored
from support.periods import events_of, keeper_of
from support.world import World

from board.audit import Act
from board.partitions import partition_of
from board.pg.read_connection import ReadConnection
from board.season import INT64_MAX, Rule, Submission, fold, rank_rows, turn
from relay.batch import relay_batch
from relay.rebuild import rebuild
from relay.session import RelaySession
from service.access.caller import ANONYMOUS
from service.contract.answers import Answer
from service.corrections.manage import Corrections, decode_correction
from service.seasons.store import SeasonStore

RULES: Final = [
    Rule(), Rule("sum", "asc"), Rule("best"), Rule("best", "asc", ranking="competition"), Rule("last"),
]  # fmt: skip
USERS: Final = ["ada", "bob", "cy"]

users = st.sampled_from(USERS)
values = st.integers(1, 6)
batches = st.lists(st.tuples(users, values), min_size=1, max_size=4)


class Made(msgspec.Struct):
    """A correction of the model: its submissions, and what they count with (None: they are void)."""

    numbers: list[int]
    value: int | None
    in_force: bool = True


class Model(RuleBasedStateMachine):
    """One season, three players, and corrections that meet each other."""

    world: World
    session: RelaySession

    @initialize(rule=st.sampled_from(RULES))
    def begin(self, rule: Rule) -> None:
        world = self.world
        world.execute(
            "TRUNCATE season, season_definition, period, standing, score, ledger, outbox, ailing, leader, event, "
            "run_metadata, correction, correction_item, correction_row RESTART IDENTITY"
        )
        world.flush()
        world.execute("UPDATE partition SET fence = 0, identity = '', stamp = ''")
        self.rule = rule
        if rule != Rule():
            members = {"operator": rule.operator, "order": rule.order, "ranking": rule.ranking}
            world.define("s", **members)
        else:
            world.create("s")
        self.ledger: list[tuple[int, int, str, int]] = []
        self.period = 1
        self.last = 0
        self.made: dict[int, Made] = {}
        self.before: dict[int, Any] = {}

    def ask(self, act: Callable[[Corrections], Coroutine[Any, Any, Answer]]) -> Answer:
        async def ask_all() -> Answer:
            reads = ReadConnection(self.world.settings.database_url, "a test", 20.0)
            try:
                return await act(Corrections(self.world.settings.database_url, reads))
            finally:
                await reads.close()

        return asyncio.run(ask_all())

    @rule(batch=batches)
    def submit(self, batch: list[tuple[str, int]]) -> None:
        world = self.world
        if self.rule == Rule():
            world.submit(*(("s", user, value) for user, value in batch))
        else:
            is_scored = self.rule.operator != "sum"
            world.submit_by_rule(*(("s", user, value, is_scored) for user, value in batch))
        for number, user, value in world.rows("SELECT submission, user_id, delta FROM ledger ORDER BY submission"):
            if number > self.last:
                self.last = number
                self.ledger.append((number, self.period, user, value))
        self.before.clear()

    @rule(user=users | st.none(), low=st.integers(0, 9), value=st.none() | st.integers(1, 6), waits=st.booleans())
    def correct(self, user: str | None, low: int, value: int | None, waits: bool) -> None:
        """Correct the submissions of a player, or of all, from the `low`-th last one on."""
        chosen = self.ledger[-1 - low :]
        times = dict(self.world.rows("SELECT submission, accepted_at FROM ledger"))
        body: dict[str, Any] = {"seasonId": "s", "reason": "x", "action": "void", "filter": {}}
        if chosen:
            body["filter"]["from"] = times[chosen[0][0]].isoformat()
            chosen = [one for one in self.ledger if times[one[0]] >= times[chosen[0][0]]]
        if user is not None:
            body["filter"]["userId"] = user
            chosen = [one for one in chosen if one[2] == user]
        if not body["filter"]:
            return
        if value is not None:
            body |= {"action": "set", "value": value}
        wanted = decode_correction(json.dumps(body).encode())
        rows = stored(self.world, "s")
        expected = self.ranks(INT64_MAX, Made([number for number, *_ in chosen], value))
        seen = self.ask(lambda corrections: corrections.create(True, wanted, ANONYMOUS))
        assert seen.status == 200, seen.body
        preview = json.loads(seen.body)
        assert preview["affected"] == len(chosen)
        was, now = self.ranks(), expected
        touched = {(period, name) for _, period, name, _ in chosen}
        assert {
            (one["period"], one["userId"]): (one["rankBefore"], one["rankAfter"]) for one in preview["changes"]
        } == {place: (was.get(place), now.get(place)) for place in touched if place in was or place in now}
        answer = self.ask(lambda corrections: corrections.create(False, wanted, ANONYMOUS))
        assert stored(self.world, "s") == rows
        if not chosen:
            assert answer.status == 409
            return
        number = json.loads(answer.body)["id"]
        self.made[number] = Made([one[0] for one in chosen], value, False)
        if not waits:
            self.work(number, rows)

    def work(self, number: int | None = None, rows: Any = None) -> None:
        """Let the keeper apply what was asked for."""
        keeper = keeper_of(self.world)
        waiting = [one for one, made in self.made.items() if not made.in_force]
        open_ = {one for (one,) in self.world.rows("SELECT number FROM correction WHERE state = 'pending'")}
        keeper.correct(self.world.db)
        assert self.world.rows("SELECT FROM correction WHERE state IN ('pending', 'undoing', 'refused')") == []
        for one in waiting:
            if one in open_:
                self.made[one].in_force = True
        self.before.clear()
        if number is not None and open_ == {number}:
            self.before[number] = rows

    @rule()
    def keep(self) -> None:
        self.work()

    @rule(nth=st.integers(0, 9))
    def undo(self, nth: int) -> None:
        live = [number for (number,) in self.world.rows("SELECT number FROM correction WHERE state = 'applied'")]
        if not live:
            return
        number = sorted(live)[nth % len(live)]
        answer = self.ask(lambda corrections: corrections.undo(number, ANONYMOUS))
        assert answer.status == 202
        again = self.ask(lambda corrections: corrections.undo(number, ANONYMOUS))
        assert (again.status, json.loads(again.body)["code"]) == (409, "correction-undone")
        rows = self.before.get(number)
        pending = self.world.value("SELECT count(*) FROM correction WHERE state = 'pending'")
        self.work()
        self.made[number].in_force = False
        if rows is not None and not pending:
            assert stored(self.world, "s") == rows, "byte for byte"
            assert self.world.rows("SELECT FROM correction_row WHERE correction = %s AND changed", number) == []

    @rule(keeps=st.booleans())
    def reset(self, keeps: bool) -> None:
        if keeps:
            asyncio.run(self.end_period())
            keeper_of(self.world).close_periods(self.world.db)
            assert self.period in events_of(self.world, "s", "period.closed")
        else:
            self.world.reset("s")
            self.ledger = [one for one in self.ledger if one[1] != self.period]
        self.period += 1
        self.before.clear()

    async def end_period(self) -> None:
        store = SeasonStore(self.world.settings.database_url, 20.0)
        await store.end_period("s", Act())
        await store.close()

    @rule()
    def carry(self) -> None:
        """After the relays' work Redis has the board."""
        partition = partition_of("s")
        relay_batch(self.session, partition, check=True)
        for row in self.session.fetch("set_aside_due"):
            rebuild(self.session, row.partition, only=row.season_id)
        relay_batch(self.session, partition)
        if self.rule.order == "desc":
            assert self.world.board("s") == self.world.expected("s")

    def counted(self, number: int = 0, extra: Made | None = None) -> dict[int, dict[str, Any]]:
        """The rows of each period by the rule, from the ledger."""
        in_force = {one: made for one, made in self.made.items() if made.in_force}
        if extra is not None:
            in_force[number] = extra
        runs: dict[tuple[int, str], list[Submission]] = {}
        times = dict(
            self.world.rows("SELECT submission, (extract(epoch FROM accepted_at) * 1000000)::bigint FROM ledger")
        )
        for one, period, user, value in self.ledger:
            verdicts = [made.value for _, made in sorted(in_force.items()) if one in made.numbers]
            counts = verdicts[-1] if verdicts else value
            if counts is not None:
                runs.setdefault((period, user), []).append(Submission(one, counts, (), times[one]))
        found: dict[int, dict[str, Any]] = {}
        for (period, user), submissions in runs.items():
            found.setdefault(period, {})[user] = fold(self.rule, submissions)
        return found

    def ranks(self, number: int = 0, extra: Made | None = None) -> dict[tuple[int, str], int]:
        return {
            (period, user): rank
            for period, rows in self.counted(number, extra).items()
            for rank, user, _ in rank_rows(self.rule, rows)
        }

    @invariant()
    def rows_are_those_of_the_ledger(self) -> None:
        if not hasattr(self, "rule"):
            return
        expected = self.counted()
        found: dict[int, dict[str, tuple[int, int]]] = {}
        rows = self.world.rows(
            "SELECT p.number, s.user_id, s.score, s.reached FROM score s JOIN period p USING (period_id) "
            "WHERE p.ended_at IS NULL AND p.final_at IS NULL"
        )
        for period, user, score, reached in rows:
            found.setdefault(period, {})[user] = (turn(score, self.rule.order), reached)
        standings = self.world.rows(
            "SELECT p.number, t.user_id, t.score, t.reached, t.position, t.shared FROM standing t "
            "JOIN period p USING (period_id) WHERE p.ended_at IS NULL AND p.expired_at IS NULL ORDER BY position"
        )
        ranked: dict[int, list[tuple[str, int]]] = {}
        for period, user, score, reached, position, shared in standings:
            found.setdefault(period, {})[user] = (score, reached)
            assert position == len(ranked.setdefault(period, [])) + 1
            ranked[period].append((user, shared if self.rule.ranking == "competition" else position))
        assert found == {
            period: {user: (row.score, row.reached) for user, row in rows.items()} for period, rows in expected.items()
        }
        for period, order in ranked.items():
            assert order == [(user, rank) for rank, user, _ in rank_rows(self.rule, expected[period])]


def test_rows_are_those_of_a_naive_ledger(world: World) -> None:
    class Here(Model):
        pass

    Here.world, Here.session = world, world.session()
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=int(os.environ.get("MODEL_EXAMPLES", "15")),
            stateful_step_count=int(os.environ.get("MODEL_STEPS", "14")),
            suppress_health_check=[*HealthCheck],
            deadline=None,
        ),
    )
