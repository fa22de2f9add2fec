"""Deny by default: a request that is not in the table of operations is refused.

`Endpoint.admit` checks the credential of every operation, on both paths. This middleware guards
against a mistake: a route or a method that is added to the application beside the table.
"""

from __future__ import annotations

from typing import Any, Final

import falcon

from service.contract.scopes import PUBLIC
from service.http.request import Request, Response
from service.http.resource import Resource
from service.routes import OPERATIONS

_SCOPES: Final = {(method, operation.path): operation.scope for operation in OPERATIONS for method in operation.methods}


class AuthMiddleware:
    """Falcon middleware of a server that requires credentials."""

    async def process_resource(self, req: Request, resp: Response, resource: object, params: dict[str, Any]) -> None:
        """Refuse a request that is no operation, or whose resource would not check the credential."""
        rule = (req.method, req.uri_template or "")
        if rule in _SCOPES and (_SCOPES[rule] is PUBLIC or isinstance(resource, Resource)):
            return
        if req.method == "OPTIONS" and isinstance(resource, Resource):
            return
        methods = [method for method, path in _SCOPES if path == req.uri_template]
        raise falcon.HTTPMethodNotAllowed(sorted([*methods, "OPTIONS"]))
