"""The table of all operations, joined from the features."""

from __future__ import annotations

from typing import Final

from service.admin import operations as admin
from service.audit import operations as audit
from service.boards import operations as boards
from service.contract.operation import Operation
from service.corrections import operations as corrections
from service.events import operations as events
from service.health import operations as health
from service.keys import operations as keys
from service.moderation import operations as moderation
from service.openapi import operations as openapi
from service.pages import operations as pages
from service.players import operations as players
from service.seasons import operations as seasons
from service.stream import operations as stream
from service.submissions import operations as submissions
from service.tickets import operations as tickets

OPERATIONS: Final[tuple[Operation, ...]] = (
    *submissions.OPERATIONS,
    *boards.OPERATIONS,
    *stream.OPERATIONS,
    *tickets.OPERATIONS,
    *seasons.OPERATIONS,
    *players.OPERATIONS,
    *moderation.OPERATIONS,
    *corrections.OPERATIONS,
    *events.OPERATIONS,
    *audit.OPERATIONS,
    *keys.OPERATIONS,
    *admin.OPERATIONS,
    *health.OPERATIONS,
    *openapi.OPERATIONS,
    *pages.OPERATIONS,
)
