"""A caller of the intake that waits for nothing."""

from __future__ import annotations

from typing import Any


class Nobody:
    """A promise that nobody reads."""

    def done(self) -> bool:
        return False

    def set_result(self, result: Any, /) -> None: ...

    def set_exception(self, error: Any, /) -> None: ...
