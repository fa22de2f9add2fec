"""The probes. They need no credential."""

from __future__ import annotations

from typing import Final

from service.contract.operation import Operation
from service.contract.scopes import PUBLIC
from service.health.probes import Probes
from service.health.types import Health, Readiness

_LIVE: Final = {200: ("The process answers.", Health)}

OPERATIONS: Final = (
    Operation(
        name="getLive",
        method="GET",
        path="/livez",
        handler=Probes.report_live,
        scope=PUBLIC,
        summary="The process answers.",
        answers=_LIVE,
    ),
    Operation(
        name="getHealth",
        method="GET",
        path="/healthz",
        handler=Probes.report_live,
        scope=PUBLIC,
        summary="The process answers.",
        answers=_LIVE,
    ),
    Operation(
        name="getReady",
        method="GET",
        path="/readyz",
        handler=Probes.report_ready,
        scope=PUBLIC,
        summary="Whether submissions can be committed and boards can be read, and whether the relays follow.",
        answers={200: ("Ready.", Readiness), 503: ("Not ready.", Readiness)},
    ),
)
