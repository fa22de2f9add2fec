"""Parameters of path, query and header. The bounds of each are those of its type."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final, Literal, get_args

import msgspec
from msgspec.inspect import FloatType, IntType, Metadata, StrType, Type, type_info

from service.contract.problems import INVALID_CURSOR, Problem, Rejected, add_problem
from service.contract.types import INT64_MAX, INT64_MIN
from service.contract.validation import is_plain

_NUMBER: Final = re.compile(r"[0-9]{1,19}")
_INT64: Final = re.compile(r"-?[0-9]{1,19}")
_HUMP: Final = re.compile(r"([A-Z])")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?")
"""A number as JSON spells it. The lengths bound the work of an exact fraction."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter.

    `kind` is its type with bounds. `parse` turns the text (None: not sent) into the value, or raises
    `Rejected` with `problem`. A `default` makes it optional. The handler gets a header that `is_passed` like the
    others, and else as text, in the `Caller`.
    """

    name: str
    place: Literal["path", "query", "header"]
    kind: Any
    meaning: str
    parse: Callable[[str | None], Any] = lambda text: text
    problem: Problem | None = None
    default: int | str | None = None
    required: bool = True
    is_passed: bool = False

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Least and greatest value of a number; None for a text."""
        known = inspect_type(self.kind)
        return (known.ge or 0, known.le or 0) if isinstance(known, IntType | FloatType) else None


def inspect_type(kind: Any) -> Type:
    """msgspec's view of a type: its bounds, without description and examples."""
    known = type_info(kind)
    return known.type if isinstance(known, Metadata) else known


def make_text_parameter(
    name: str, place: Literal["path", "query"], kind: Any, problem: Problem, meaning: str, *, required: bool = True
) -> Parameter:
    """Make a parameter: a text without control characters, within the length of its type; None if it may be missing."""
    known = inspect_type(kind)
    assert isinstance(known, StrType) and known.max_length is not None
    longest = known.max_length

    def parse(text: str | None) -> str | None:
        # PERF: printable ASCII is what nearly every name is; the same promise as `is_plain`.
        if text is not None and 0 < len(text) <= longest and text.isascii() and text.isprintable():
            return text
        if text is None and not required:
            return None
        if text is None or not is_plain(text, longest):
            raise Rejected(problem.answer)
        return text

    return Parameter(
        name=name, place=place, kind=kind, meaning=meaning, parse=parse, problem=problem, required=required
    )


def make_optional(parameter: Parameter) -> Parameter:
    """The same parameter, which may be missing: its value is None then."""

    def parse(text: str | None) -> Any:
        return None if text is None else parameter.parse(text)

    return msgspec.structs.replace(parameter, parse=parse, required=False)


def make_cursor_parameter(
    kind: Any, parse: Callable[[str | None], Any], meaning: str = "Leads to the next page."
) -> Parameter:
    """Make the optional parameter ``cursor`` of a list; `parse` raises `Rejected` for a text that is no such cursor."""
    return Parameter(
        name="cursor", place="query", kind=kind, meaning=meaning, parse=parse, problem=INVALID_CURSOR, required=False
    )


def make_int64_parameter(name: str, kind: Any, problem: Problem, meaning: str) -> Parameter:
    """Make an optional parameter of the query: a whole number of 64 bits, which may be negative."""

    def parse(text: str | None) -> int | None:
        if text is None:
            return None
        number = int(text) if _INT64.fullmatch(text) else INT64_MAX + 1
        if not INT64_MIN <= number <= INT64_MAX:
            raise Rejected(problem.answer)
        return number

    return Parameter(name=name, place="query", kind=kind, meaning=meaning, parse=parse, problem=problem, required=False)


def make_kebab(name: str) -> str:
    """A name of a parameter in the form of the codes of problems."""
    return _HUMP.sub(r"-\1", name).lower()


def make_number_parameter(
    name: str, kind: Any, default: int | None, meaning: str, code: str | None = None
) -> Parameter:
    """Make an optional parameter of the query: a whole number within the bounds of its type; without a default None.

    Its problem is ``invalid-<name>`` in kebab case, or the one with this code, with the same bounds in its title.
    """
    known = inspect_type(kind)
    assert isinstance(known, IntType) and known.ge is not None and known.le is not None
    low, high = known.ge, known.le
    problem = add_problem(
        code or f"invalid-{make_kebab(name)}",
        400,
        f"{name} must be a whole number from {low} to {high}.",
        f"The query's `{name}` is out of bounds.",
    )

    def parse(text: str | None) -> int | None:
        if text is None:
            return default
        number = parse_number(text, default, low, high)
        if number is None:
            raise Rejected(problem.answer)
        return number

    return Parameter(
        name=name,
        place="query",
        kind=kind,
        meaning=meaning,
        parse=parse,
        problem=problem,
        default=default,
        required=False,
    )


def make_flag_parameter(name: str, meaning: str, code: str | None = None) -> Parameter:
    """Make an optional parameter of the query: ``true`` or ``false``, which is the default.

    Its problem is ``invalid-<name>``, or the one with this code.
    """
    return _make_query_parameter(
        name, bool, False, meaning, {"true": True, "false": False}.get,
        f"{name} must be true or false.", f"The query's `{name}` is neither `true` nor `false`.", code,
    )  # fmt: skip


def make_choice_parameter(
    name: str, kind: Any, default: str | None, meaning: str, code: str | None = None
) -> Parameter:
    """Make an optional parameter of the query: one of the texts of a `Literal`.

    Its problem is ``invalid-<name>``, or the one with this code, with the texts in its title.
    """
    choices: tuple[str, ...] = get_args(kind)
    return _make_query_parameter(
        name, kind, default, meaning, {choice: choice for choice in choices}.get,
        f"{name} must be {' or '.join(choices)}.", f"The query's `{name}` is another text.", code,
    )  # fmt: skip


def make_decimal_parameter(name: str, kind: Any, meaning: str) -> Parameter:
    """Make an optional parameter of the query: a decimal number within the bounds of its type, as an exact fraction.

    It is None if it was not sent. Its problem is ``invalid-<name>``, with the same bounds in its title.
    """
    known = inspect_type(kind)
    assert isinstance(known, FloatType) and known.ge is not None and known.le is not None
    low, high = known.ge, known.le

    def read(text: str) -> Fraction | None:
        number = Fraction(text) if _DECIMAL.fullmatch(text) else None
        return number if number is not None and low <= number <= high else None

    return _make_query_parameter(
        name, kind, None, meaning, read,
        f"{name} must be a number from {low:g} to {high:g}.", f"The query's `{name}` is no number, or out of bounds.",
    )  # fmt: skip


def _make_query_parameter(
    name: str,
    kind: Any,
    default: Any,
    meaning: str,
    read: Callable[[str], Any],
    title: str,
    detail: str,
    code: str | None = None,
) -> Parameter:
    """Make an optional parameter of the query. `read` returns the value of a text; None: its problem is the answer."""
    problem = add_problem(code or f"invalid-{name}", 400, title, detail)

    def parse(text: str | None) -> Any:
        if text is None:
            return default
        value = read(text)
        if value is None:
            raise Rejected(problem.answer)
        return value

    return Parameter(
        name=name, place="query", kind=kind, meaning=meaning, parse=parse, problem=problem, default=default,
        required=False,
    )  # fmt: skip


def parse_number(text: str | None, default: int | None, low: int, high: int) -> int | None:
    """Parse a whole number from `low` to `high`; the default for no text, None for any other text."""
    if text is None:
        return default
    if not _NUMBER.fullmatch(text):
        return None
    number = int(text)
    return number if low <= number <= high else None
