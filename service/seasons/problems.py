"""The HTTP errors of the operations on seasons. docs/errors.md repeats them."""

from __future__ import annotations

from service.contract.problems import add_problem

INVALID_DEFINITION = add_problem(
    "invalid-season",
    400,
    "The members of the season do not fit together or are out of bounds.",
    "A member of the definition is wrong by itself or beside another one; `detail` names it.",
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
