"""Settings as people may see them: secrets masked."""

from __future__ import annotations

import re
from typing import Final

from board.config.settings import Settings, docs

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
    # libpq's quoting: a backslash takes the next character, inside quotes and out.
    return re.sub(r"(?i)((?:ssl)?password\s*=\s*)('(?:[^'\\]|\\.)*'|(?:\\.|\S)+)", rf"\g<1>{MASK}", value)


def shown(settings: Settings) -> list[tuple[str, str]]:
    """(variable, value) of every setting, secrets masked, for people to read at start."""
    rows = []
    for field, doc in docs().items():
        value = str(getattr(settings, field))
        if doc.hidden:
            value = MASK if value else ""
        rows.append((doc.env, (mask(value) if doc.secret else value) or "-"))
    return rows
