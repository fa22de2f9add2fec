"""Answers of the operations that administer seasons."""

from __future__ import annotations

from typing import Literal

import msgspec

from service.contract.types import SeasonId


class Deleted(msgspec.Struct, frozen=True):
    """The season's board is empty; submissions from now on count in a new period."""

    seasonId: SeasonId
    deleted: Literal[True]
