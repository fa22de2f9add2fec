"""Answers to reads: right ones are accepted, wrong ones found."""

from __future__ import annotations

from typing import Any, cast

import pytest

from bench.load.closed_loop import LoadResult
from bench.load.open_loop_result import OpenLoopResult, summarize_latency
from bench.rows import read
from bench.system.run_options import RunOptions

ORDER = [(f"player-{n}", 1_000 - n // 2) for n in range(200)]

TRUTH = read.ExpectedOrder.of(ORDER)


def top(count: int) -> dict[str, object]:
    return {"items": [{"userId": user, "score": score} for user, score in ORDER[:count]]}


def window(first: int, end: int) -> dict[str, object]:
    items = [{"rank": n + 1, "userId": ORDER[n][0], "score": ORDER[n][1]} for n in range(first, end)]
    return {"userId": "player-3", "range": 5, "items": items}


def lookup(*places: int) -> dict[str, object]:
    items = [
        {"rank": at + 1, "position": n, "userId": ORDER[at][0], "score": ORDER[at][1], "version": 1}
        for n, at in enumerate(places, 1)
    ]
    return {"items": items, "notFound": []}


def histogram(*counts: int) -> dict[str, object]:
    """The 100 scores from 901 to 1,000 in buckets of five scores; the first have these counts, all others 10."""
    filled = [*counts, *[10] * (20 - len(counts))]
    return {"buckets": [{"from": 901 + 5 * n, "to": 905 + 5 * n, "count": c} for n, c in enumerate(filled)]}


def test_right_answers_are_accepted() -> None:
    assert read.check_top(100, TRUTH, (), top(100)) == ""
    assert read.check_top(1_000, TRUTH, (), top(200)) == "", "the whole board"
    assert read.check_rank(TRUTH, ["player-3"], {"userId": "player-3", "rank": 4, "score": 999}) == ""
    assert read.check_around(TRUTH, ["player-3"], window(0, 9)) == ""
    assert read.check_around(TRUTH, ["player-199"], window(194, 200)) == ""
    assert read.check_lookup(TRUTH, ["player-7", "player-3"], lookup(3, 7)) == ""
    assert read.check_score(TRUTH, (), {"rank": 11, "score": 995}) == "", "190 of 200 players are at or below"
    assert read.check_filled(TRUTH, ["player-3"], window(0, 11)) == ""
    assert read.check_filled(TRUTH, ["player-100"], window(95, 106)) == ""
    assert read.check_filled(TRUTH, ["player-199"], window(189, 200)) == ""
    assert read.check_histogram(TRUTH, (), histogram(10)) == ""
    long = [(f"player-{n}", 20_000 - n) for n in range(10_005)]
    page = {"items": [{"userId": user, "score": score} for user, score in long[10_000:]]}
    assert read.check_page(10_000, read.ExpectedOrder.of(long), (), page) == ""
    assert read.check_page(10_000, read.ExpectedOrder.of(long[1:]), (), page), "one player less is ahead"


def test_names_are_checked_too() -> None:
    items = [{"userId": user, "displayName": f"Name of {user}", "score": score} for user, score in ORDER[:100]]
    assert read.check_names(100, TRUTH, (), {"items": items}) == ""
    assert read.check_names(100, TRUTH, (), {"items": items[:99]}), "a player less"
    items[7] = {**items[7], "displayName": "Eve"}
    assert read.check_names(100, TRUTH, (), {"items": items})
    assert read.check_names(100, TRUTH, (), top(100)), "no names at all"


def test_wrong_answers_are_not() -> None:
    swapped = top(10)
    swapped["items"] = [{"userId": user, "score": score} for user, score in [*ORDER[1::-1], *ORDER[2:10]]]
    assert read.check_top(10, TRUTH, (), swapped)
    assert read.check_top(10, TRUTH, (), top(9))
    assert read.check_top(100, TRUTH, (), top(10)), "a shorter list is no top 100"
    assert read.check_rank(TRUTH, ["player-3"], {"userId": "player-3", "rank": 5, "score": 999})
    assert read.check_rank(TRUTH, ["player-3"], {"userId": "player-3", "rank": 4, "score": 998})
    assert read.check_around(TRUTH, ["player-3"], window(0, 8))
    for wrong in (lookup(7, 3), lookup(3), lookup(3, 8), {**lookup(3, 7), "notFound": ["player-9"]}):
        assert read.check_lookup(TRUTH, ["player-7", "player-3"], wrong)
    for wrong in ({"rank": 10, "score": 995}, {"rank": 11, "score": 996}):
        assert read.check_score(TRUTH, (), wrong)
    assert read.check_filled(TRUTH, ["player-3"], window(0, 9))
    assert read.check_histogram(TRUTH, (), histogram(9, 11))
    assert read.check_histogram(TRUTH, (), histogram(9))
    assert read.check_histogram(TRUTH, (), {"buckets": [{"from": 901, "to": 1000, "count": 200}]})


class Refused(read.BoardRead, frozen=True):
    """A read that is answered in a closed loop; of the requests at a fixed rate `refused` are not."""

    refused: int = 0

    def load(self, *_: Any) -> LoadResult:
        return LoadResult(2_000, 0, 0, 0, 2_000_000, 1_000, 2_000, 3_000, 4_000, 1_000.0)

    def load_paced(self, stack: Any, options: RunOptions, rate: float, meanwhile: Any) -> OpenLoopResult:
        latency = summarize_latency([3_000] * 100)
        return OpenLoopResult(rate, rate, rate, 100, 100 - self.refused, 0, self.refused, 0, latency, latency,
                              summarize_latency([]), 0.1, 0.2)  # fmt: skip


@pytest.mark.parametrize("refused", [0, 3])
def test_a_refusal_at_the_fixed_rate_is_a_fault(monkeypatch: pytest.MonkeyPatch, refused: int) -> None:
    monkeypatch.setitem(read.READS, "lookup100", Refused("/lookup", 1, read.check_lookup, paced=True, refused=refused))
    options = cast(RunOptions, type("Options", (), {"players": 100, "seed": 1, "seconds": 4}))
    found = read.measure_read(cast(Any, None), options, "lookup100", TRUTH, cast(Any, None), [])
    assert found.faults == (("3 of 2100 answers were errors",) if refused else ())
    assert (found.figures["offered_per_s"], found.figures["peak_per_s"]) == (250, 1_000)
    assert found.figures["p99_ms"] == pytest.approx(3, 0.01) and "write_p99_ms" not in found.figures
