"""The operations on corrections."""

from __future__ import annotations

from typing import Final

from service.contract import problems as p
from service.contract.body import KIB, Body
from service.contract.operation import Operation
from service.contract.parameters import (
    Parameter,
    make_cursor_parameter,
    make_flag_parameter,
    make_number_parameter,
    make_text_parameter,
    parse_number,
)
from service.contract.problems import Rejected
from service.contract.reason import REASON
from service.contract.shared import INT64
from service.contract.types import SeasonId
from service.corrections import problems as own
from service.corrections.manage import Corrections, decode_correction, parse_correction_cursor
from service.corrections.types import (
    Correction,
    CorrectionBegun,
    CorrectionBody,
    CorrectionCursor,
    CorrectionList,
    CorrectionNumber,
    CorrectionPreview,
    Limit,
)


def _parse_number(text: str | None) -> int:
    """The number in the path. Raises `Rejected`."""
    number = parse_number(text, None, 1, 999_999_999)
    if number is None:
        raise Rejected(own.CORRECTION_NOT_FOUND.answer)
    return number


_NUMBER: Final = Parameter(
    name="id",
    place="path",
    kind=CorrectionNumber,
    meaning="The correction's number.",
    parse=_parse_number,
    problem=own.CORRECTION_NOT_FOUND,
)
_CURSOR: Final = make_cursor_parameter(CorrectionCursor, parse_correction_cursor)

OPERATIONS: Final = (
    Operation(
        name="createCorrection",
        method="POST",
        path="/v1/corrections",
        handler=Corrections.create,
        scope="moderate",
        summary="Let past submissions not count, or count with another value. `preview=true` only tells of it.",
        parameters=(
            make_flag_parameter("preview", "Whether nothing is to be written."),
            REASON,
        ),
        body=Body(kind=CorrectionBody, most=16 * KIB, decode=decode_correction, own_problems=(own.INVALID_CORRECTION,)),
        answers={
            200: ("What the correction would do.", CorrectionPreview),
            202: ("The correction has begun.", CorrectionBegun),
        },
        problems=(
            p.SEASON_NOT_FOUND,
            own.CORRECTION_EMPTY,
            own.CONFIRM_COUNT,
            own.CORRECTION_TOO_LARGE,
            own.HISTORY_EXPIRED,
            own.SUM_OUT_OF_RANGE,
            p.STORE_UNAVAILABLE,
            p.OUTCOME_UNKNOWN,
        ),
        on_admin_bind=True,
    ),
    Operation(
        name="listCorrections",
        method="GET",
        path="/v1/corrections",
        handler=Corrections.list,
        scope="moderate",
        summary="The corrections, the latest first.",
        parameters=(
            _CURSOR,
            make_number_parameter("limit", Limit, default=100, meaning="How many corrections at most."),
            make_text_parameter(
                "season", "query", SeasonId, p.INVALID_SEASON, "Corrections of this season only.", required=False
            ),
            INT64,
        ),
        answers={200: ("A page of the corrections.", CorrectionList)},
        problems=(p.STORE_UNAVAILABLE,),
        on_admin_bind=True,
    ),
    Operation(
        name="getCorrection",
        method="GET",
        path="/v1/corrections/{id}",
        handler=Corrections.read,
        scope="moderate",
        summary="A correction, and how far it is.",
        parameters=(_NUMBER, INT64),
        answers={200: ("The correction.", Correction)},
        problems=(own.CORRECTION_NOT_FOUND, p.STORE_UNAVAILABLE),
        on_admin_bind=True,
    ),
    Operation(
        name="undoCorrection",
        method="DELETE",
        path="/v1/corrections/{id}",
        handler=Corrections.undo,
        scope="moderate",
        summary="Undo a correction: rows are as they were before, but for those that others have changed since.",
        parameters=(_NUMBER, REASON),
        answers={202: ("The undoing has begun.", CorrectionBegun)},
        problems=(own.CORRECTION_NOT_FOUND, own.CORRECTION_UNDONE, p.STORE_UNAVAILABLE, p.OUTCOME_UNKNOWN),
        on_admin_bind=True,
    ),
)
