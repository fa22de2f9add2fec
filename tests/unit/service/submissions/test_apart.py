"""The queue of submissions set apart: one of each player in a batch, and turns among the players."""

from __future__ import annotations

from service.submissions.apart import ApartQueue
from service.submissions.item import Item


class Outcome:
    """A promise; `kept` when its caller is gone."""

    def __init__(self, kept: bool) -> None:
        self.kept = kept

    def done(self) -> bool:
        return self.kept

    def set_result(self, result: tuple[int, int], /) -> None:
        self.kept = True

    def set_exception(self, error: Exception, /) -> None:
        self.kept = True


def item(user: str, delta: int, deadline: float = 10.0, *, done: bool = False) -> Item:
    return Item("s", user, delta, Outcome(done), deadline)


def queue(*items: Item) -> ApartQueue:
    made = ApartQueue()
    for one in items:
        made.append(one)
    return made


def names(items: list[Item]) -> list[tuple[str, int]]:
    return [(one.user, one.number) for one in items]


def test_a_batch_has_one_of_each_player_in_the_order_of_arrival() -> None:
    apart = queue(item("a", 1), item("a", 2), item("b", 1), item("a", 3))
    assert names(apart.take(10)) == [("a", 1), ("b", 1)]
    assert names(apart.take(10)) == [("a", 2)]
    assert names(apart.take(10)) == [("a", 3)]
    assert not apart and apart.take(10) == []


def test_players_beyond_the_size_of_a_batch_have_the_next_turn() -> None:
    apart = queue(*(item(user, n) for n in range(2) for user in "abc"))
    assert names(apart.take(2)) == [("a", 0), ("b", 0)]
    assert names(apart.take(2)) == [("c", 0), ("a", 1)]
    assert names(apart.take(2)) == [("b", 1), ("c", 1)]
    assert len(apart) == 0


def test_items_whose_callers_are_gone_take_no_place() -> None:
    apart = queue(item("a", 1, done=True), item("a", 2), item("b", 1, done=True), item("c", 1))
    assert names(apart.take(2)) == [("a", 2), ("c", 1)]
    assert len(apart) == 0


def test_expired_items_leave_and_the_others_keep_their_deadline() -> None:
    apart = queue(item("a", 1, 1.0), item("a", 2, 3.0), item("b", 1, 2.0))
    assert apart.find_deadline() == 1.0
    assert names(list(apart.take_expired(2.0))) == [("a", 1), ("b", 1)]
    assert (len(apart), apart.find_deadline()) == (1, 3.0)
    assert names(list(apart.take_all())) == [("a", 2)]
    assert (len(apart), apart.find_deadline()) == (0, None)
