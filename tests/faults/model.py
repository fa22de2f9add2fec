"""The judge's naive model of rules: what a submission counts as in the seasons that it reaches, which run is better.

It shares no code with the product. Numbers of columns stand in PostgreSQL as bytes, 8 for each, of which the greater
ones are the better run (`0012_pre_columns.sql`), and inverted in Redis (docs/architecture.md).
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from typing import Any, Final, NamedTuple

import msgspec

OPS_MOST: Final = 10**9
"""The number of a submission modulo this is its `op`, unless its metadata tell it."""
OPERATORS: Final = ("sum", "best", "last")
FOLD_BITS: Final = 56
NUMBER: Final = 2**63 - 1
"""Rows with columns have the highest bit of `reached` set."""
INVERTED: Final = bytes(range(255, -1, -1))


class Rule(msgspec.Struct, frozen=True):
    """What a `define` event tells of a season."""

    operator: str = "sum"
    order: str = "desc"
    columns: tuple[tuple[str, str], ...] = ()
    low: int | None = None
    high: int | None = None
    feeds: tuple[str, ...] = ()
    is_shared: bool = False
    is_scheduled: bool = False
    segments: tuple[str, ...] = ()

    @property
    def fold(self) -> int:
        """Bits 56 to 61 of the `period_id` of its periods. The next one tells nothing of rows: whether only the
        statement by rule writes them."""
        return 8 * len(self.columns) + 2 * OPERATORS.index(self.operator) + (self.order == "asc")

    def turn(self, number: int) -> int:
        """A score as `score` has it, and back: the higher the better."""
        return number if self.order == "desc" else -1 - number

    def pack(self, values: Mapping[str, int]) -> bytes | None:
        """Columns as PostgreSQL has them; None for others than the rule's. A rule without any takes none of them."""
        if self.columns and {name for name, _ in self.columns} != set(values):
            return None
        turned = [values[name] if order == "desc" else -1 - values[name] for name, order in self.columns]
        return b"".join((number + 2**63).to_bytes(8, "big") for number in turned)

    def better(self, score: int, columns: bytes) -> tuple[int, bytes]:
        """What runs are compared by: the greater, the better."""
        return self.turn(score), columns

    def refuse(self, value: int, columns: Mapping[str, int]) -> str | None:
        """Why it does not take a submission to a season that feeds it; None: it does."""
        if self.pack(columns) is None:
            return "invalid-columns"
        is_outside = (self.low is not None and value < self.low) or (self.high is not None and value > self.high)
        return "score-out-of-bounds" if is_outside else None


PLAIN: Final = Rule()


def rule_of(event: Mapping[str, Any]) -> Rule:
    """The rule of a `define` event."""
    bounds = event.get("bounds", {})
    return Rule(
        operator=event["operator"],
        order=event["order"],
        columns=tuple((column["name"], column.get("order", "desc")) for column in event.get("columns", ())),
        low=bounds.get("min"),
        high=bounds.get("max"),
        feeds=tuple(event.get("feeds", ())),
        is_shared=event.get("ranking") == "competition",
        is_scheduled=bool(event.get("schedule")),
        segments=tuple(event.get("segments", ())),
    )


def reach(season: str, rules: Mapping[str, Rule]) -> set[str]:
    """The other seasons in which a submission to a season counts: those that it feeds, and those that they feed."""
    found: set[str] = set()
    ahead = [*rules.get(season, PLAIN).feeds]
    while ahead:
        one = ahead.pop()
        if one not in found:
            found.add(one)
            ahead += rules.get(one, PLAIN).feeds
    return found


class Run(NamedTuple):
    """A row of the ledger. `columns` are packed; `op` names the submission that it should be of."""

    number: int
    period: int
    user: str
    value: int
    columns: bytes
    op: int
    at: Any

    @property
    def fold(self) -> int:
        return self.period >> FOLD_BITS & 63


def run_of(
    ops: Container[int], number: int, period: int, user: str, value: int, run: bytes | None, at: Any
) -> Run | None:
    """A row of the ledger as it stands there; None for a submission that is none of `ops`: of another history."""
    size = 8 * run[0] if run else 0
    metadata = json.loads(run[1 + size :]) if run and len(run) > 1 + size else {}
    op = metadata.get("op", value % OPS_MOST)
    if op not in ops:
        return None
    return Run(number, period, user, value, run[1 : 1 + size] if run else b"", op, at)


def counting(rule: Rule, runs: list[Run]) -> Run:
    """Of `best` and `last` the run that counts. Equal is not better, and the later one of two last ones is the last."""
    if rule.operator == "last":
        return max(runs, key=lambda run: (run.at, run.number))
    return max(runs, key=lambda run: (rule.better(run.value, run.columns), -run.number))


class Row(NamedTuple):
    """A player's row in PostgreSQL. `score` as it was submitted, `columns` those of the run that counts, packed."""

    user: str
    score: int
    columns: bytes
    reached: int
    submissions: int


def row_of(rule: Rule, user: str, stored: int, columns: bytes | None, reached: int, submissions: int) -> Row:
    """A row of `score` as it stands there."""
    return Row(user, rule.turn(stored), (columns or b"")[: 8 * len(rule.columns)], reached & NUMBER, submissions)


def place(rule: Rule, row: Row) -> tuple[int, bytes, int, str]:
    """The key by which a board is sorted, best first: those of Redis, too."""
    return -rule.turn(row.score), row.columns.translate(INVERTED), row.reached, row.user


def entry_of(member: bytes, double: float, columns: int) -> tuple[int, bytes, int, str]:
    """`place` of an entry in Redis: low (2), first column (8), 0xff, further columns, reached (8), user id."""
    assert member[:2] == b"\0\0" and abs(double) < 2.0**52, "the generator's scores stay small: no low bits"
    at = 2 + 8 * columns + (columns > 0)
    assert not columns or member[10] == 0xFF, "a member without columns, in a season with some"
    inverted = member[2:10] + member[11:at] if columns else b""
    return int(double), inverted, int.from_bytes(member[at : at + 8], "big"), member[at + 8 :].decode()


def prefix_of(rule: Rule, row: Row) -> bytes:
    """What the hash of members holds for a player: the part of the member before the user id."""
    _, inverted, reached, _ = place(rule, row)
    return b"\0\0" + (inverted[:8] + b"\xff" + inverted[8:] if inverted else b"") + reached.to_bytes(8, "big")
