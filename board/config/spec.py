"""The specification of one setting, and how its text is parsed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from board.errors import InvalidSetting


class SettingSpec(msgspec.Struct, frozen=True):
    """A setting's variable, meaning, and range (inclusive) or choices.

    `secret`: the value is a URL, and its password is masked where it is shown. `hidden`: the whole value is masked.
    """

    env: str
    text: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    secret: bool = False
    hidden: bool = False

    def parse(self, kind: Any, raw: str) -> Any:
        """The value, of type `kind`, of a text. Raises `InvalidSetting` with the reason."""
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
                raise InvalidSetting(f"{self.env}: {raw[:60]!r} begins with the home of an unknown user") from error
        return raw
