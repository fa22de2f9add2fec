"""Whether a page is this server's own, so that it may change something on an open server."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_own_origin(origin: str, host: str | None) -> bool:
    """Whether `origin` names the host and port that the request was sent to, and that host is an address or localhost.

    A name would prove nothing: whoever has a name can let it lead here (DNS rebinding), and then the page of that name
    has it as its origin, too. An address, and `localhost`, lead to one place only.
    """
    try:
        parts = urlsplit(origin)
        if host is None or parts.scheme not in ("http", "https") or parts.netloc != host or parts.port == 0:
            return False
        if parts.hostname == "localhost":
            return True
        ipaddress.ip_address(parts.hostname or "")
    except ValueError:
        return False
    return True
