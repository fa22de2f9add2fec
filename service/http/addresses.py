"""Counting the connections of each client address to one worker."""

from __future__ import annotations

import ipaddress
from typing import Final

NETWORK_BITS: Final = 64
"""Prefix length of an IPv6 client. It can choose any address in its network, so the network counts as one client."""


def identify_client(host: str) -> str:
    """The client behind an address: the address itself, the IPv4 address mapped into it, or its IPv6 network."""
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
    """Counts connections by client, `most` allowed each; 0: no limit, nothing is counted."""

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._counts: Final[dict[str, int]] = {}

    def enter(self, host: str) -> int:
        """Count a new connection; returns by how many its client exceeds the limit, 0 if it does not."""
        if not self._most:
            return 0
        client = identify_client(host)
        self._counts[client] = count = self._counts.get(client, 0) + 1
        return max(0, count - self._most)

    def leave(self, host: str) -> None:
        """Count a connection that entered as gone."""
        if not self._most:
            return
        client = identify_client(host)
        count = self._counts[client] - 1
        if count:
            self._counts[client] = count
        else:
            del self._counts[client]

    def __len__(self) -> int:
        """The number of clients in memory, at most that of connections."""
        return len(self._counts)
