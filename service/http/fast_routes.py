"""Matching requests of the fast path: from method, target and headers to an operation's order.

Paths and parameters are derived from the operations that the table marks as fast.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Final

from _speedups import split_request
from service.contract.answers import Answer
from service.contract.operation import Operation
from service.http.conditional import make_conditional
from service.http.endpoint import Endpoint, Order, Texts, reply
from service.http.request_ids import accept_request_id

BODY_MOST_BYTES: Final = 16 * 1024
"""A longer body takes the ordinary path."""

_PLAIN: Final = r"[A-Za-z0-9_.~-]+"
_is_plain: Final = re.compile(_PLAIN).fullmatch

# PERF: one look-up for all headers that few requests have. All but the last three need the ordinary path: for an
# encoded body, an expectation, an upgrade, a browser of another origin, or an answer that the client wants otherwise.
_RARE: Final = frozenset(
    {
        b"transfer-encoding",
        b"content-encoding",
        b"expect",
        b"upgrade",
        b"origin",
        b"prefer",
        b"x-request-id",
        b"traceparent",
        b"if-none-match",
    }
)

Matched = tuple[str | None, int, Order, bool]
"""The request's id, the operation's index in the table, the order, and whether it reads a public season."""


class FastRoute:
    """One operation of the fast path: its method, and the groups of the pattern that hold its parameters.

    PERF: the last group is the one that ends the target, so that two groups at least are asked for at once, as a tuple.
    It is empty, like the header that an operation may be passed: a request with one takes the ordinary path.
    """

    def __init__(self, endpoint: Endpoint, groups: tuple[int, ...]) -> None:
        operation = endpoint.operation
        self.endpoint: Final = endpoint
        self.groups: Final = groups
        self.method: Final = operation.method.encode()
        self.takes_body: Final = operation.body is not None
        names = [one.name for one in operation.inputs]
        self._query: Final = {one.name: names.index(one.name) for one in operation.inputs if one.place == "query"}

    def read_query(self, query: str, texts: list[str | None]) -> bool:
        """Put the parameters of a query into their places in `texts`; False if it needs the ordinary path."""
        for pair in query.split("&"):
            name, _, value = pair.partition("=")
            index = self._query.get(name)
            if index is None or texts[index] is not None or _is_plain(value) is None:
                return False
            texts[index] = value
        return True


class FastRoutes:
    """The fast operations of one worker."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        fast = [endpoint for endpoint in endpoints if endpoint.operation.fast]
        targets = TargetPattern([endpoint.operation for endpoint in fast])
        self._match: Final = re.compile(targets.pattern).fullmatch
        # An empty group ends each target in the pattern: the last matched group identifies the operation.
        self._routes: Final = {
            end: FastRoute(fast[place], (*groups, end)) for end, (place, groups) in targets.ends.items()
        }

    def match(self, method: bytes, url: bytes, headers: list[tuple[bytes, bytes]]) -> Matched | None:
        """Match a parsed request; None if it needs the ordinary path. Names of headers are in lower case.

        The credential is already admitted, or the order answers with the refusal.
        """
        # Latin-1 decodes all bytes, and the pattern has none beyond ASCII.
        found = self._find(method, url.decode("latin-1"))
        if found is None:
            return None
        route, texts = found
        content_type: str | None = None
        key: str | None = None
        credential: bytes | None = None
        length = -1
        request_id: str | None = None
        traceparent: str | None = None
        if_none_match: str | None = None
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
                elif name == b"if-none-match" and if_none_match is None:
                    if_none_match = value.decode("latin-1")
                else:
                    return None
        if hosts != 1 or not (0 <= length <= BODY_MOST_BYTES if route.takes_body else length <= 0):
            return None
        return _prepare(route, texts, content_type, key, credential, request_id, traceparent, if_none_match)

    def match_plain(self, data: bytes) -> tuple[Matched, bytes] | None:
        """Match the bytes of one plain request (`split_request`), with the same result; its body comes with it."""
        split = split_request(data)
        if split is None:
            return None
        method, target, content_type, key, credential, request_id, traceparent, if_none_match, body = split
        found = self._find(method, target)
        if found is None:
            return None
        route, texts = found
        if (body is None) if route.takes_body else body:
            return None
        matched = _prepare(route, texts, content_type, key, credential, request_id, traceparent, if_none_match)
        return None if matched is None else (matched, body or b"")

    def _find(self, method: bytes, target: str) -> tuple[FastRoute, Texts] | None:
        """The route of a target, and the texts of its parameters."""
        found = self._match(target)
        query = ""
        if found is None:
            # Perhaps the parameters are in another order than the operation's.
            path, _, query = target.partition("?")
            if not query or (found := self._match(path)) is None:
                return None
        route = self._routes[found.lastindex or 0]
        if method != route.method:
            return None
        texts: Texts = found.group(*route.groups)
        if query:
            # Not in the order of the table: the pattern has found none of them.
            in_places = list(texts)
            if not route.read_query(query, in_places):
                return None
            texts = in_places
        return route, texts


def _prepare(
    route: FastRoute,
    texts: Texts,
    content_type: str | None,
    key: str | None,
    credential: bytes | None,
    request_id: str | None,
    traceparent: str | None,
    if_none_match: str | None,
) -> Matched | None:
    """Admit the credential, and prepare the order of the request, or the answer that refuses it.

    None: the ordinary path is to decide, since it reads cookies.
    """
    endpoint = route.endpoint
    verdict = endpoint.admit(credential, texts) if endpoint.guarded else None
    order: Order
    if isinstance(verdict, Answer):
        if endpoint.is_session(credential):
            return None
        order = partial(reply, verdict)
    else:
        order = endpoint.prepare(verdict, texts, content_type, key, traceparent)
    if if_none_match is not None:
        order = make_conditional(order, if_none_match)
    is_public = endpoint.guarded and endpoint.is_public(texts)
    return (None if request_id is None else accept_request_id(request_id)), endpoint.index, order, is_public


class TargetPattern:
    """One pattern for the targets of several operations: their paths, and their queries in the order of the table.

    `ends` maps the group that ends a target to the index of the operation and to the groups of its
    parameters. A parameter of the query may be missing.

    PERF: paths share their first segments in the pattern, so a request is compared with each segment
    once.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._operations: Final = operations
        self._groups = 0
        self.ends: Final[dict[int, tuple[int, tuple[int, ...]]]] = {}
        split = [(place, one.path.strip("/").split("/")) for place, one in enumerate(operations)]
        self.pattern: Final = self._branch(split, ())

    def _branch(self, paths: list[tuple[int, list[str]]], parameters: tuple[int, ...]) -> str:
        """The pattern of the rest of these paths, behind a prefix that they share."""
        branches: dict[str, list[tuple[int, list[str]]]] = {}
        for place, (first, *rest) in paths:
            branches.setdefault("{}" if first.startswith("{") else first, []).append((place, rest))
        return join_branches([self._segment(first, rests, parameters) for first, rests in branches.items()])

    def _segment(self, first: str, rests: list[tuple[int, list[str]]], parameters: tuple[int, ...]) -> str:
        segment = re.escape(first)
        if first == "{}":
            segment, parameters = f"({_PLAIN})", (*parameters, self._next_group())
        follow = [self._end(place, parameters) for place, rest in rests if not rest]
        if longer := [(place, rest) for place, rest in rests if rest]:
            follow.append(self._branch(longer, parameters))
        return f"/{segment}{join_branches(follow)}"

    def _end(self, place: int, parameters: tuple[int, ...]) -> str:
        """The pattern of an operation's query, and of the group that ends its target."""
        inputs = [one for one in self._operations[place].inputs if one.place != "path"]
        groups = [self._next_group() for _ in inputs]
        self.ends[self._next_group()] = place, (*parameters, *groups)
        query = ""
        for at, one in reversed(list(enumerate(inputs))):
            if one.place == "query":
                query = f"(?:{'&' if at else '[?]'}{re.escape(one.name)}=({_PLAIN}){query})?"
            else:
                # A request with this header takes the ordinary path. The group keeps its place, and never matches.
                query = f"((?!))?{query}"
        return f"{query}()"

    def _next_group(self) -> int:
        self._groups += 1
        return self._groups


def join_branches(patterns: list[str]) -> str:
    """A pattern of which any of these is an alternative."""
    return patterns[0] if len(patterns) == 1 else f"(?:{'|'.join(patterns)})"
