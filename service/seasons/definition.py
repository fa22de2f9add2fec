"""Definitions of seasons: decoded, checked, patched, and in the form in which PostgreSQL keeps them."""

from __future__ import annotations

import datetime
import re
from typing import Any, Final

import msgspec

from board.errors import InvalidRule
from board.periods import Terms, find_end
from board.schedule import check_schedule, has_dates
from board.season import Rule, check_rule
from service.contract.body import decode_strictly
from service.contract.merge_patch import Members, merge
from service.contract.problems import Rejected
from service.contract.types import METADATA_DEPTH_MOST, METADATA_MOST_BYTES
from service.contract.validation import measure_depth
from service.seasons.problems import INVALID_DEFINITION
from service.seasons.types import Definition

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_encode: Final = msgspec.json.Encoder().encode


def rule_of(definition: Definition) -> Rule:
    """The rule by which a season with this definition takes submissions. (The ranking concerns reads alone.)"""
    return Rule(
        operator=definition.operator, order=definition.order, columns=definition.columns, bounds=definition.bounds
    )


def terms_of(definition: Definition) -> Terms:
    """The terms of a season with this definition."""
    return msgspec.convert(definition, Terms, from_attributes=True)


def check_schedule_of(definition: Definition, before: Definition, now: datetime.datetime) -> None:
    """Raise `InvalidRule` for a schedule that is no good, unless the season has it already."""
    schedule = definition.schedule
    if schedule is None or (schedule, definition.opensAt) == (before.schedule, before.opensAt):
        return
    check_schedule(schedule, now)
    if find_end(terms_of(definition), now) is None:
        raise InvalidRule("schedule has no end after opensAt")


def check_definition(definition: Definition) -> Definition:
    """The definition, if its members fit together and within their bounds. Raises `InvalidRule`."""
    check_rule(rule_of(definition))
    if not has_dates(definition.opensAt):
        raise InvalidRule("opensAt is out of range")
    if len({*definition.segments}) < len(definition.segments):
        raise InvalidRule("segments names an attribute twice")
    for name, text in (("title", definition.title), ("display.unit", definition.display.unit)):
        if _CONTROL.search(text):
            raise InvalidRule(f"{name} has a control character")
    if len(_encode(definition.metadata)) > METADATA_MOST_BYTES:
        raise InvalidRule(f"metadata is longer than {METADATA_MOST_BYTES} bytes of JSON")
    if measure_depth(definition.metadata) > METADATA_DEPTH_MOST:
        raise InvalidRule(f"metadata is deeper than {METADATA_DEPTH_MOST} levels")
    return definition


def decode_definition(body: bytes) -> Definition:
    """Decode and check the body of a PUT. Raises `Rejected`."""
    members: Members = decode_strictly(dict[str, Any], body)
    try:
        return make_definition(members)
    except InvalidRule as error:
        raise Rejected(INVALID_DEFINITION.with_detail(str(error))) from error


def decode_patch(body: bytes) -> Members:
    """Decode the body of a PATCH. Its members are checked when it has been merged. Raises `Rejected`."""
    patch: Members = decode_strictly(dict[str, Any], body)
    return patch


def apply_patch(definition: Definition, patch: Members) -> Definition:
    """The definition after a merge patch. Raises `InvalidRule`."""
    return make_definition(merge(msgspec.to_builtins(definition), patch))


def make_definition(members: Members) -> Definition:
    """The definition with these members, as JSON spells them; missing ones are defaults. Raises `InvalidRule`."""
    try:
        return check_definition(msgspec.convert(members, Definition))
    except msgspec.ValidationError as error:
        raise InvalidRule(str(error)) from error


def store_definition(definition: Definition) -> str:
    """The text that PostgreSQL keeps. Times are in UTC."""
    schedule = definition.schedule
    if schedule is not None:
        schedule = msgspec.structs.replace(schedule, startsAt=to_utc(schedule.startsAt), endsAt=to_utc(schedule.endsAt))
    definition = msgspec.structs.replace(definition, opensAt=to_utc(definition.opensAt), schedule=schedule)
    return _encode(definition).decode()


def to_utc(instant: datetime.datetime | None) -> datetime.datetime | None:
    """An instant in UTC."""
    return None if instant is None else instant.astimezone(datetime.UTC)


def load_definition(text: str | None) -> Definition:
    """The definition of a text that PostgreSQL has kept; None: the defaults. Members of later releases are ignored."""
    members: Members = {} if text is None else msgspec.json.decode(text)
    known = Definition.__struct_fields__
    return msgspec.convert({name: value for name, value in members.items() if name in known}, Definition)
