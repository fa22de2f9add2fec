"""Signs of life of an embedded server: answers to a question that is asked again and again."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

ASK_EVERY_S: Final = 2.0


class Probe:
    """Counts a server's answers, as `board.process.beats.Counters` for its `Silence`.

    `question` makes the server send something at once, whatever it is busy with: also an error is a sign of life.
    """

    def __init__(self, question: bytes) -> None:
        self._question: Final = question
        self._connection: socket.socket | None = None
        self._asked = 0.0
        self._answers = 0

    def look(self, path: Path, now: float) -> None:
        """Take the answer if it is there; ask anew, on a new connection, every `ASK_EVERY_S`. Never blocks."""
        if self._connection is not None and self._has_answered(self._connection):
            self._answers += 1
            self.close()
        if now - self._asked >= ASK_EVERY_S:
            self._asked = now
            self.close()
            self._ask(path)

    def read(self, number: int) -> int:
        """The number of answers of the present process."""
        return self._answers

    def reset(self, number: int) -> None:
        """A new process has started."""
        self._answers = 0
        self.close()

    def close(self) -> None:
        """Close the connection, if there is one; a later look may open another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, path: Path) -> None:
        connection = socket.socket(socket.AF_UNIX)
        connection.setblocking(False)
        try:
            connection.connect(str(path))
            connection.send(self._question)
        except OSError:  # its queue is full, or it does not listen
            connection.close()
            return
        self._connection = connection

    @staticmethod
    def _has_answered(connection: socket.socket) -> bool:
        try:
            return bool(connection.recv(64))
        except OSError:  # nothing yet, or the connection is reset
            return False
