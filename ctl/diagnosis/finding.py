"""The result of one check."""

from __future__ import annotations

from typing import Literal

import msgspec

Severity = Literal["ok", "info", "warning", "error"]


class Finding(msgspec.Struct, frozen=True):
    """The name of a check, its severity, the value found, and advice (empty where all is well)."""

    check: str
    severity: Severity
    found: str
    advice: str = ""


def judge(check: str, found: str, fine: bool, severity: Severity, advice: str) -> Finding:
    """A finding that is ok if `fine`, else one of this severity with this advice."""
    return Finding(check, "ok", found) if fine else Finding(check, severity, found, advice)
