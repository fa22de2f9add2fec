"""The judge of feeds and columns: a true history passes, and every kind of breach is found."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from support.marks import thinned
from support.periods import GRID, end_now, keeper_of
from support.world import World

from board.partitions import partition_of
from faults.kinds import KINDS, definition_of
from faults.tape import Case
from service.submissions.item import Counted, Extras, Item
from service.submissions.statements import REFITTED, WRITTEN, Writer

SEASONS: Final = [f"g{number}" for number in range(len(KINDS))]
"""All kinds: a submission to g1 counts in g2, g0 and g3, one to g4 reaches g2, g3 and g5."""


def write(world: World, season: str, user: str, op: int, score: int, **columns: int) -> Counted:
    """One submission of a run, by the intake's own statement."""

    async def submit() -> Counted:
        writer = await Writer.connect(world.settings.database_url, 10.0)
        try:
            while True:
                loop = asyncio.get_running_loop()
                item = Item(season, user, score, loop.create_future(), loop.time() + 10)
                item.scored = item.by_rule = item.full = True
                pairs = tuple(sorted(columns.items()))
                item.extras = Extras(columns=pairs, metadata=json.dumps({"op": op}))
                ((status, counted),) = await writer.submit([item])
                if status != REFITTED:
                    assert status == WRITTEN, status
                    return counted
        finally:
            await writer.close()

    return asyncio.run(submit())


class Feeds(Case):
    """Runs of three players, of which two are equal and one is in two periods, in seasons that feed each other."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        world.create("g0")
        for number in (0, 3, 5, 2, 1, 4):
            definition = definition_of(number, SEASONS, ends=False)
            if number == 1:
                definition |= {"schedule": GRID, "ranking": "competition"}
            if number > 0:
                world.define(SEASONS[number], **definition)
            self.note("ok", "define", 0, SEASONS[number], **definition)
        self.run(31, "g1", "ada", 5, time=1, moves=0)
        self.run(32, "g1", "bob", 5, time=1, moves=0)
        self.run(33, "g1", "ada", 5, time=2, moves=0)
        end_now(world, "g1")
        keeper = keeper_of(world)
        keeper.turn_seasons(world.db)
        keeper.close_periods(world.db)
        self.run(34, "g1", "cy", 3, time=-1, moves=2)
        self.run(35, "g1", "ada", 3, time=-1, moves=1)
        self.run(36, "g1", "ada", 3, time=-2, moves=1)
        self.run(37, "g4", "ada", 6, moves=1)
        shown = [{"time": -2, "moves": 1}, {"time": -1, "moves": 2}]
        self.read("top", 41, users=["ada", "cy"], scores=[3, 3], ranks=[1, 2], columns=shown)
        version = world.value("SELECT max(reached) & 9223372036854775807 FROM score JOIN season USING (period_id) "
                              "WHERE season_id = 'g1' AND user_id = 'ada'")  # fmt: skip
        self.read("rank", 42, user="ada", score=3, version=version, columns=shown[:1])

    def note(self, kind: str, do: str, op: int, season: str, **more: Any) -> None:
        self.tape.note(kind, do, op, **more)
        self.tape.events[-1]["season"] = season

    def run(self, op: int, season: str, user: str, score: int, **columns: int) -> None:
        """A submission, carried at once."""
        about = {"user": user, "value": score, "columns": columns, "keyed": True}
        self.note("invoke", "submit", op, season, **about)
        number, version, previous, improved, period, skipped = write(self.world, season, user, op, score, **columns)
        told = {"score": number, "version": version, "previousScore": previous, "improved": improved}
        if period is not None:
            told["period"] = period
        if skipped is not None:
            told["skipped"] = json.loads(skipped)
        self.note("ok", "submit", op, season, **about, **told)
        self.hand.drain()
        # The boards of a season with segments are loaded.
        self.hand.relay.repairs.retry_set_aside(self.hand.session)
        self.hand.drain()

    def read(self, do: str, op: int, user: str = "", **answer: Any) -> None:
        self.note("invoke", do, op, "g1", user=user)
        self.note("ok", do, op, "g1", user=user, status=200, **answer)

    def told(self, op: int) -> Iterator[dict[str, Any]]:
        """Answers to a submission, or to a read."""
        return (event for event in self.tape.events if event["op"] == op and event["kind"] == "ok")


@pytest.fixture
def case(world: World) -> Feeds:
    return Feeds(world)


def test_a_true_history_of_feeds_passes(case: Feeds) -> None:
    assert case.judged() == {}
    assert case.world.value("SELECT count(*) FROM ledger WHERE run IS NOT NULL") == 6 * 4 - 3 + 2
    (told,) = case.told(37)
    assert told["skipped"] == [{"seasonId": season, "code": "invalid-columns"} for season in ("g2", "g3")]


def in_season(season: str) -> str:
    return f"period_id IN (SELECT period_id FROM season WHERE season_id = '{season}')"


def lose_a_fed_row(case: Feeds) -> None:
    case.world.execute(f"DELETE FROM ledger WHERE {in_season('g3')} AND user_id = 'bob'",
                       f"DELETE FROM score WHERE {in_season('g3')} AND user_id = 'bob'")  # fmt: skip


def count_a_fed_row_twice(case: Feeds) -> None:
    columns = "submission, period_id, user_id, delta, accepted_at, run"
    case.world.execute(f"INSERT INTO ledger ({columns}) SELECT {columns} FROM ledger WHERE {in_season('g0')}")


def feed_what_is_refused(case: Feeds) -> None:
    columns = "submission, period_id, user_id, delta, accepted_at, run"
    case.world.execute(
        f"INSERT INTO ledger ({columns}) SELECT l.submission, s.period_id, l.user_id, l.delta, l.accepted_at, '\\x00' "
        "|| substr(l.run, 18) FROM ledger l CROSS JOIN season s WHERE s.season_id = 'g2' AND l.delta = 3"
    )


def tell_another_skip(case: Feeds) -> None:
    for told in case.told(34):
        told["skipped"][0]["code"] = "season-not-open"


def tell_no_skip(case: Feeds) -> None:
    for told in case.told(37):
        del told["skipped"]


def count_with_other_columns(case: Feeds) -> None:
    """A run that nobody submitted."""
    case.world.execute(
        f"UPDATE ledger SET run = set_byte(run, 8, 7) WHERE {in_season('g3')} AND user_id = 'cy'",
        f"UPDATE score SET columns = set_byte(columns, 7, 7) WHERE {in_season('g3')} AND user_id = 'cy'",
    )


def keep_columns_of_another_run(case: Feeds) -> None:
    case.world.execute(f"UPDATE score SET columns = set_byte(columns, 7, 7) WHERE {in_season('g1')} AND user_id = 'cy'")


def keep_columns_of_another_run_in_a_sum(case: Feeds) -> None:
    case.world.execute(f"UPDATE score SET columns = set_byte(columns, 7, 9) WHERE {in_season('g3')}")


def keep_metadata_of_another_run(case: Feeds) -> None:
    case.world.execute(f"""UPDATE run_metadata SET metadata = '{{"op":35}}' WHERE {in_season("g1")}""")


def tell_another_previous_score(case: Feeds) -> None:
    for told in case.told(35):
        told["previousScore"] = 5


def tell_an_improvement(case: Feeds) -> None:
    for told in case.told(33):
        told["improved"] = True


def tell_a_retry_otherwise(case: Feeds) -> None:
    (told,) = case.told(36)
    case.note("invoke", "submit", 36, "g1", **{name: told[name] for name in ("user", "value", "columns")})
    case.tape.events.append({**told, "previousScore": None, "improved": False})


def show_columns_of_another_run(case: Feeds) -> None:
    for told in case.told(42):
        told["columns"] = [{"time": -1, "moves": 1}]


def show_equal_scores_in_another_order(case: Feeds) -> None:
    for told in case.told(41):
        told["users"].reverse()
        told["columns"].reverse()


def show_a_shared_rank(case: Feeds) -> None:
    for told in case.told(41):
        told["ranks"] = [1, 1]


def alter_columns_in_redis(case: Feeds) -> None:
    board = case.world.keys.board(partition_of("g1"), b"g1")
    ((member, score),) = case.world.redis.zrange(board, 0, 0, withscores=True)
    case.world.redis.zrem(board, member)
    case.world.redis.zadd(board, {member[:9] + b"\7" + member[10:]: score})


def alter_columns_of_a_standing(case: Feeds) -> None:
    case.world.execute("UPDATE standing SET columns = set_byte(columns, 7, 9)")


def share_ranks_of_no_equal_rows(case: Feeds) -> None:
    case.world.execute("UPDATE standing SET shared = 2 WHERE position = 2")


def close_with_other_columns(case: Feeds) -> None:
    case.world.execute("""UPDATE event SET data = replace(data, '"time":1', '"time":2') WHERE kind = 'period.closed'""")


def mix_periods(case: Feeds) -> None:
    for told in case.told(41):
        told["users"] = ["ada", "bob"]
        told["scores"], told["columns"] = [3, 5], [{"time": -2, "moves": 1}, {"time": 1, "moves": 0}]


BREACHES: list[tuple[Callable[[Feeds], None], set[str]]] = [
    (lose_a_fed_row, {"feeds", "I3"}),
    (count_a_fed_row_twice, {"I2"}),
    (feed_what_is_refused, {"I2", "feeds"}),
    (tell_another_skip, {"feeds"}),
    (tell_no_skip, {"feeds"}),
    (count_with_other_columns, {"I2", "I3"}),
    (keep_columns_of_another_run, {"I2", "I3", "leader"}),
    (keep_columns_of_another_run_in_a_sum, {"I2", "I3"}),
    (keep_metadata_of_another_run, {"I2"}),
    (tell_another_previous_score, {"I2"}),
    (tell_an_improvement, {"I2"}),
    (tell_a_retry_otherwise, {"I2"}),
    (show_columns_of_another_run, {"I4"}),
    (show_equal_scores_in_another_order, {"I8"}),
    (show_a_shared_rank, {"I8"}),
    (alter_columns_in_redis, {"I3"}),
    (alter_columns_of_a_standing, {"ends"}),
    (share_ranks_of_no_equal_rows, {"ends"}),
    (close_with_other_columns, {"ends"}),
    (mix_periods, {"period"}),
]


@pytest.mark.parametrize(("breach", "found"), thinned(BREACHES, 4))
def test_a_breach_of_feeds_or_columns_is_found(case: Feeds, breach: Callable[[Feeds], None], found: set[str]) -> None:
    breach(case)
    assert set(case.judged()) == found
