"""Numbers of 64 bits as texts: the answers for clients whose numbers are doubles (`?int64=string`)."""

from __future__ import annotations

from typing import Any, Final

SPELLED: Final = frozenset({"score", "version", "previousScore", "value", "corrected", "from", "to"})
"""The members that are numbers of 64 bits. All of them are strings then, also the small ones."""
COLUMNS: Final = "columns"
"""The member whose members are numbers of 64 bits."""
FOREIGN: Final = frozenset({"metadata", "attributes"})
"""The members that hold what clients have sent. They stay as they are."""
DIGITS: Final = "^-?[0-9]{1,19}$"


def spell(value: Any) -> Any:
    """A decoded answer with its numbers of 64 bits as texts."""
    if isinstance(value, dict):
        return {name: spell_member(name, member) for name, member in value.items()}
    if isinstance(value, list):
        return [spell(member) for member in value]
    return value


def spell_member(name: str, member: Any) -> Any:
    """One member of an object."""
    if name in SPELLED and isinstance(member, int):
        return str(member)
    if name == COLUMNS and isinstance(member, dict):
        return {column: str(number) for column, number in member.items()}
    return member if name in FOREIGN else spell(member)
