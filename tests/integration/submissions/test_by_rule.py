"""The statement by rule against `board.season`: what it answers, what it writes, and what relays make of it."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from typing import Any, Final

import psycopg
import pytest
from support.marks import thinned
from support.waiting import eventually
from support.world import World

from board.pg.arrays import adapt_arrays
from board.season import INT64_MAX, INT64_MIN, OutOfRange, Row, Rule, Submission, accept, fold, rank_rows, turn
from service.submissions.statements import make_session_settings

Cell = tuple[str, str]
"""Season, user."""

KINDS: Final[dict[str, dict[str, Any]]] = {
    "plain": {},
    "weekly": {"schedule": {"every": "P7D", "startsAt": "2998-01-01T00:00:00Z"}},
    "strokes": {"order": "asc"},
    "bounded": {"bounds": {"min": -(2**62)}},
    "best": {"operator": "best"},
    "lap": {"operator": "best", "order": "asc"},
    "last": {"operator": "last"},
    "drop": {"operator": "last", "order": "asc"},
}
RULES: Final = {
    season: Rule(operator=members.get("operator", "sum"), order=members.get("order", "desc"))
    for season, members in KINDS.items()
}
SCORED: Final = {season: rule.operator != "sum" for season, rule in RULES.items()}
EDGES: Final = (INT64_MIN, INT64_MIN + 1, -(2**52), -2, -1, 0, 1, 2, 2**52, 2**53 + 1, INT64_MAX - 1, INT64_MAX)


@pytest.fixture
def ruled(world: World) -> World:
    """A world with a season of each kind."""
    for season, members in KINDS.items():
        world.define(season, **members)
    return world


def ledger_of(world: World, *, timed: bool = False) -> dict[Cell, list[Submission]]:
    """All that counts, as the ledger tells it; `timed` with the times by which the last one is the last."""
    found: dict[Cell, list[Submission]] = defaultdict(list)
    rows = world.rows(
        "SELECT season_id, user_id, submission, delta, (extract(epoch FROM accepted_at) * 1000000)::bigint "
        "FROM ledger JOIN season USING (period_id)"
    )
    for season, user, number, value, at in rows:
        found[season, user].append(Submission(number, value, at=at if timed else 0))
    return found


def rows_of(world: World, season: str) -> dict[str, Row]:
    """The rows of a season, turned back."""
    order = RULES[season].order
    return {user: Row(turn(score, order), reached) for user, score, reached in world.expected(season)}


def draw(rng: random.Random, season: str) -> int:
    """A number that does not make every sum leave int64."""
    value = rng.choice(EDGES) if rng.random() < 0.3 else rng.randrange(-3, 4)
    if season == "bounded":
        return max(value, -(2**62))
    return value


@pytest.mark.parametrize("once", [False, True], ids=["several of one player", "each player once"])
@pytest.mark.parametrize("seed", thinned(range(4), 4))
def test_answers_and_rows_are_those_of_the_rule(ruled: World, seed: int, once: bool) -> None:
    """Batches of all kinds of seasons, up to the ends of int64."""
    rng = random.Random(seed)
    rows: dict[Cell, Row] = {}
    for _ in range(25):
        batch = []
        for _ in range(rng.randrange(1, 25)):
            season = rng.choice(list(KINDS))
            batch.append((season, rng.choice("abc"), draw(rng, season), SCORED[season]))
        if once:
            batch = list({one[:2]: one for one in batch}.values())
        numbers = ruled.value("SELECT last_value + is_called::int FROM submission")
        counts: dict[Cell, int] = defaultdict(int)
        for season, user, _, _ in batch:
            counts[season, user] += 1
        answers = ruled.submit_by_rule(*batch)
        for at, ((season, user, value, _), answer) in enumerate(zip(batch, answers, strict=True)):
            cell, rule = (season, user), RULES[season]
            try:
                change = accept(rule, rows.get(cell), Submission(numbers + at, value))
            except OutOfRange:
                assert answer[0] == 2
                continue
            if answer[0] == 2:
                # Several deltas of one player near the limits are judged one by one, in statements of their own.
                assert rule.operator == "sum" and counts[cell] > 1
                continue
            rows[cell] = change.row
            status, score, version, *more = answer
            assert (status, score) == (0, change.row.score)
            if rule.operator == "sum":
                assert version >= change.row.reached and more == [None, None]
            else:
                assert (version, *more) == (change.row.reached, change.previous, change.improved)
    for season in KINDS:
        assert rows_of(ruled, season) == {user: row for (name, user), row in rows.items() if name == season}


def test_a_sum_with_the_lowest_first_reaches_both_ends_of_int64(ruled: World) -> None:
    for user, halves, end, beyond in (
        ("high", (2**62, 2**62 - 1), INT64_MAX, 1),
        ("low", (-(2**62), -(2**62)), INT64_MIN, -1),
    ):
        answers = [ruled.submit_by_rule(("strokes", user, value, False))[0] for value in halves]
        assert [(status, score) for status, score, *_ in answers] == [(0, halves[0]), (0, end)]
        assert ruled.submit_by_rule(("strokes", user, beyond, False))[0][0] == 2
    assert {user: row.score for user, row in rows_of(ruled, "strokes").items()} == {"high": INT64_MAX, "low": INT64_MIN}


def test_boards_in_redis_are_ordered_by_the_rule(ruled: World) -> None:
    rng = random.Random(1)
    for _ in range(10):
        ruled.submit_by_rule(*((s, f"p{rng.randrange(30)}", draw(rng, s), SCORED[s]) for s in KINDS for _ in range(8)))
    ruled.carry_everything()
    for season, rule in RULES.items():
        ranked = [user for _, user, _ in rank_rows(rule, rows_of(ruled, season))]
        assert [user for user, _, _ in ruled.board(season)] == ranked and ranked
        assert ruled.board(season) == ruled.expected(season)


def test_a_run_that_changes_nothing_leaves_no_hint_and_the_version_as_it_was(ruled: World) -> None:
    (first,) = ruled.submit_by_rule(("lap", "ada", 100, True))
    assert first == (0, 100, first[2], None, True)
    ruled.execute("DELETE FROM outbox")
    for value in (100, 101, INT64_MAX):
        assert ruled.submit_by_rule(("lap", "ada", value, True)) == [(0, 100, first[2], 100, False)]
    assert ruled.value("SELECT count(*) FROM outbox") == 0
    assert ruled.value("SELECT count(*) FROM ledger") == 4, "each of them is in the ledger"
    (better,) = ruled.submit_by_rule(("lap", "ada", 99, True))
    assert better == (0, 99, better[2], 100, True) and better[2] > first[2]
    assert ruled.value("SELECT count(*) FROM outbox") == 1


def test_the_last_run_may_be_worse(ruled: World) -> None:
    answers = ruled.submit_by_rule(*(("last", "ada", value, True) for value in (5, 9, 2, 2)))
    assert [(score, previous, improved) for _, score, _, previous, improved in answers] == [
        (5, None, True), (9, 5, True), (2, 9, False), (2, 2, False),
    ]  # fmt: skip
    versions = [version for _, _, version, _, _ in answers]
    assert versions == sorted(set(versions)), "each of them is a change of the row"


def test_refusals_leave_their_batch_mates_alone(ruled: World) -> None:
    ruled.define("later", operator="best", opensAt="2999-01-01T00:00:00Z")
    ruled.define("narrow", operator="best", bounds={"min": 0, "max": 9})
    answers = ruled.submit_by_rule(
        ("plain", "ada", 1, False),
        ("plain", "ada", 1, True),
        ("best", "ada", 1, False),
        ("later", "ada", 1, True),
        ("narrow", "ada", 10, True),
        ("narrow", "ada", -1, True),
        ("nowhere", "ada", 1, False),
        ("narrow", "ada", 9, True),
        ("best", "ada", 7, True),
    )
    assert [status for status, *_ in answers] == [0, 6, 6, 8, 7, 7, 1, 0, 0]
    assert ledger_of(ruled).keys() == {("plain", "ada"), ("narrow", "ada"), ("best", "ada")}


def test_one_refusal_of_each_kind_beside_one_that_counts(ruled: World) -> None:
    ruled.define("later", operator="best", opensAt="2999-01-01T00:00:00Z")
    ruled.define("narrow", operator="best", bounds={"min": 0, "max": 9})
    answers = ruled.submit_by_rule(
        ("plain", "ada", 1, True),
        ("best", "ada", 1, False),
        ("later", "ada", 1, True),
        ("narrow", "ada", 10, True),
        ("nowhere", "ada", 1, False),
        ("narrow", "bob", 9, True),
    )
    assert [status for status, *_ in answers] == [6, 6, 8, 7, 1, 0]
    assert ledger_of(ruled).keys() == {("narrow", "bob")}
    assert ruled.rows("SELECT user_id, score FROM score") == [("bob", 9)]


@pytest.mark.parametrize("once", [False, True], ids=["several of one player", "each player once"])
def test_a_number_that_a_later_one_has_overtaken_is_sent_again(ruled: World, once: bool) -> None:
    """The version never falls, and of equal runs the one that was there first stays."""
    ruled.submit_by_rule(("best", "b", 10, True), ("last", "b", 10, True), ("plain", "a", 1, False))
    url = ruled.settings.database_url
    with psycopg.connect(url, application_name="slow", autocommit=True) as slow, ruled.db.transaction():
        adapt_arrays(slow)
        # Plain periods have the lowest numbers, so this row is the first that the slow batch wants.
        ruled.execute("SELECT FROM score WHERE user_id = 'a' FOR UPDATE")
        answers: list[Any] = []
        batch = [("plain", "a", 1, False), ("last", "b", 30, True)]
        batch += [("best", "b", value, True) for value in ((30,) if once else (20, 30))]
        batch += [("best", "c", 20, True), ("best", "d", 10, True), ("best", "e", 1, True)]
        thread = threading.Thread(target=lambda: answers.extend(ruled.submit_by_rule(*batch, db=slow)))
        thread.start()
        eventually(lambda: ruled.waiting("slow") == 1)
        with psycopg.connect(url, autocommit=True) as quick:
            adapt_arrays(quick)
            overtaking = [("best", user, 20, True) for user in "bcde"] + [("last", "b", 5, True)]
            quickly = ruled.submit_by_rule(*overtaking, db=quick)
    thread.join()
    # Better, equal, worse: only what a run changes has to wait for its turn.
    assert [status for status, *_ in answers] == [0, 0, *([9] if once else [9, 9]), 9, 0, 0]
    assert answers[0][1] == 2, "what else is in the batch counts"
    assert answers[1][1:] == (5, quickly[4][2], 5, False), "a later run is there already"
    assert answers[-2][1:] == (20, quickly[2][2], 20, False)
    again = ruled.submit_by_rule(("best", "b", 30, True), ("best", "c", 20, True))
    assert [(score, previous, improved) for _, score, _, previous, improved in again] == [
        (30, 20, True),
        (20, 20, False),
    ]
    assert again[0][2] > quickly[0][2] and again[1][2] == quickly[1][2]


@pytest.mark.parametrize("order", ["desc", "asc"])
def test_rows_are_those_of_the_ledger_whatever_the_order_in_which_batches_commit(world: World, order: str) -> None:
    """Many writers for few players: numbers are drawn before locks, so they arrive out of order."""
    world.define("b", operator="best", order=order)
    world.define("l", operator="last", order=order)
    world.define("s", order=order)
    problems: list[str] = []
    outdated = [0]
    counted: dict[Cell, int] = defaultdict(int)
    account = threading.Lock()

    def write(number: int) -> None:
        rng = random.Random(number)
        with psycopg.connect(world.settings.database_url, autocommit=True) as db:
            adapt_arrays(db)
            for name, value in make_session_settings(10.0).items():
                db.execute("SELECT set_config(%s, %s, false)", (name, value))
            versions: dict[Cell, int] = {}
            for turn_of in range(60):
                # Scores that get better and better: every submission is an improvement, and meets the others'.
                value = turn_of if order == "desc" else -turn_of
                batch = [(s, rng.choice("xy"), value, s != "s") for s in rng.choices("bls", k=4)]
                while batch:
                    answers = world.submit_by_rule(*batch, db=db)
                    left = []
                    for one, (status, _, version, _, improved) in zip(batch, answers, strict=True):
                        cell = one[:2]
                        if status == 9:
                            left.append(one)
                            continue
                        if status != 0:
                            problems.append(f"{one}: {status}")
                        if version < versions.get(cell, 0) or (improved and version == versions.get(cell)):
                            problems.append(f"{cell}: version {version} after {versions[cell]}")
                        versions[cell] = version
                        with account:
                            counted[cell] += 1
                    with account:
                        outdated[0] += len(left)
                    batch = left

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    # A statement that has begun earlier may draw a later number: the time decides.
    ledger = ledger_of(world, timed=True)
    assert {cell: len(found) for cell, found in ledger.items()} == counted
    for season, operator in (("b", "best"), ("l", "last"), ("s", "sum")):
        rule = Rule(operator=operator, order=order)  # type: ignore[arg-type]
        for user, score, reached in world.expected(season):
            wanted = fold(rule, ledger[season, user])
            assert turn(score, rule.order) == wanted.score
            if operator != "sum":
                assert reached == wanted.reached
    world.carry_everything()
    for season in "bls":
        assert world.board(season) == world.expected(season)
    print(f"{outdated[0]} were sent again")  # pytest -rP shows it
