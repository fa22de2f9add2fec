"""How many connections each client's address has to one worker."""

from __future__ import annotations

import ipaddress
from typing import Final

NETWORK_BITS: Final = 64
"""An IPv6 client has a whole network of this prefix to choose addresses from: it counts as one."""


def identify_client(host: str) -> str:
    """Who an address stands for: itself, the IPv4 address mapped into it, or its network."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, NETWORK_BITS), strict=False))
    return host


class Addresses:
    """Counts connections by origin, at most `most` each; 0: counts nothing."""

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._here: Final[dict[str, int]] = {}

    def enter(self, host: str) -> int:
        """One more connection; how many its origin has beyond the limit, 0 if none."""
        if not self._most:
            return 0
        origin = identify_client(host)
        self._here[origin] = here = self._here.get(origin, 0) + 1
        return max(0, here - self._most)

    def leave(self, host: str) -> None:
        """One connection that has entered is gone."""
        if not self._most:
            return
        origin = identify_client(host)
        here = self._here[origin] - 1
        if here:
            self._here[origin] = here
        else:
            del self._here[origin]

    def __len__(self) -> int:
        """How many origins are remembered: no more than there are connections."""
        return len(self._here)
