"""The operations that administer seasons."""

from __future__ import annotations

from typing import Final

from service.contract import problems as p
from service.contract.operation import Operation
from service.contract.shared import SEASON
from service.seasons.reset import SeasonReset
from service.seasons.types import Deleted

OPERATIONS: Final = (
    Operation(
        name="resetSeason",
        method="DELETE",
        path="/v1/seasons/{sid}",
        handler=SeasonReset.reset,
        scope="admin",
        summary="Empty the season: its period ends, the next begins. After the answer no earlier score is visible.",
        parameters=(SEASON,),
        answers={200: ("The board is empty.", Deleted)},
        problems=(p.STORE_UNAVAILABLE, p.RESET_PENDING, p.OUTCOME_UNKNOWN),
    ),
)
