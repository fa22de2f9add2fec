"""Partitions: every season belongs to one of 64.

The number is fixed: it is part of every Redis key and is stored in the database (table ``cluster``).
"""

from __future__ import annotations

import zlib
from typing import Final

PARTITIONS: Final = 64


def partition_of(season: str) -> int:
    """The partition of a season, 0 to 63: CRC-32 of its UTF-8 bytes, modulo the number of partitions."""
    return zlib.crc32(season.encode()) % PARTITIONS
