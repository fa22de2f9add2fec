"""The HTTP errors of corrections. docs/errors.md repeats them."""

from __future__ import annotations

from board.correction_steps import (
    CONFIRM_ABOVE,
    ITEMS_MOST,
    PLAYERS_MOST,
)
from service.contract.problems import add_problem

INVALID_CORRECTION = add_problem(
    "invalid-correction",
    400,
    "The correction has a member that is missing, unknown or wrong; nothing was done.",
    "A member of the correction is missing, unknown, of another type, or at odds with another; `detail` names it.",
)
CORRECTION_NOT_FOUND = add_problem(
    "correction-not-found", 404, "There is no such correction.", "No correction has this number."
)
CORRECTION_EMPTY = add_problem(
    "correction-empty",
    409,
    "The filter chooses no submission; nothing was done.",
    "No submission of the season's periods that are kept fits all members of the filter.",
)
CORRECTION_UNDONE = add_problem(
    "correction-undone",
    409,
    "The correction is undone, is being undone, or was refused; nothing was done.",
    "An undoing cannot be undone: make the correction anew.",
)
CONFIRM_COUNT = add_problem(
    "confirm-count",
    409,
    "The correction has to confirm the number of its submissions; nothing was done.",
    f"The correction is about more than {CONFIRM_ABOVE:,} submissions and has no `confirm`, or another number in it; "
    "`detail` has theirs.",
)
CORRECTION_TOO_LARGE = add_problem(
    "correction-too-large",
    409,
    "The correction is too large; nothing was done.",
    f"More than {ITEMS_MOST:,} submissions or {PLAYERS_MOST:,} rows, or more than 1 GiB of the ledger to look through. "
    "Divide it, by `from` and `to` for example; `detail` says which.",
)
HISTORY_EXPIRED = add_problem(
    "history-expired",
    409,
    "Days of the ledger that the rows would be made from are gone; nothing was done.",
    "A row of `best` or `last` is made anew from all submissions of its period, and the ledger has not all of them any "
    "more (`LEADERBOARD_LEDGER_DAYS`).",
)
SUM_OUT_OF_RANGE = add_problem(
    "sum-out-of-range",
    409,
    "A player's sum would leave the range of 64 bits; nothing was done.",
    "The `value` of a correction that sets, in place of the submitted ones, takes a sum out of -2^63 to 2^63-1.",
)
