"""The HTTP errors of the operations on seasons. docs/errors.md repeats them."""

from __future__ import annotations

from board.feeds import FEEDS_MOST
from service.contract.problems import add_problem

INVALID_DEFINITION = add_problem(
    "invalid-season",
    400,
    "The members of the season do not fit together or are out of bounds.",
    "A member of the definition is wrong by itself or beside another one; `detail` names it.",
)
INVALID_SCHEDULE = add_problem(
    "invalid-schedule",
    400,
    "The schedule is none, or no period would ever end by it.",
    "A member is wrong or missing, the time zone is not known, or the schedule never comes to an end of a period; "
    "`detail` says which. A definition with such a schedule is refused as `invalid-season`.",
)
INVALID_FEEDS = add_problem(
    "invalid-feeds",
    400,
    "feeds must name other seasons that exist, and must not lead back to the season.",
    "`feeds` names the season itself, a season twice, or one that does not exist; leads back to the season; or lets a "
    f"submission count in more than {FEEDS_MOST} other seasons. `detail` says which.",
)
FEED_FORBIDDEN = add_problem(
    "feed-forbidden",
    403,
    "The key is not good for a season that feeds names.",
    "A key for certain seasons only may let them feed each other, and no other ones.",
)
INVALID_STATE = add_problem(
    "invalid-state", 400, "state must be upcoming, open, closing, closed or final.", "The query's `state` is unknown."
)
SETTING_FIXED = add_problem(
    "setting-fixed",
    409,
    "operator, order and columns are fixed while the period has submissions; nothing was changed.",
    "Reset the season first, or define another one.",
)
