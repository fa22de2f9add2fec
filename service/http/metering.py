"""Falcon middleware: counts requests of the ordinary path, and sets the header of their ids."""

from __future__ import annotations

from typing import Final

from service.contract.answers import NOT_KEPT
from service.http.request import Request, Response
from service.http.request_ids import HEADER, note_trouble
from service.routes import OPERATIONS
from service.telemetry.metrics import Traffic

_INDEX: Final = {
    (method, operation.path): index for index, operation in enumerate(OPERATIONS) for method in operation.methods
}


class Metering:
    """Completes every answer of the ordinary path."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic: Final = traffic

    async def process_response(self, req: Request, resp: Response, resource: object, req_succeeded: bool) -> None:
        """Set the headers of the request id and of caches, and count the answer."""
        request_id = req.request_id
        if resp.status_code >= 400:
            request_id = note_trouble(request_id, resp.status_code, f"{req.method} {req.uri_template}")
        if request_id is not None:
            resp.set_header(HEADER, request_id)
        if resp.get_header("Cache-Control") is None:
            resp.set_header("Cache-Control", NOT_KEPT)
        index = _INDEX.get((req.method, req.uri_template or ""), len(OPERATIONS))
        self._traffic.note(index, resp.status_code, req.started_ns)
