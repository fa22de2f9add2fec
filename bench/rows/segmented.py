"""A board that is divided into segments: the reads of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bench.system.stack import Stack
from board.partitions import partition_of

ATTRIBUTE: Final = "country"
VALUE: Final = "KR"
SEGMENT: Final = f"{ATTRIBUTE}:{VALUE}"
SHARE: Final = 10
"""One player of ten is in the segment."""


def divide_board(stack: Stack, season: str, users: Sequence[str]) -> None:
    """Put these players of a season into the segment `SEGMENT`, whatever profiles they have. Relays may run."""
    give_attributes(stack, {user: VALUE for user in users})
    stack.db.execute("UPDATE season SET segments = %s WHERE season_id = %s", (ATTRIBUTE, season))
    # Nothing has told the relays. A rebuild loads the profiles, too.
    stack.run_command("rebuild", "--all")


def give_attributes(stack: Stack, value_of: dict[str, str]) -> None:
    """Write the attribute of players, and leave no hint. The other attributes that they have are gone."""
    with stack.db.transaction():
        stack.db.execute("CREATE TEMPORARY TABLE place (partition smallint, user_id text, value text) ON COMMIT DROP")
        with stack.db.cursor().copy("COPY place FROM STDIN") as copy:
            for user, value in value_of.items():
                copy.write_row((partition_of(user), user, value))
        stack.db.execute(
            "INSERT INTO player (partition, user_id, attributes, revision) "
            "SELECT partition, user_id, json_build_object(%s::text, value)::text, nextval('profile_revision') "
            "FROM place ON CONFLICT (partition, user_id) DO UPDATE SET attributes = excluded.attributes",
            (ATTRIBUTE,),
        )
