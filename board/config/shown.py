"""Settings with secrets masked, to be shown."""

from __future__ import annotations

import re
from typing import Final

from board.config.settings import Settings, setting_specs

MASK: Final = "******"


def mask(value: str) -> str:
    """A URL or connection string with its password hidden."""
    scheme, separator, rest = value.partition("://")
    if separator:
        netloc, slash, tail = rest.partition("/")
        account, at, host = netloc.rpartition("@")
        if ":" in account:
            account = f"{account.partition(':')[0]}:{MASK}"
        tail = re.sub(r"(?i)((?:password|sslpassword|passfile)=)[^&]*", rf"\g<1>{MASK}", tail)
        return f"{scheme}://{account}{at}{host}{slash}{tail}"
    # libpq: a backslash quotes the next character, inside quotes and outside.
    return re.sub(r"(?i)((?:ssl)?password\s*=\s*)('(?:[^'\\]|\\.)*'|(?:\\.|\S)+)", rf"\g<1>{MASK}", value)


def shown(settings: Settings) -> list[tuple[str, str]]:
    """(variable, value) of every setting, secrets masked; `-` for an empty value."""
    rows = []
    for field, spec in setting_specs().items():
        value = str(getattr(settings, field))
        if spec.hidden:
            value = MASK if value else ""
        rows.append((spec.env, (mask(value) if spec.secret else value) or "-"))
    return rows
