"""Matching requests of the fast path: from method, target and headers to an operation's order.

Paths and parameters are derived from the operations that the table marks as fast.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Final

from service.contract.answers import Answer
from service.http.endpoint import Endpoint, Order, reply
from service.http.request_ids import accept_request_id

BODY_MOST_BYTES: Final = 16 * 1024
"""A longer body takes the ordinary path."""

_PLAIN: Final = rb"[A-Za-z0-9_.~-]+"
_is_plain: Final = re.compile(_PLAIN).fullmatch

# PERF: one look-up for all headers that few requests have. All but the last two need the ordinary path: for an encoded
# body, an expectation, an upgrade, or a browser of another origin.
_RARE: Final = frozenset(
    {
        b"transfer-encoding",
        b"content-encoding",
        b"expect",
        b"upgrade",
        b"origin",
        b"x-request-id",
        b"traceparent",
    }
)

Matched = tuple[str | None, int, Order]
"""The request's id, the operation's index in the table, and the order."""


class FastRoute:
    """One operation of the fast path: its method, and the places of its parameters."""

    def __init__(self, endpoint: Endpoint) -> None:
        operation = endpoint.operation
        self.endpoint: Final = endpoint
        self.method: Final = operation.method.encode()
        self.takes_body: Final = operation.body is not None
        inputs = operation.inputs
        self.path_names: Final = [one.name for one in inputs if one.place == "path"]
        assert self.path_names == [one.name for one in inputs[: len(self.path_names)]], "path parameters come first"
        self.query: Final = {one.name.encode(): index for index, one in enumerate(inputs) if one.place == "query"}
        self.required: Final = tuple(
            index for index, one in enumerate(inputs) if one.place == "query" and one.required and one.default is None
        )
        self.blank: Final[list[str | None]] = [None] * len(self.query)

    def read_query(self, query: bytes, texts: list[str | None]) -> bool:
        """Put the parameters of a query into their places in `texts`; False if it needs the ordinary path."""
        if query:
            for pair in query.split(b"&"):
                name, _, value = pair.partition(b"=")
                index = self.query.get(name)
                if index is None or texts[index] is not None or _is_plain(value) is None:
                    return False
                texts[index] = value.decode()
        return all(texts[index] is not None for index in self.required)


class FastRoutes:
    """The fast operations of one worker."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        routes = [FastRoute(endpoint) for endpoint in endpoints if endpoint.operation.fast]
        paths = PathPattern([route.endpoint.operation.path for route in routes])
        self._match: Final = re.compile(paths.pattern).fullmatch
        # An empty group ends each path in the pattern: the last matched group identifies the path.
        self._routes: Final = {end: (routes[place], groups) for end, (place, groups) in paths.ends.items()}

    def match(self, method: bytes, url: bytes, headers: list[tuple[bytes, bytes]]) -> Matched | None:
        """Match a request; None if it needs the ordinary path. Names of headers are in lower case.

        The credential is already admitted, or the order answers with the refusal.
        """
        path, mark, query = url.partition(b"?")
        found = self._match(path)
        if found is None:
            return None
        route, groups = self._routes[found.lastindex or 0]
        if method != route.method:
            return None
        content_type: str | None = None
        key: str | None = None
        credential: bytes | None = None
        length = -1
        request_id: str | None = None
        traceparent: str | None = None
        hosts = 0
        for name, value in headers:
            if name == b"content-type":
                if content_type is not None:
                    return None
                content_type = value.decode("latin-1")
            elif name == b"content-length":
                if length >= 0 or not value.isdigit():
                    return None
                length = int(value)
            elif name == b"idempotency-key":
                if key is not None:
                    return None
                key = value.decode("latin-1")
            elif name == b"authorization":
                if credential is not None:
                    return None
                credential = value
            elif name == b"host":
                hosts += 1
            elif name in _RARE:
                if name == b"x-request-id" and request_id is None:
                    request_id = value.decode("latin-1")
                elif name == b"traceparent" and traceparent is None:
                    traceparent = value.decode("latin-1")
                else:
                    return None
        if hosts != 1 or not (0 <= length <= BODY_MOST_BYTES if route.takes_body else length <= 0):
            return None
        texts: list[str | None] = [found[group].decode() for group in groups]
        texts += route.blank
        if (mark or route.required) and not route.read_query(query, texts):
            return None
        endpoint = route.endpoint
        verdict = endpoint.admit(credential, texts)
        order: Order
        if isinstance(verdict, Answer):
            order = partial(reply, verdict)
        else:
            order = endpoint.prepare(verdict, texts, content_type, key, traceparent)
        return (None if request_id is None else accept_request_id(request_id)), endpoint.index, order


class PathPattern:
    """One pattern for several paths. `ends` maps the group that ends a path to the index of the path
    and to the groups of its parameters.

    PERF: paths share their first segments in the pattern, so a request is compared with each segment
    once.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._groups = 0
        self.ends: Final[dict[int, tuple[int, tuple[int, ...]]]] = {}
        split = [(place, path.strip("/").split("/")) for place, path in enumerate(paths)]
        self.pattern: Final = self._branch(split, ())

    def _branch(self, paths: list[tuple[int, list[str]]], parameters: tuple[int, ...]) -> bytes:
        """The pattern of the rest of these paths, behind a prefix that they share."""
        branches: dict[str, list[tuple[int, list[str]]]] = {}
        for place, (first, *rest) in paths:
            branches.setdefault("{}" if first.startswith("{") else first, []).append((place, rest))
        return join_branches([self._segment(first, rests, parameters) for first, rests in branches.items()])

    def _segment(self, first: str, rests: list[tuple[int, list[str]]], parameters: tuple[int, ...]) -> bytes:
        segment = re.escape(first.encode())
        if first == "{}":
            segment, parameters = b"(%b)" % _PLAIN, (*parameters, self._next_group())
        follow = []
        for place, rest in rests:
            if not rest:
                self.ends[self._next_group()] = place, parameters
                follow.append(b"()")
        if longer := [(place, rest) for place, rest in rests if rest]:
            follow.append(self._branch(longer, parameters))
        return b"/%b%b" % (segment, join_branches(follow))

    def _next_group(self) -> int:
        self._groups += 1
        return self._groups


def join_branches(patterns: list[bytes]) -> bytes:
    """A pattern of which any of these is an alternative."""
    return patterns[0] if len(patterns) == 1 else b"(?:%b)" % b"|".join(patterns)
