"""Batches of one season in which every player is once: the short statement writes what the long one writes."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import Any

import psycopg
from support.processes import serving
from support.submitting import queued_together
from support.waiting import eventually
from support.world import World

from board.pg.queries import queries
from service.submissions.item import Item
from service.submissions.statements import AT_THE_EDGE, NO_SEASON, WRITTEN, Writer, is_short

TOP, LOW = 2**63 - 1, -(2**63)


class Nobody:
    """A future without a caller."""

    def done(self) -> bool:
        return False

    def set_result(self, result: tuple[int, int], /) -> None:
        raise NotImplementedError

    def set_exception(self, error: Exception, /) -> None:
        raise NotImplementedError


def item(season: str, user: str, delta: int) -> Item:
    return Item(season, user, delta, Nobody(), 0.0)


def write(world: World, *batches: list[Item]) -> list[list[tuple[int, int, int]]]:
    """What the intake's connection answers to each batch: status, score and version of each submission."""

    async def run() -> list[list[tuple[int, int, int]]]:
        writer = await Writer.connect(world.settings.database_url, 5.0)
        try:
            told = [await writer.submit(batch) for batch in batches]
            assert {figures[2:] for answers in told for _, figures in answers} <= {(None, None, None, None)}
            return [[(status, *figures[:2]) for status, figures in answers] for answers in told]
        finally:
            await writer.close()

    return asyncio.run(run())


def test_only_batches_of_one_season_and_different_players_are_short() -> None:
    def marked(**marks: Any) -> Item:
        made = item("s", "b", 1)
        for name, value in marks.items():
            setattr(made, name, value)
        return made

    ann = item("s", "a", 1)
    assert is_short([ann]) and is_short([ann, marked()])
    assert not is_short([ann, item("t", "b", 1)])
    assert not is_short([ann, item("s", "a", 2)])
    for mark in ({"digest": "0" * 32}, {"trace": "00-1-2-00"}, {"edge": True}, {"by_rule": True}):
        assert not is_short([ann, marked(**mark)]), mark


def test_both_statements_leave_the_same_rows(world: World) -> None:
    """Each batch goes to one season by the short text, and to a twin of it by the long one."""
    world.create("short", "long")
    dice = random.Random(7)
    players = ["a", "b", "Z", "é", "\U0001f600", "\uffff", "c d", "x" * 128]
    numbers = [1, -1, 0, 5, TOP, LOW, TOP - 1, LOW + 1, 2**62]
    for _ in range(60):
        chosen = dice.sample(players, dice.randint(1, len(players)))
        deltas = [dice.choice(numbers) for _ in chosen]
        short = [item("short", user, delta) for user, delta in zip(chosen, deltas, strict=True)]
        assert is_short(short)
        (told,) = write(world, short)
        twin = world.submit(*(("long", user, delta) for user, delta in zip(chosen, deltas, strict=True)))
        for (status, score, _), (twin_status, twin_score, _) in zip(told, twin, strict=True):
            assert (status == WRITTEN) == (twin_status == WRITTEN)
            assert status in (WRITTEN, AT_THE_EDGE)
            assert status != WRITTEN or score == twin_score
    for table, columns in {
        "score": "user_id, score, submissions",
        "ledger": "user_id, delta",
        "outbox": "user_id, t.partition = season.partition",
    }.items():
        rows = {
            season: world.rows(
                f"SELECT {columns} FROM {table} t JOIN season USING (period_id) WHERE season_id = %s", season
            )
            for season in ("short", "long")
        }
        assert sorted(rows["short"], key=str) == sorted(rows["long"], key=str), table
        assert len(rows["short"]) > len(players) - 2, table


def test_of_equal_scores_in_a_batch_the_earlier_one_is_ahead(world: World) -> None:
    world.create("s")
    players = ["zed", "mia", "Bob", "amy"]
    (told,) = write(world, [item("s", user, 10) for user in players])
    versions = [version for _, _, version in told]
    assert versions == sorted(set(versions))
    assert [user for user, _, _ in world.expected("s")] == players
    assert [user for (user,) in world.rows("SELECT user_id FROM ledger ORDER BY submission")] == players
    world.carry_everything()
    assert [user for user, _, _ in world.board("s")] == players


def test_the_answers_are_in_the_order_of_the_batch(world: World) -> None:
    world.create("s")
    ((bob, ann, zoe),) = write(world, [item("s", "bob", 2), item("s", "ann", 1), item("s", "zoe", 3)])
    assert [bob[:2], ann[:2], zoe[:2]] == [(WRITTEN, 2), (WRITTEN, 1), (WRITTEN, 3)]
    held = {user: (score, reached) for user, score, reached in world.expected("s")}
    assert held == {"bob": bob[1:], "ann": ann[1:], "zoe": zoe[1:]}


def test_a_season_that_is_not_there_and_a_player_at_the_edge_are_told_apart(world: World) -> None:
    world.submit(("s", "top", TOP), ("s", "low", LOW))
    told = write(
        world,
        [item("nobody's", "top", 1), item("nobody's", "ann", 1)],
        [item("s", "top", 1), item("s", "low", -1)],
        [item("s", "top", 1), item("s", "ann", 1), item("s", "low", 1)],
    )
    assert [[status for status, _, _ in answers] for answers in told] == [
        [NO_SEASON] * 2,
        [AT_THE_EDGE] * 2,
        [AT_THE_EDGE, WRITTEN, WRITTEN],
    ]
    assert [(user, score) for user, score, _ in world.expected("s")] == [("top", TOP), ("ann", 1), ("low", LOW + 1)]


def test_a_version_grows_although_a_later_short_batch_was_first(world: World) -> None:
    world.submit(("s", "ada", 1))
    world.execute("UPDATE score SET reached = reached + 1000")
    before = world.value("SELECT reached FROM score")
    assert write(world, [item("s", "ada", 1)]) == [[(WRITTEN, 2, before + 1)]]
    assert world.value("SELECT reached FROM score") == before + 1


def test_a_client_at_the_edge_is_refused_and_its_batch_mates_count(world: World) -> None:
    world.submit(("s", "top", TOP), ("s", "near", TOP - 1))
    with serving(world) as api:
        answers = queued_together(world, api, [("top", 1), ("ann", 1), ("near", 1), ("bob", 1)])
    assert [answer.status for answer in answers] == [409, 202, 202, 202]
    assert answers[0].json["code"] == "score-out-of-range"
    assert [(user, score) for user, score, _ in world.expected("s")][:2] == [("top", TOP), ("near", TOP)]
    assert world.value("SELECT sum(delta)::text FROM ledger WHERE user_id IN ('ann', 'bob', 'near')") == str(TOP + 2)


def test_batches_of_the_same_players_in_any_order_do_not_deadlock(world: World) -> None:
    world.create("s")
    players = [f"p{n}" for n in range(200)]
    problems: list[Exception] = []

    def client(seed: int) -> None:
        dice = random.Random(seed)
        try:
            write(world, *([item("s", user, 1) for user in dice.sample(players, len(players))] for _ in range(15)))
        except psycopg.Error as error:
            problems.append(error)

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert {score for _, score, _ in world.expected("s")} == {60}


def test_a_short_batch_that_waits_for_a_reset_lands_in_the_new_period(world: World) -> None:
    world.submit(("s", "ada", 5))
    told: list[Any] = []
    with world.held("s") as db:
        period = world.value("SELECT period_id FROM season")
        thread = threading.Thread(target=lambda: told.extend(write(world, [item("s", "ada", 7)])))
        thread.start()
        eventually(lambda: world.waiting() == 1)
        db.execute(queries()["reset_season"], {"period": period})
        db.commit()
        thread.join(20)
    assert [[answer[:2] for answer in answers] for answers in told] == [[(WRITTEN, 7)]]
    assert [(user, score) for user, score, _ in world.expected("s")] == [("ada", 7)]
