"""PostgreSQL arrays that travel as bytes: the kernels make and read them, psycopg passes them through.

The format is PostgreSQL's binary one for arrays (``array_send`` in src/backend/utils/adt/arrayfuncs.c).
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import adapt, pq

TEXT_ARRAY_OID = 1009
INT8_ARRAY_OID = 1016
BYTEA_ARRAY_OID = 1001


class TextArray(bytes):
    """A PostgreSQL binary ``text[]``, ready to be sent."""


class Int8Array(bytes):
    """A PostgreSQL binary ``int8[]``, ready to be sent."""


class _ArrayDumper(adapt.Dumper):
    format = pq.Format.BINARY

    def dump(self, obj: bytes) -> bytes:
        return obj


class _TextArrayDumper(_ArrayDumper):
    oid = TEXT_ARRAY_OID


class _Int8ArrayDumper(_ArrayDumper):
    oid = INT8_ARRAY_OID


class _RawLoader(adapt.Loader):
    """Returns a binary array as the bytes that PostgreSQL sent."""

    format = pq.Format.BINARY

    def load(self, data: bytes | bytearray | memoryview) -> bytes:
        return bytes(data)


def adapt_arrays(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    """Make the connection send `TextArray` and `Int8Array` unchanged.

    Its binary cursors return both types, and ``bytea[]``, as bytes.
    """
    connection.adapters.register_dumper(TextArray, _TextArrayDumper)
    connection.adapters.register_dumper(Int8Array, _Int8ArrayDumper)
    for oid in (TEXT_ARRAY_OID, INT8_ARRAY_OID, BYTEA_ARRAY_OID):
        connection.adapters.register_loader(oid, _RawLoader)
