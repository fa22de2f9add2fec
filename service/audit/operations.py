"""The operation that reads the audit."""

from __future__ import annotations

from typing import Any, Final

from board.audit import Action, TargetType
from service.audit.log import INVALID_INSTANT, AuditLog, parse_act_cursor, parse_instant
from service.audit.types import ActCursor, ActList, ActorId, Instant, Limit, TargetId
from service.contract import problems as p
from service.contract.operation import Operation
from service.contract.parameters import (
    Parameter,
    make_choice_parameter,
    make_cursor_parameter,
    make_number_parameter,
    make_text_parameter,
)
from service.contract.problems import add_problem


def _make_text(name: str, kind: Any, longest: int, meaning: str) -> Parameter:
    problem = add_problem(
        f"invalid-{name}",
        400,
        f"{name} must be 1 to {longest} characters without control characters.",
        f"The query's `{name}` is empty, too long, not UTF-8, or has control characters.",
    )
    return make_text_parameter(name, "query", kind, problem, meaning, required=False)


def _make_instant(name: str, meaning: str) -> Parameter:
    return Parameter(
        name=name,
        place="query",
        kind=Instant,
        meaning=meaning,
        parse=parse_instant,
        problem=INVALID_INSTANT,
        required=False,
    )


_CURSOR: Final = make_cursor_parameter(ActCursor, parse_act_cursor)

OPERATIONS: Final = (
    Operation(
        name="listAudit",
        method="GET",
        path="/v1/audit",
        handler=AuditLog.list_acts,
        scope="admin",
        summary="The administrative acts, the latest first: who, what, when, why, before and after.",
        parameters=(
            _CURSOR,
            make_number_parameter("limit", Limit, default=100, meaning="How many acts at most."),
            make_choice_parameter("action", Action, None, "Acts of this kind only."),
            _make_text("actor", ActorId, 256, "Acts of this key, or account, only."),
            make_choice_parameter(
                "targetType", TargetType, None, "Acts on such things only.", code="invalid-target-type"
            ),
            _make_text("target", TargetId, 128, "Acts on this season, key or player only."),
            _make_instant("from", "Acts at this time or later only."),
            _make_instant("to", "Acts before this time only."),
        ),
        answers={200: ("A page of the acts.", ActList)},
        problems=(p.STORE_UNAVAILABLE,),
    ),
)
