"""Reads the settings from the environment and checks them."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from typing import Any, get_type_hints

from board.config import consistency
from board.config.settings import Settings, setting_specs
from board.errors import InvalidSetting


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings, from `environ` or this process' environment.

    Raises `InvalidSetting`, which names the variable and suggests a known one for a misspelt one.
    """
    env = os.environ if environ is None else environ
    table = setting_specs()
    known = {spec.env for spec in table.values()}
    for name in env:
        if name.startswith("LEADERBOARD_") and name not in known:
            # Compared without their common prefix, which would make all of them similar.
            tails = {variable.removeprefix("LEADERBOARD_"): variable for variable in known}
            close = difflib.get_close_matches(name.removeprefix("LEADERBOARD_"), tails, n=1, cutoff=0.6)
            hint = f"; did you mean {tails[close[0]]}?" if close else "; `leaderboard settings` lists the known ones"
            raise InvalidSetting(f"unknown setting {name}{hint}")
    hints = get_type_hints(Settings)
    values: dict[str, Any] = {}
    for field, spec in table.items():
        raw = env.get(spec.env, "").strip()
        if raw:
            values[field] = spec.parse(hints[field], raw)
    settings = Settings(**values)
    consistency.check(settings)
    return settings
