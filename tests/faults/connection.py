"""One connection of the load: what it sends is certain, or not, to have reached the server."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

ANSWER_WITHIN_S: Final = 12.0


class Unanswered(Exception):
    """The request may or may not have been carried out."""


class Connection:
    """One keep-alive HTTP/1.1 connection."""

    def __init__(self, port: int) -> None:
        self.port: Final = port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None
        self.retry_after = False
        """Whether the last answer said when to come back."""

    def drop(self) -> None:
        """Reset the connection."""
        if self.writer is not None:
            self.writer.transport.abort()
        self.reader = self.writer = None

    async def send(self, method: str, path: str, body: bytes = b"", headers: str = "") -> None:
        """Connect if needed, and send. Raises OSError if the request cannot have reached the server."""
        if self.reader is not None and self.reader.at_eof():
            # The server has closed it while nothing was asked: every client library looks before it sends.
            self.drop()
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = f"{method} {path} HTTP/1.1\r\nHost: t\r\n{headers}"
        if body or method == "POST":
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.writer.write(f"{head}\r\n".encode() + body)

    async def receive(self) -> tuple[int, Any]:
        """Status and decoded body. Raises `Unanswered`."""
        assert self.reader is not None
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = int(head.partition("content-length: ")[2].split("\r\n")[0])
                body = await self.reader.readexactly(length)
        except (OSError, EOFError, TimeoutError) as error:
            self.drop()
            raise Unanswered(repr(error)) from error
        self.retry_after = "retry-after: " in head
        if "connection: close" in head:
            self.drop()
        return int(head.split(" ", 2)[1]), json.loads(body) if "json\r\n" in head else None
