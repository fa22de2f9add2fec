"""The operations for operators. Where there is a bind for administrators, only that one has them."""

from __future__ import annotations

from functools import partial
from typing import Final

from service.access.sessions import SESSION_MISMATCH
from service.admin.sign_in import OperatorSessions
from service.admin.status import SystemStatus
from service.admin.traffic import TrafficReport
from service.admin.types import Minutes, OpenSession, SignedOut, SignIn, SystemState, Traffic
from service.contract import problems as p
from service.contract.body import KIB, Body, decode_strictly
from service.contract.operation import Operation
from service.contract.parameters import Parameter, make_number_parameter
from service.contract.scopes import PUBLIC


def _make_header(name: str, meaning: str) -> Parameter:
    return Parameter(name=name, place="header", kind=str, meaning=meaning, required=False, is_passed=True)


_COOKIE: Final = _make_header("Cookie", "The browser's cookies, the session's among them.")
_ORIGIN: Final = _make_header("Origin", "The page's origin: over TLS the cookie is for TLS only.")
_SITE: Final = _make_header("Sec-Fetch-Site", "Whether the browser sends the request for a page of this server.")
_MINUTES: Final = make_number_parameter("minutes", Minutes, default=60, meaning="How far back.")

OPERATIONS: Final = (
    Operation(
        name="getStatus",
        method="GET",
        path="/v1/status",
        handler=SystemStatus.show_status,
        scope="admin",
        summary="The state of the system: findings in words, partitions with fences and backlog, relays.",
        answers={200: ("The state.", SystemState)},
        problems=(p.STORE_UNAVAILABLE,),
    ),
    Operation(
        name="getTraffic",
        method="GET",
        path="/v1/status/traffic",
        handler=TrafficReport.show_traffic,
        scope="admin",
        summary="The traffic of the server that answers: submissions and reads a second, their latencies, failures.",
        parameters=(_MINUTES,),
        answers={200: ("The traffic.", Traffic)},
    ),
    Operation(
        name="showSession",
        method="GET",
        path="/admin/session",
        handler=OperatorSessions.show_session,
        scope=PUBLIC,
        summary="The operator's session of this browser.",
        parameters=(_COOKIE,),
        answers={200: ("The session, or that there is none.", OpenSession)},
        problems=(p.ACCESS_NOT_LOADED,),
        on_admin_bind=True,
    ),
    Operation(
        name="signIn",
        method="POST",
        path="/admin/session",
        handler=OperatorSessions.sign_in,
        scope=PUBLIC,
        summary="Sign in with a key of the scope `admin`: the browser gets a cookie, the page a token.",
        parameters=(_ORIGIN, _SITE),
        body=Body(kind=SignIn, most=4 * KIB, decode=partial(decode_strictly, SignIn)),
        answers={200: ("The session.", OpenSession)},
        problems=(
            p.CREDENTIAL_MALFORMED,
            p.CREDENTIAL_UNKNOWN,
            p.CREDENTIAL_REVOKED,
            p.CREDENTIAL_EXPIRED,
            p.SCOPE_MISSING,
            SESSION_MISMATCH,
            p.ACCESS_NOT_LOADED,
        ),
        on_admin_bind=True,
    ),
    Operation(
        name="signOut",
        method="DELETE",
        path="/admin/session",
        handler=OperatorSessions.sign_out,
        scope=PUBLIC,
        summary="Sign out: the session's cookie is good for nothing, in every worker within two seconds.",
        parameters=(_ORIGIN, _COOKIE, _SITE),
        answers={200: ("Signed out.", SignedOut)},
        problems=(SESSION_MISMATCH, p.STORE_UNAVAILABLE, p.OUTCOME_UNKNOWN),
        on_admin_bind=True,
    ),
)
