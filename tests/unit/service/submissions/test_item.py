"""Items: fingerprints, what a retry is compared by, stored by older releases, too; outcomes of batch requests."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest
from support.nobody import Nobody

from board.digests import make_digest
from board.errors import LeaderboardError
from service.submissions.item import (
    NO_EXTRAS,
    BatchItem,
    BatchRequest,
    Counted,
    Extras,
    Item,
    QueueFull,
    extras_of_key,
)


def fingerprint(number: int = 5, *, scored: bool = False, extras: Extras = NO_EXTRAS) -> str | None:
    item = Item("s", "ada", number, Nobody(), 0.0)
    item.scored, item.extras = scored, extras
    item.set_key("k")
    return item.fingerprint


def test_without_more_than_a_number_they_are_those_of_0_2_0() -> None:
    """Byte for byte: a retry may come after an upgrade. The key that it came with is no part of it."""
    assert fingerprint() == "fe9f0e77ef74833cfbf56713f8701dd3" == make_digest("ada", "5")
    assert fingerprint(scored=True) == "380009bc53635b72fd081f82ab30b3f6"
    assert fingerprint(extras=Extras("4fT9s0aKqZ")) == fingerprint()


def test_every_member_changes_them() -> None:
    told = [
        Extras("", version, metadata)
        for version in ("", "1", "1.0", "{}")
        for metadata in (None, "{}", '{"a":1}', '{"a":"1"}')
    ]
    found = [fingerprint(n, scored=scored, extras=one) for n in (5, 51) for scored in (False, True) for one in told]
    assert len({*found}) == len(found)


def test_those_of_a_whole_run_never_change() -> None:
    run = Extras("", "1", "{}", (("moves", 2), ("time", -1)), 5, 3)
    asked = "score 5\0001\0{}\0moves=2\0time=-1\0005\0003"
    assert fingerprint(scored=True, extras=run) == make_digest("ada", asked) == "385ee7d2f0349fb128db1728d8d8a9b3"
    assert fingerprint(extras=Extras("", "1")) == make_digest("ada", "5\0001\0")


def test_columns_and_places_change_them() -> None:
    told = [
        Extras(columns=columns, achieved=achieved, period=period)
        for columns in ((), (("a", 1),), (("a", 2),), (("b", 1),), (("a", 1), ("b", 1)))
        for achieved in (0, 1, 12)
        for period in (0, 1, 2)
    ]
    found = [fingerprint(extras=one) for one in told]
    assert len({*found}) == len(found)


@pytest.mark.parametrize(
    ("extras", "by_rule", "placed"),
    [
        (Extras("key"), False, False),
        (Extras(client_version="1"), True, False),
        (Extras(metadata="{}"), True, False),
        (Extras(columns=(("a", 1),)), True, False),
        (Extras(achieved=1), True, True),
        (Extras(period=1), True, True),
    ],
)
def test_the_statement_of_plain_seasons_writes_numbers_alone(extras: Extras, by_rule: bool, placed: bool) -> None:
    assert (extras.by_rule, extras.is_placed) == (by_rule, placed)
    assert extras.origin == (extras.key_id, extras.client_version)
    assert extras_of_key(extras.key_id) == Extras(extras.key_id)
    with pytest.raises(AttributeError):
        extras.period = 5  # type: ignore[misc]


def test_extras_are_no_work_for_the_collector_of_cycles() -> None:
    # As it comes from a body: a tuple that is made at run time is tracked itself.
    columns = tuple([("a", 1)])
    assert gc.is_tracked(columns) and not gc.is_tracked(Extras("key", columns=columns))


def test_a_new_item_is_a_plain_one_that_was_not_tried() -> None:
    item = Item("s", "ada", 5, Nobody(), 1.5)
    assert not (item.scored or item.by_rule or item.full or item.edge or item.tries or item.trace)
    assert (item.season, item.user, item.number, item.deadline, item.weight) == ("s", "ada", 5, 1.5, 1)
    assert item.digest is None and item.fingerprint is None and item.extras is NO_EXTRAS
    item.set_key("k")
    assert item.digest == make_digest("s", "k")


@pytest.fixture
def future() -> Iterator[asyncio.Future[list[Counted | LeaderboardError]]]:
    loop = asyncio.new_event_loop()
    yield loop.create_future()
    loop.close()


FIRST: Counted = (5, 1, None, None, None, None)


def test_a_batch_is_answered_with_its_last_outcome_in_the_order_of_the_request(
    future: asyncio.Future[list[Counted | LeaderboardError]],
) -> None:
    request = BatchRequest(future, 2)
    one, other = (BatchItem("s", user, 5, 1.5, request, at) for at, user in enumerate("ab"))
    assert (one.weight, one.deadline, one.at, other.at) == (1, 1.5, 0, 1) and not one.done()
    error = QueueFull("full")
    other.fail(error)
    assert other.done() and not one.done() and not future.done()
    other.fail(QueueFull("again"))
    one.set_result(FIRST)
    assert one.done() and future.result() == [FIRST, error]


def test_a_batch_whose_caller_is_gone_is_done(future: asyncio.Future[list[Counted | LeaderboardError]]) -> None:
    request = BatchRequest(future, 1)
    item = BatchItem("s", "a", 5, 1.5, request, 0)
    future.cancel()
    assert item.done()
    item.fail(QueueFull("full"))
    assert request.outcomes == [None]
    item.set_result(FIRST)
    assert request.outcomes == [FIRST] and future.cancelled()
