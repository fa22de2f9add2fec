"""Bodies of requests: type, longest size, decoding, and the cost of a request for quotas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from service.contract import problems
from service.contract.problems import Problem, Rejected
from service.contract.validation import (
    DUPLICATE_MEMBER,
    JSON_TYPE,
    UNDECODABLE,
    has_duplicate_member,
    is_media_type,
    measure_depth,
)

MIB: Final = 1024 * 1024
KIB: Final = 1024

DEPTH_MOST: Final = 32
"""Levels of objects and arrays in a body. What follows may go through them by calls."""

T = TypeVar("T")


class Cost(msgspec.Struct, frozen=True, gc=False):
    """The units that a request spends: those of its key, and those of each player in its body."""

    units: int
    players: Mapping[str, int]


ONE_UNIT: Final = Cost(1, {})


def cost_one(decoded: Any, body: bytes | None) -> Cost:
    """One unit for every request."""
    return ONE_UNIT


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON body of an operation.

    `kind` is the type in the OpenAPI document, `most` the longest body in bytes; a longer one is refused
    before it is decoded. `decode` turns the bytes into the handler's argument, or raises `Rejected`.
    `noun` names the body in the text of that refusal. `media_types` are those that the operation takes.
    `cost` gets the decoded body (None if it was refused) and the bytes (None if too long).
    """

    kind: Any
    most: int
    decode: Callable[[bytes], Any]
    noun: str = "The body"
    too_large: Problem = problems.BODY_TOO_LARGE
    own_problems: tuple[Problem, ...] = ()
    required: bool = True
    media_types: tuple[str, ...] = (JSON_TYPE,)
    cost: Callable[[Any, bytes | None], Cost] = cost_one

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems that a body can be refused with."""
        return (
            problems.MALFORMED_JSON,
            problems.INVALID_BODY,
            *self.own_problems,
            self.too_large,
            problems.UNSUPPORTED_MEDIA_TYPE,
        )

    def make_reader(self) -> Callable[[str | None, bytes | None], Any]:
        """Make a function of content type and bytes (None: longer than `most`) that decodes, or raises `Rejected`."""
        too_large = self.too_large.with_detail(f"{self.noun} is larger than {format_size(self.most)}.")
        most, decode, required = self.most, self.decode, self.required
        media_types = self.media_types
        unsupported = problems.UNSUPPORTED_MEDIA_TYPE.with_detail(f"The body must be {' or '.join(media_types)}.")

        def read(content_type: str | None, body: bytes | None) -> Any:
            if not required and body == b"":
                return decode(body)
            if content_type is not None and not is_media_type(content_type, media_types):
                raise Rejected(unsupported)
            if body is None or len(body) > most:
                raise Rejected(too_large)
            return decode(body)

        return read


def format_size(size: int) -> str:
    """Format a number of bytes in whole units: ``4 MiB``, ``128 KiB``."""
    return f"{size // MIB} MiB" if size % MIB == 0 else f"{size // KIB} KiB"


def decode_strictly(kind: type[T], body: bytes) -> T:
    """Decode a body of a type that forbids unknown members. Raises `Rejected`, also for a duplicate
    member, and for more levels than `DEPTH_MOST`.
    """
    try:
        decoded = msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Rejected(problems.INVALID_BODY.with_detail(str(error))) from error
    except UNDECODABLE as error:
        raise Rejected(problems.MALFORMED_JSON.answer) from error
    # First: the parser that looks for duplicates reaches fewer levels than the one before.
    if measure_depth(decoded) > DEPTH_MOST:
        raise Rejected(problems.INVALID_BODY.with_detail(f"The body has more than {DEPTH_MOST} levels."))
    if has_duplicate_member(body):
        raise Rejected(problems.INVALID_BODY.with_detail(DUPLICATE_MEMBER))
    return decoded
