"""The judge of periods and leaders: a true history passes, and every kind of breach is found."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.marks import thinned
from support.periods import GRID, end_now, keeper_of
from support.world import World

from faults.tape import Case


class Periods(Case):
    """A season of runs with two periods, of which the first one is closed; in it two players have one score."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        world.define("s2", operator="best", schedule=GRID, ranking="competition")
        definition = {"operator": "best", "order": "desc", "schedule": GRID, "ranking": "competition"}
        self.tape.note("ok", "define", 0, **definition)
        self.tape.events[-1]["season"] = "s2"
        for op, user in ((31, "ada"), (32, "bob"), (33, "cy")):
            self.run(op, user, 7_000_000_000 + op, 1)
        end_now(world, "s2")
        keeper = keeper_of(world)
        keeper.turn_seasons(world.db)
        keeper.close_periods(world.db)
        self.run(34, "ada", 1_000_000_034, 2)
        self.read("top", 41, users=["cy", "bob"], scores=[7_000_000_033, 7_000_000_032], ranks=[1, 2])
        self.read("top", 42, users=["ada"], scores=[1_000_000_034], ranks=[1])

    def run(self, op: int, user: str, value: int, period: int) -> None:
        """A submission, carried at once."""
        ((_, score, version, previous, improved),) = self.world.submit_by_rule(("s2", user, value, True))
        self.tape.submit(op, user, (score, version))
        self.tape.events[-1] |= {"previousScore": previous, "improved": improved}
        for event in self.tape.events[-2:]:
            event |= {"season": "s2", "value": value, "period": period}
        self.hand.drain()

    def read(self, do: str, op: int, user: str = "", **answer: object) -> None:
        self.tape.read(do, op, user, **answer)
        for event in self.tape.events[-2:]:
            event["season"] = "s2"
        self.tape.note("invoke", "reset", op + 100)
        self.tape.note("ok", "reset", op + 100)
        for event in self.tape.events[-2:]:
            event["season"] = "s2"


@pytest.fixture
def case(world: World) -> Periods:
    return Periods(world)


def test_a_true_history_of_periods_passes(case: Periods) -> None:
    assert case.judged() == {}
    assert case.world.value("SELECT count(*) FROM event WHERE season_id = 's2'") == 2 + 4


def tell_another_period(case: Periods) -> None:
    for event in case.tape.events:
        if event["op"] == 31:
            event["period"] = 2


def mix(case: Periods) -> None:
    case.tape.events[-3] |= {"users": ["cy", "ada"], "scores": [7_000_000_033, 1_000_000_034], "ranks": [1, 2]}


def rank_wrongly(case: Periods) -> None:
    case.tape.events[-3] |= {"ranks": [2]}


def end_twice(case: Periods) -> None:
    columns = "history, kind, season_id, period, data"
    case.world.execute(f"INSERT INTO event ({columns}) SELECT {columns} FROM event WHERE kind = 'period.ended'")


def close_never(case: Periods) -> None:
    case.world.execute("DELETE FROM event WHERE kind = 'period.closed'")


def leave_open(case: Periods) -> None:
    case.world.execute("UPDATE period SET final_at = NULL WHERE ends_at IS NOT NULL")


def close_first(case: Periods) -> None:
    case.world.execute("UPDATE event SET number = DEFAULT, xid = DEFAULT WHERE kind = 'period.ended'")


def lead_too_late(case: Periods) -> None:
    case.world.execute("UPDATE event SET number = DEFAULT, xid = DEFAULT "
                       "WHERE kind = 'leader.changed' AND season_id = 's2' AND period = 1")  # fmt: skip


def lose_a_standing(case: Periods) -> None:
    case.world.execute("DELETE FROM standing WHERE user_id = 'ada'")


def swap_standings(case: Periods) -> None:
    case.world.execute("UPDATE standing SET position = -position", "UPDATE standing SET position = 4 + position")


def alter_a_standing(case: Periods) -> None:
    case.world.execute("UPDATE standing SET score = score - 1 WHERE user_id = 'ada'")


def share_a_rank(case: Periods) -> None:
    case.world.execute("UPDATE standing SET shared = 1")


def name_other_winners(case: Periods) -> None:
    case.world.execute("""UPDATE event SET data = '{"top": []}' WHERE kind = 'period.closed'""")


def lose_a_leader(case: Periods) -> None:
    case.world.execute("DELETE FROM event WHERE kind = 'leader.changed' AND period = 2")


BREACHES: list[tuple[Callable[[Periods], None], set[str]]] = [
    (tell_another_period, {"period"}),
    (mix, {"period"}),
    (rank_wrongly, {"I8"}),
    (end_twice, {"ends"}),
    (close_never, {"ends"}),
    (leave_open, {"ends"}),
    (close_first, {"ends"}),
    (lead_too_late, {"ends"}),
    (lose_a_standing, {"ends"}),
    (swap_standings, {"ends"}),
    (alter_a_standing, {"ends"}),
    (share_a_rank, {"ends"}),
    (name_other_winners, {"ends"}),
    (lose_a_leader, {"leader"}),
]


@pytest.mark.parametrize(("breach", "found"), thinned(BREACHES, 4))
def test_a_breach_of_periods_is_found(case: Periods, breach: Callable[[Periods], None], found: set[str]) -> None:
    breach(case)
    assert set(case.judged()) == found


def test_a_broken_chain_of_leaders_is_found(case: Periods) -> None:
    """In a season without a schedule, too."""
    case.world.submit(("s", "bob", 100))
    case.tape.submit(100, "bob", (112, case.world.value("SELECT max(reached) FROM score WHERE user_id = 'bob'")))
    case.hand.drain()
    assert case.judged() == {}
    case.world.execute(
        "UPDATE event SET data = replace(data, 'ada', 'eve') WHERE season_id = 's' AND data LIKE '%112%'"
    )
    assert set(case.judged()) == {"leader"}
