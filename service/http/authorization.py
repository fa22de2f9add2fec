"""The gate in Falcon's lane: decides before a resource is asked, by the one table of operations."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import falcon
import falcon.asgi

from service.access.authorizer import MALFORMED, Gate
from service.access.grant import Grant
from service.contract.answers import Answer
from service.contract.scopes import BITS, PUBLIC
from service.contract.types import Batch, Submission
from service.http.connection import ON_ADMIN_BIND
from service.resources import Request, Response, give, season_of
from service.routes import OPERATIONS

RULES: Final = {(op.method, op.path): PUBLIC if op.scope is None else BITS[op.scope] for op in OPERATIONS}
SUBMISSIONS: Final = {(op.method, op.path): op.body for op in OPERATIONS if op.body in (Submission, Batch)}


class Guard:
    """Falcon middleware. `gate` is set by the composition root before the first request comes."""

    def __init__(self) -> None:
        self.gate: Gate

    async def process_resource(self, req: Request, resp: Response, resource: object, params: dict[str, Any]) -> None:
        """Let the request through with its player in the context, or answer it."""
        rule = (req.method, req.uri_template or "")
        if rule not in RULES:
            # Deny by default: what is not in the table is no operation, whatever a resource may know to answer.
            methods = [method for method, path in RULES if path == req.uri_template]
            raise falcon.HTTPMethodNotAllowed(methods)
        scope = RULES[rule]
        if scope is PUBLIC:
            return
        headers = [value for name, value in req.scope["headers"] if name == b"authorization"]
        season = season_of(req, params["sid"]) if "sid" in params else None
        # Two of them: who is to say which one counts?
        verdict = MALFORMED if len(headers) > 1 else self.gate.admit(headers[0] if headers else None, scope, season)
        if isinstance(verdict, Answer):
            give(resp, verdict)
            resp.complete = True
        else:
            req.context.player = verdict.player
            await self._spend(req, resp, verdict, rule)

    async def _spend(self, req: Request, resp: Response, grant: Grant, rule: tuple[str, str]) -> None:
        """Let the bearer pay; for submissions the resource does, since it takes the body to know for whom."""
        quotas = self.gate.quotas
        if quotas is None:
            return
        if rule in SUBMISSIONS:
            req.context.spend = partial(quotas.one if SUBMISSIONS[rule] is Submission else quotas.several, grant)
            return
        paid = await quotas.charge(grant)
        if isinstance(paid, Answer):
            give(resp, paid)
            resp.complete = True
        else:
            resp.set_headers(paid)


ADMIN: Final = frozenset((op.method, op.path) for op in OPERATIONS if op.scope == "admin")


class AdminOnly:
    """Falcon middleware: what needs the scope `admin` is not there, except for who came by the bind for it.

    The express lane needs none of it: it has no such operation.
    """

    async def process_resource(self, req: Request, resp: Response, resource: object, params: dict[str, Any]) -> None:
        """Say that there is nothing, as for any unknown path."""
        if (req.method, req.uri_template) in ADMIN and not req.scope["state"].get(ON_ADMIN_BIND):
            raise falcon.HTTPNotFound
