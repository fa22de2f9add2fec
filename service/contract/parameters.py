"""Parameters of path, query and header: their bounds stand in their type, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec
from msgspec.inspect import IntType, Metadata, StrType, Type, type_info

from service.contract.problems import Problem, Rejected, add_problem
from service.contract.validation import is_plain

_NUMBER: Final = re.compile(r"[0-9]{1,9}")


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter. `parse` makes its value of the text that was sent (None: nothing was sent), or
    raises `Rejected`.

    `kind` is its type with bounds; `default` makes it optional. A header is given to the handler as
    text, in the `Caller`.
    """

    name: str
    place: Literal["path", "query", "header"]
    kind: Any
    meaning: str
    parse: Callable[[str | None], Any] = lambda text: text
    problem: Problem | None = None
    default: int | None = None
    required: bool = True

    @property
    def bounds(self) -> tuple[int, int] | None:
        """Least and greatest value of a number; None for a text."""
        known = inspect_type(self.kind)
        return (known.ge or 0, known.le or 0) if isinstance(known, IntType) else None


def inspect_type(kind: Any) -> Type:
    """What msgspec knows of a type and its bounds, without description and examples."""
    known = type_info(kind)
    return known.type if isinstance(known, Metadata) else known


def make_text_parameter(
    name: str, place: Literal["path", "query"], kind: Any, problem: Problem, meaning: str
) -> Parameter:
    """A required text without control characters, as long as its type allows."""
    known = inspect_type(kind)
    assert isinstance(known, StrType) and known.max_length is not None
    longest = known.max_length

    def parse(text: str | None) -> str:
        if text is None or not is_plain(text, longest):
            raise Rejected(problem.answer)
        return text

    return Parameter(name=name, place=place, kind=kind, meaning=meaning, parse=parse, problem=problem)


def make_number_parameter(name: str, kind: Any, default: int, meaning: str) -> Parameter:
    """An optional whole number of the query, within the bounds of its type. Its problem is made of the same bounds."""
    known = inspect_type(kind)
    assert isinstance(known, IntType) and known.ge is not None and known.le is not None
    low, high = known.ge, known.le
    problem = add_problem(
        f"invalid-{name}",
        400,
        f"{name} must be a whole number from {low} to {high}.",
        f"The query's `{name}` is out of bounds.",
    )

    def parse(text: str | None) -> int:
        number = parse_number(text, default, low, high)
        if number is None:
            raise Rejected(problem.answer)
        return number

    return Parameter(
        name=name, place="query", kind=kind, meaning=meaning, parse=parse, problem=problem, default=default
    )


def parse_number(text: str | None, default: int, low: int, high: int) -> int | None:
    """A whole number from `low` to `high`, the default for no text, None for anything else."""
    if text is None:
        return default
    if not _NUMBER.fullmatch(text):
        return None
    number = int(text)
    return number if low <= number <= high else None
