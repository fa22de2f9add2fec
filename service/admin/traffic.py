"""The traffic of this server, for operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from service.admin.types import Traffic
from service.contract.answers import Answer

_encode: Final = msgspec.json.Encoder().encode


class TrafficReport:
    """The operation on the traffic of a server. `read` gives that of the last seconds."""

    def __init__(self, read: Callable[[int], Traffic]) -> None:
        self._read: Final = read

    async def show_traffic(self, minutes: int) -> Answer:
        """The traffic of all workers in the last minutes (`Traffic`, 200)."""
        return Answer(200, _encode(self._read(60 * minutes)))
