"""The pure-Python twin of `split_request`, and its specification; see `_py.py`. Source: RFC 9112."""

from __future__ import annotations

import re

_REQUEST_MOST = 8192
_FIELD = rb"([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*([!-~](?:[\t -~]*[!-~])?)\r\n"
_HEADER = re.compile(_FIELD)
_REQUEST = re.compile(rb"(GET|POST) (/[A-Za-z0-9_.~/?&=-]*) HTTP/1\.1\r\n((?:" + _FIELD + rb"){1,64})\r\n")
_UNPLAIN = {
    *(b"expect", b"origin", b"prefer", b"upgrade"),
    *(b"content-encoding", b"transfer-encoding", b"proxy-connection"),
}
_LOOKED_AT = {
    *(b"host", b"connection", b"content-length", b"content-type"),
    *(b"idempotency-key", b"authorization", b"x-request-id", b"traceparent", b"if-none-match"),
}


def split_request(
    data: bytes,
) -> tuple[bytes, str, str | None, str | None, bytes | None, str | None, str | None, str | None, bytes | None] | None:
    """A plain request in one piece, split; `None` when ``data`` is not exactly one, and needs a full parser.

    Returns the method (``b"GET"`` or ``b"POST"``), the target, the headers Content-Type, Idempotency-Key,
    Authorization, X-Request-Id, Traceparent and If-None-Match, and the body (`None`: not sent). Other headers are
    skipped, if they change nothing about the connection, the body or the answer. Only what has one meaning to every
    reader is plain: at most 8,192 bytes, printable ASCII, no header of the above twice, one Host, no space around a
    name or behind a value.
    """
    if not isinstance(data, bytes):
        raise TypeError(f"data must be bytes, not {type(data).__name__}")
    found = _REQUEST.match(data) if len(data) <= _REQUEST_MOST else None
    if found is None:
        return None
    values: dict[bytes, bytes] = {}
    for name, value in _HEADER.findall(found[3]):
        lower = name.lower()
        if lower in _UNPLAIN or (lower in _LOOKED_AT and lower in values):
            return None
        values[lower] = value
    length = values.get(b"content-length")
    if b"host" not in values or values.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    if length is not None and not (length.isdigit() and len(length) <= 4):
        return None
    body = data[found.end() :]
    if len(body) != int(length or 0):
        return None

    def text(name: bytes) -> str | None:
        return values[name].decode("ascii") if name in values else None

    return (
        found[1],
        found[2].decode("ascii"),
        text(b"content-type"),
        text(b"idempotency-key"),
        values.get(b"authorization"),
        text(b"x-request-id"),
        text(b"traceparent"),
        text(b"if-none-match"),
        None if length is None else body,
    )
