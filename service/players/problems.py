"""The HTTP errors of the operations on profiles. docs/errors.md repeats them."""

from __future__ import annotations

from service.contract.problems import add_problem
from service.contract.profiles import DISPLAY_NAME_MAX

INVALID_NAME = add_problem(
    "invalid-display-name",
    400,
    f"displayName must be 1 to {DISPLAY_NAME_MAX} characters, some of them visible, without control and "
    "bidirectional-override characters.",
    "Empty, too long after normalisation (NFC), invisible, or with characters that break the line, turn the text "
    "around them, or are none.",
)
ERASURE_NOT_FOUND = add_problem("erasure-not-found", 404, "There is no such erasure.", "No erasure has this number.")
ERASURE_PENDING = add_problem(
    "erasure-pending",
    503,
    "The player is being erased, but the boards do not show it yet.",
    "The erasure is committed, and goes on by itself; no relay has carried it yet. Asking again is safe.",
)
PROFILE_NOT_FOUND = add_problem(
    "profile-not-found", 404, "The player has no profile.", "No profile of this player was written, or it was deleted."
)
