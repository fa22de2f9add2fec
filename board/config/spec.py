"""One setting: what is known of it, and how its text is read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from board.errors import InvalidSetting


class Doc(msgspec.Struct, frozen=True):
    """What a person needs to know of a setting: its variable, meaning, and range (inclusive) or choices.

    `secret` is a URL whose password is masked; of a `hidden` one nothing is shown.
    """

    env: str
    text: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    secret: bool = False
    hidden: bool = False

    def parse(self, kind: Any, raw: str) -> Any:
        """A value of this type from its text. Raises `InvalidSetting` that says what is wrong."""
        if kind is int:
            if not re.fullmatch(r"-?[0-9]{1,18}", raw):
                raise InvalidSetting(f"{self.env} must be a whole number, not {raw[:40]!r}")
            number = int(raw)
            if (self.low is not None and number < self.low) or (self.high is not None and number > self.high):
                raise InvalidSetting(f"{self.env} must be between {self.low} and {self.high}, not {number}")
            return number
        if self.choices and raw not in self.choices:
            raise InvalidSetting(f"{self.env} must be one of {', '.join(self.choices)}, not {raw[:40]!r}")
        if kind is Path:
            try:
                return Path(raw).expanduser().absolute()
            except RuntimeError as error:
                raise InvalidSetting(f"{self.env}: {raw[:60]!r} begins with the home of nobody known here") from error
        return raw
