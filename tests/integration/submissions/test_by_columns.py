"""Runs with columns against `board.season`: what is answered and written, and what relays make of it in Redis."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter, defaultdict
from typing import Any, Final

import pytest
from support.marks import thinned
from support.waiting import eventually
from support.world import World, decoded

from board.partitions import partition_of
from board.season import (
    INT64_MAX,
    INT64_MIN,
    Column,
    OutOfRange,
    Row,
    Rule,
    Submission,
    accept,
    fold,
    rank_rows,
    turn,
)
from ctl.comparison.report import compare
from relay.rebuild import rebuild
from relay.sampler import Sampler, confirm
from service.submissions.item import Extras, Item
from service.submissions.statements import MISFIT, OUT_OF_RANGE, OUTDATED, REFITTED, WRITTEN, Writer

Cell = tuple[str, str]
"""Season, user."""
Run = tuple[str, str, int, tuple[int, ...]]
"""Season, user, number, values of the columns."""

KINDS: Final = {
    "plain": Rule(),
    "lap": Rule(operator="best", order="asc"),
    "speed": Rule(operator="best", columns=(Column("time", "asc"),)),
    "golf": Rule(operator="best", order="asc", columns=(Column("b"), Column("a", "asc"), Column("c"))),
    "latest": Rule(operator="last", columns=(Column("moves"), Column("time", "asc"))),
    "points": Rule(columns=(Column("wins"),)),
    "strokes": Rule(order="asc", columns=(Column("z", "asc"), Column("y"))),
}
EDGES: Final = (INT64_MIN, INT64_MIN + 1, -(2**52), -1, 0, 1, 2**53 + 1, INT64_MAX - 1, INT64_MAX)


@pytest.fixture
def ruled(world: World) -> World:
    """A world with a season of each kind."""
    for season, rule in KINDS.items():
        columns = [{"name": column.name, "order": column.order} for column in rule.columns]
        world.define(season, operator=rule.operator, order=rule.order, columns=columns)
    return world


class Sender:
    """A writer of the intake. Batches are sent until no submission is new to it or was overtaken by another one."""

    def __init__(self, world: World) -> None:
        self.loop: Final = asyncio.new_event_loop()
        self.writer: Final = self.loop.run_until_complete(Writer.connect(world.settings.database_url, 30.0))

    def close(self) -> None:
        self.loop.run_until_complete(self.writer.close())
        self.loop.close()

    def send(self, *batch: Run) -> list[tuple[int, Any]]:
        """Status and figures of each run of a batch, sent once."""
        return self.loop.run_until_complete(self.writer.submit([self.make_item(*run) for run in batch]))

    def learn(self, *seasons: str) -> None:
        """Meet the columns of seasons for the first time. Nothing is written."""
        for season in seasons:
            if columns := KINDS[season].columns:
                assert self.send((season, "nobody", 1, (0,) * len(columns)))[0][0] == REFITTED

    def make_item(self, season: str, user: str, number: int, values: tuple[int, ...]) -> Item:
        item = Item(season, user, number, self.loop.create_future(), 0.0)
        item.by_rule = True
        item.scored = KINDS[season].operator != "sum"
        names = [column.name for column in KINDS[season].columns]
        item.extras = Extras(columns=tuple(sorted(zip(names, values, strict=True))))
        return item


def read_packed(rule: Rule, packed: bytes | None) -> tuple[int, ...]:
    """Columns in the form that sorts, as they were submitted. Straight from the layout in the migration."""
    numbers = [int.from_bytes(packed[at : at + 8], "big") - 2**63 for at in range(0, len(packed or b""), 8) if packed]
    return tuple(turn(number, column.order) for number, column in zip(numbers, rule.columns, strict=True))


def ledger_of(world: World) -> dict[Cell, list[Submission]]:
    """All that counts, as the ledger tells it."""
    found: dict[Cell, list[Submission]] = defaultdict(list)
    rows = world.rows("SELECT season_id, user_id, submission, delta, run FROM ledger JOIN season USING (period_id)")
    for season, user, number, value, run in rows:
        rule = KINDS[season]
        assert (run is None) == (not rule.columns)
        assert run is None or run[0] == len(rule.columns)
        found[season, user].append(Submission(number, value, read_packed(rule, run and run[1:])))
    return found


def rows_of(world: World, season: str) -> dict[str, Row]:
    """The rows of a season, turned back."""
    rule, found = KINDS[season], {}
    query = "SELECT user_id, score, reached, s.columns FROM score s JOIN season USING (period_id) WHERE season_id = %s"
    rows = world.rows(query, season)
    for user, score, reached, columns in rows:
        size = 8 * len(rule.columns)
        assert columns is None if not size else len(columns) in (size, 2 * size)
        assert (reached < 0) == bool(size), "relays of the previous release refuse negative numbers"
        values = read_packed(rule, columns and columns[:size])
        found[user] = Row(turn(score, rule.order), reached + 2**63 if size else reached, values)
    return found


def board_of(world: World, season: str) -> list[tuple[str, Row]]:
    """The board in Redis, best first. Decoded here, not by the product."""
    rule = KINDS[season]
    n = len(rule.columns)
    if not n:
        return [(user, Row(turn(score, rule.order), reached)) for user, score, reached in world.board(season)]
    partition, found = partition_of(season), []
    key, members = world.keys.board(partition, season.encode()), world.keys.members(partition, season.encode())
    for member, zscore in world.redis.zrange(key, 0, -1, withscores=True):
        size = 11 + 8 * n
        prefix, user = member[:size], member[size:].decode()
        assert prefix[10] == 0xFF
        assert world.redis.hget(members, user) == prefix
        inverted = bytes(255 - byte for byte in prefix[2:10] + prefix[11:-8])
        _, score, _ = decoded(prefix[:2] + bytes(8), zscore)
        row = Row(turn(score, rule.order), int.from_bytes(prefix[-8:], "big"), read_packed(rule, inverted))
        found.append((user, row))
    return found


def draw(rng: random.Random, season: str, few: bool = False) -> tuple[int, tuple[int, ...]]:
    values = (-1, 0, INT64_MIN, INT64_MAX) if few else (*EDGES, *range(-3, 4))
    number = rng.choice((0, 1)) if few else rng.choice(EDGES) if rng.random() < 0.2 else rng.randrange(-2, 3)
    return number, tuple(rng.choice(values) for _ in KINDS[season].columns)


@pytest.mark.parametrize("once", [False, True], ids=["several of one player", "each player once"])
@pytest.mark.parametrize("seed", thinned(range(4), 4))
def test_answers_rows_and_boards_are_those_of_the_rule(ruled: World, seed: int, once: bool) -> None:
    """Batches of all kinds of seasons, many runs of them equal, at int64's ends."""
    rng, sender = random.Random(seed), Sender(ruled)
    sender.learn(*KINDS)
    rows: dict[Cell, Row] = {}
    for _ in range(25):
        batch: list[Run] = []
        for _ in range(rng.randrange(1, 25)):
            season = rng.choice(list(KINDS))
            batch.append((season, rng.choice("abcd"), *draw(rng, season, few=seed % 2 == 0)))
        if once:
            batch = list({run[:2]: run for run in batch}.values())
        first = ruled.value("SELECT last_value + is_called::int FROM submission")
        counts = Counter(run[:2] for run in batch)
        for at, (run, (status, counted)) in enumerate(zip(batch, sender.send(*batch), strict=True)):
            cell, rule = run[:2], KINDS[run[0]]
            try:
                change = accept(rule, rows.get(cell), Submission(first + at, *run[2:]))
            except OutOfRange:
                assert status == OUT_OF_RANGE
                continue
            if status == OUT_OF_RANGE:
                # Several deltas of one player near the limits are judged one by one, in statements of their own.
                assert rule.operator == "sum" and counts[cell] > 1
                continue
            rows[cell] = change.row
            score, version, previous, improved, *_ = counted
            assert (status, score) == (WRITTEN, change.row.score)
            if rule.operator == "sum":
                assert version >= change.row.reached and (previous, improved) == (None, None)
            else:
                assert (version, previous, improved) == (change.row.reached, change.previous, change.improved)
    sender.close()
    ruled.carry_everything()
    for season, rule in KINDS.items():
        mine = {user: row for (name, user), row in rows.items() if name == season}
        assert rows_of(ruled, season) == mine
        assert board_of(ruled, season) == [(user, row) for _, user, row in rank_rows(rule, mine)]
    for (season, user), runs in ledger_of(ruled).items():
        assert fold(KINDS[season], runs) == rows[season, user]


def test_a_rebuild_loads_the_same_boards_and_nobody_finds_a_difference(ruled: World) -> None:
    rng, sender = random.Random(1), Sender(ruled)
    sender.learn(*KINDS)
    for _ in range(20):
        sender.send(*((s, f"p{n}", *draw(rng, s, few=True)) for s in KINDS for n in rng.sample(range(60), 20)))
    sender.close()
    ruled.carry_everything()
    boards = {season: board_of(ruled, season) for season in KINDS}
    assert all(len(board) > 40 for board in boards.values())
    assert compare(ruled.settings).equal
    session = ruled.session()
    for season in KINDS:
        assert rebuild(session, partition_of(season)) is not None
    assert {season: board_of(ruled, season) for season in KINDS} == boards
    assert compare(ruled.settings).equal
    sampler = Sampler(random.Random(2))
    for _ in range(40):
        assert list(sampler.look(session)) == []


def test_a_column_that_was_altered_in_redis_is_found(ruled: World) -> None:
    sender = Sender(ruled)
    sender.learn("speed")
    sender.send(("speed", "ada", 1, (5,)), ("speed", "bob", 1, (6,)))
    sender.close()
    ruled.carry_everything()
    partition = partition_of("speed")
    key, members = ruled.keys.board(partition, b"speed"), ruled.keys.members(partition, b"speed")
    prefix = ruled.redis.hget(members, "ada")
    other = prefix[:9] + bytes([prefix[9] ^ 3]) + prefix[10:]
    ruled.redis.zrem(key, prefix + b"ada")
    ruled.redis.zadd(key, {other + b"ada": -1})
    ruled.redis.hset(members, "ada", other)
    report = compare(ruled.settings)
    assert [(one.user, one.what) for one in report.differences] == [("ada", "columns")]
    assert confirm(ruled.session(), partition, "speed", {"ada"}) == "player 'ada'"
    ruled.redis.hset(ruled.keys.watermark[partition], "n:speed", f"2:{ruled.value(PERIOD, 'speed')}:1.a")
    assert "another rule is noted" in (confirm(ruled.session(), partition, "speed", set()) or "")
    assert "ranking or columns" in {one.what for one in compare(ruled.settings).differences}


PERIOD: Final = "SELECT period_id FROM season WHERE season_id = %s"


def test_rows_of_the_ledger_give_the_rows_whatever_the_order_in_which_batches_commit(ruled: World) -> None:
    """Many writers for few players: numbers are drawn before locks, so they arrive out of order."""
    seasons = [season for season, rule in KINDS.items() if rule.columns]
    problems: list[str] = []
    outdated = [0]

    def run(number: int) -> None:
        rng, sender = random.Random(number), Sender(ruled)
        sender.learn(*seasons)
        for at in range(60):
            batch: list[Run] = []
            for season in rng.choices(seasons, k=5):
                # Ever better columns of one score: each is an improvement.
                values = tuple(at if column.order == "desc" else -at for column in KINDS[season].columns)
                batch.append((season, rng.choice("xy"), 1, values))
            while batch:
                left = []
                for one, (status, _) in zip(batch, sender.send(*batch), strict=True):
                    if status == OUTDATED:
                        left.append(one)
                    elif status != WRITTEN:
                        problems.append(f"{one}: {status}")
                outdated[0] += len(left)
                batch = left
        sender.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    ledger = ledger_of(ruled)
    assert sum(map(len, ledger.values())) == 6 * 60 * 5
    for season in seasons:
        for user, row in rows_of(ruled, season).items():
            wanted = fold(KINDS[season], ledger[season, user])
            assert (row.score, row.columns) == (wanted.score, wanted.columns)
            if KINDS[season].operator != "sum":
                assert row.reached == wanted.reached
    print(f"{outdated[0]} were sent again")  # pytest -rP shows it


def test_a_sum_shows_the_columns_of_the_latest_run_by_number(ruled: World) -> None:
    """A batch whose numbers are earlier than those of the row comes late: its delta counts, its columns do not show."""
    ruled.submit(("plain", "ada", 1))
    slow, quick = Sender(ruled), Sender(ruled)
    for sender in (slow, quick):
        sender.learn("points")
    answers: list[tuple[int, Any]] = []
    batch: list[Run] = [("plain", "ada", 1, ()), ("points", "bob", 1, (1,)), ("points", "bob", 1, (2,))]
    with ruled.db.transaction():
        # Plain periods have the lowest numbers, so this row is the first that the slow batch wants.
        ruled.execute("SELECT FROM score WHERE user_id = 'ada' FOR UPDATE")
        thread = threading.Thread(target=lambda: answers.extend(slow.send(*batch)))
        thread.start()
        eventually(lambda: ruled.waiting() == 1)
        quick.send(("points", "bob", 1, (3,)))
    thread.join()
    assert [status for status, _ in answers] == [WRITTEN] * 3
    bob = rows_of(ruled, "points")["bob"]
    assert (bob.score, bob.columns) == (3, (3,))
    # The version has risen above the number of the run that is shown. A run with the next number is later.
    assert quick.send(("points", "bob", 1, (4,)))[0][0] == WRITTEN
    bob = rows_of(ruled, "points")["bob"]
    assert (bob.score, bob.columns) == (4, (4,))
    for sender in (slow, quick):
        sender.close()


def test_a_season_without_columns_is_plain_and_its_rows_are_as_short_as_before(ruled: World) -> None:
    """The bitmap of nulls of eight columns fits into the head of a row; that of nine would not."""
    ruled.submit(("plain", "ada", 1))
    sizes = ruled.rows(f"SELECT pg_column_size(s.*) FROM score s WHERE period_id = ({PERIOD})", "plain")
    # The head of 24 bytes, period, user id (1 and 3, padded to 8), score, reached, submissions.
    assert sizes == [(24 + 8 + 8 + 3 * 8,)]
    columns = "SELECT count(*) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
    assert ruled.value(columns, "score") <= 8 and ruled.value(columns, "ledger") <= 8


def test_other_columns_than_the_seasons_are_refused_and_batch_mates_count(ruled: World) -> None:
    sender = Sender(ruled)
    sender.learn(*KINDS)
    good = [sender.make_item("speed", "ada", 1, (5,)), sender.make_item("golf", "ada", 1, (1, 2, 3))]
    bad = []
    for season, columns in (
        ("speed", ()),
        ("speed", (("moves", 1),)),
        ("speed", (("moves", 1), ("time", 1))),
        ("golf", (("a", 1), ("b", 1))),
        ("lap", (("time", 1),)),
        ("plain", (("time", 1),)),
    ):
        item = sender.make_item(season, "bob", 1, (0,) * len(KINDS[season].columns))
        item.extras = Extras(columns=columns)
        bad.append(item)
    batch = [good[0], *bad, good[1]]
    answers = sender.loop.run_until_complete(sender.writer.submit(batch))
    assert [status for status, _ in answers] == [WRITTEN, *[MISFIT] * len(bad), WRITTEN]
    # Without a single column in the batch, the shorter text refuses what lacks them.
    answers = sender.loop.run_until_complete(sender.writer.submit(bad[:1]))
    assert [status for status, _ in answers] == [MISFIT]
    sender.close()
    assert ledger_of(ruled).keys() == {("speed", "ada"), ("golf", "ada")}
