"""Reads the settings from the environment and checks them."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from typing import Any, Final, get_type_hints

from board.config import consistency
from board.config.settings import Settings, setting_specs
from board.errors import InvalidSetting

INJECTED: Final = tuple(
    (re.compile(rf"LEADERBOARD(?:_[A-Z0-9_]+)?_{name}"), re.compile(value))
    for name, value in (
        (r"SERVICE_HOST", r"[0-9A-Fa-f.:]+"),
        (r"SERVICE_PORT(?:_[A-Z0-9_]+)?", r"[0-9]+"),
        (r"PORT(?:_[0-9]+_(?:TCP|UDP|SCTP))?", r"(?:tcp|udp|sctp)://.+:[0-9]+"),
        (r"PORT_[0-9]+_(?:TCP|UDP|SCTP)_PROTO", r"tcp|udp|sctp"),
        (r"PORT_[0-9]+_(?:TCP|UDP|SCTP)_PORT", r"[0-9]+"),
        (r"PORT_[0-9]+_(?:TCP|UDP|SCTP)_ADDR", r"[0-9A-Fa-f.:]+"),
        (r"NAME", r"/[^/]+/[^/]+"),
    )
)
"""Names and values of the variables that a platform puts into the environment for a service or a link whose name begins
with `leaderboard`: Kubernetes (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables)
and links of containers (https://docs.docker.com/engine/network/links/#environment-variables)."""


def is_injected(name: str, env: Mapping[str, str]) -> bool:
    """Whether a variable is of a service or a link, and no setting. Its value has to look like one, too."""
    if any(names.fullmatch(name) and values.fullmatch(env[name]) for names, values in INJECTED):
        return True
    # A link also brings all variables of the linked container.
    link, of_link, _ = name.partition("_ENV_")
    return bool(of_link) and f"{link}_NAME" in env and is_injected(f"{link}_NAME", env)


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings, from `environ` or this process' environment.

    Raises `InvalidSetting`, which names the variable and suggests a known one for a misspelt one.
    """
    env = os.environ if environ is None else environ
    table = setting_specs()
    known = {spec.env for spec in table.values()}
    for name in env:
        if name.startswith("LEADERBOARD_") and name not in known and not is_injected(name, env):
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
