"""The HTTP errors of moderation. docs/errors.md repeats them."""

from __future__ import annotations

from service.contract.problems import add_problem
from service.contract.reason import REASON_MAX

SEASONS_MOST = 100
"""Seasons that one ban names at most."""

INVALID_MODERATION_REASON = add_problem(
    "invalid-moderation-reason",
    400,
    f"reason must be 1 to {REASON_MAX} characters without control characters; nothing was done.",
    "`reason` is empty, too long, no string, or has control characters; or it is missing, and is that of a ban.",
)
INVALID_BAN_SEASONS = add_problem(
    "invalid-ban-seasons",
    400,
    f"seasons must be 1 to {SEASONS_MOST} different season ids; nothing was done.",
    "`seasons` of a ban is no list, is empty or too long, or has the same id twice, or one that is no season id.",
)
INVALID_UNTIL = add_problem(
    "invalid-until",
    400,
    "until must be a time to come, with an offset (RFC 3339); nothing was done.",
    "`until` of a ban is no such text, or not later than PostgreSQL's clock.",
)
MODERATION_PENDING = add_problem(
    "moderation-pending",
    503,
    "It is done, but the boards do not show it yet.",
    "The ban, or what else was asked for, is committed, and goes on by itself; no relay has carried it yet. Asking "
    "again is safe.",
)
