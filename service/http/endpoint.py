"""Endpoints: from the texts of a request to the answer of its operation, for the fast path and the
ordinary path.

The steps are the same on both: admit the credential, and parse path and query; when the body is
complete, decode it, charge the quotas, and call the handler. A request with a valid credential is
charged even if it is refused later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from operator import call
from typing import Any, Final

import msgspec

from board.errors import LeaderboardError
from board.observe.trace import Span
from service.access.authorizer import MALFORMED, Authorizer
from service.access.caller import ANONYMOUS, TOKEN, Caller
from service.access.grant import READER, Grant
from service.access.quotas import Quotas
from service.access.tickets import Tickets
from service.contract.answers import Answer, PendingAnswer
from service.contract.body import ONE_UNIT, Cost
from service.contract.failures import answer_of
from service.contract.operation import Operation
from service.contract.preconditions import Precondition, always
from service.contract.problems import Rejected
from service.contract.reason import parse_reason
from service.contract.scopes import BITS
from service.contract.shared import INT64
from service.http.spelling import make_spelled
from service.http.tracing import Traces, format_traceparent, run_in_span

Order = Callable[[bytes | None], PendingAnswer]
"""The rest of a request, once its body is complete (None: longer than the operation takes)."""

OWN: Final = ("ticket", "int64")
"""Parameters that no handler gets. They come after all others."""
Texts = Sequence[str | None]
"""The texts of the parameters of path and query, in the operation's order; None: not sent. More may follow."""


async def reply(answer: Answer, body: bytes | None = None) -> Answer:
    """An order whose answer is known before the body."""
    return answer


class Endpoint:
    """One operation in one worker. `index` is its index in the table of operations."""

    def __init__(
        self,
        operation: Operation,
        index: int,
        handle: Callable[..., PendingAnswer],
        *,
        authorizer: Authorizer | None,
        quotas: Quotas | None,
        tickets: Tickets | None,
        traces: Traces,
    ) -> None:
        self.operation: Final = operation
        self.index: Final = index
        self._handle: Final = handle
        self._authorizer: Final = authorizer if operation.scope is not None else None
        self.guarded: Final = self._authorizer is not None
        self._public: Final = self._authorizer if operation.is_kept and operation.reads_season else None
        self._quotas: Final = quotas if operation.scope is not None else None
        self._scope: Final = 0 if operation.scope is None else BITS[operation.scope]
        self._traces: Final = traces
        names = [parameter.name for parameter in operation.inputs]
        self._spelling: Final = names.index("int64") if operation.takes_int64 else None
        self._tickets: Final = tickets if self.guarded and "ticket" in names else None
        self._ticket: Final = names.index("ticket") if "ticket" in names else 0
        last = names[len(names) - sum(name in OWN for name in names) :]
        assert {*last} <= {*OWN}, "the parsers of the handler's arguments come first"
        self._parsers: Final = tuple(parameter.parse for parameter in operation.inputs if parameter.name not in OWN)
        self._season: Final = names.index("sid") if "sid" in names else None
        self._read: Final = None if operation.body is None else operation.body.make_reader()
        self._writes: Final = operation.writes
        # PERF: most requests need little of what `_prepare` looks for.
        plain = self._prepare_write if operation.writes else self._prepare_read
        is_plain = self._quotas is None and self._tickets is None and not operation.is_audited
        self.prepare: Final[Callable[..., Order]] = plain if is_plain else self._prepare
        """Prepare the order of an admitted request; see `_prepare` for the arguments."""

    def admit(self, credential: bytes | None, texts: Texts, cookies: str | None = None) -> Grant | Answer | None:
        """Admit a credential: its grant, or the answer that refuses it; None if the operation needs none."""
        if self._authorizer is None:
            return None
        if self._tickets is not None and (ticket := texts[self._ticket]) is not None:
            # Which of two credentials counts would be ambiguous.
            season = None if self._season is None else texts[self._season]
            return MALFORMED if credential is not None else self._tickets.admit("stream", ticket, season)
        season = None if self._season is None else texts[self._season]
        return self._authorizer.admit(credential, self._scope, season, cookies)

    def is_session(self, credential: bytes | None) -> bool:
        """Whether the cookies decide about the credential, too, which the fast path does not read."""
        return self._authorizer is not None and self._authorizer.is_session(credential)

    def is_public(self, texts: Texts) -> bool:
        """Whether shared caches may keep the answer: that of a read of a public season."""
        return self._public is not None and self._season is not None and self._public.is_public(texts[self._season])

    def _prepare_read(
        self,
        grant: Grant | None,
        texts: Texts,
        content_type: str | None = None,
        key: str | None = None,
        traceparent: str | None = None,
        precondition: Precondition | None = None,
        prefer: str | None = None,
    ) -> Order:
        """Prepare an operation that has neither a body nor a caller nor a cost."""
        if self._spelling is not None and texts[self._spelling] is not None:
            return self._prepare(grant, texts)
        try:
            values = list(map(call, self._parsers, texts))
        except Rejected as rejected:
            return partial(reply, rejected.answer)
        handle = self._handle
        return lambda body: handle(*values)

    def _prepare_write(
        self,
        grant: Grant | None,
        texts: Texts,
        content_type: str | None = None,
        key: str | None = None,
        traceparent: str | None = None,
        precondition: Precondition | None = None,
        prefer: str | None = None,
    ) -> Order:
        """Prepare an operation that has no cost. PERF: nearly all callers are anonymous."""
        rare = key is not None or traceparent is not None or precondition is not None or prefer is not None
        rare = rare or (self._spelling is not None and texts[self._spelling] is not None)
        if rare or (grant is not None and grant.player is not None):
            return self._prepare(grant, texts, content_type, key, traceparent, precondition, prefer)
        try:
            values = list(map(call, self._parsers, texts))
        except Rejected as rejected:
            return partial(reply, rejected.answer)
        return partial(self._start, values, content_type, ANONYMOUS if grant is None else grant.caller)

    def _prepare(
        self,
        grant: Grant | None,
        texts: Texts,
        content_type: str | None = None,
        key: str | None = None,
        traceparent: str | None = None,
        precondition: Precondition | None = None,
        prefer: str | None = None,
        reason: str | None = None,
        request_id: str | None = None,
    ) -> Order:
        """Prepare the order of an admitted request. `key` is the text of its `Idempotency-Key` header."""
        values: list[Any] = []
        refusal: Answer | None = None
        is_spelled = False
        try:
            values = list(map(call, self._parsers, texts))
            reason = parse_reason(reason)
            is_spelled = self._spelling is not None and INT64.parse(texts[self._spelling]) == "string"
        except Rejected as rejected:
            refusal = rejected.answer
        caller: Caller | None = None
        span: Span | None = None
        if self._writes:
            if traceparent is not None:
                span = self._traces.begin(self.operation.name, traceparent)
            player = None if grant is None else grant.player
            key_id = TOKEN if player is not None else "" if grant is None else grant.caller.key_id
            is_admin = grant is None or bool(grant.scopes & BITS["admin"])
            seasons = None if grant is None else grant.seasons
            until = inf if grant is None else grant.until
            trace = format_traceparent(span)
            caller = Caller(
                player, key, trace, precondition or always, prefer, key_id, is_admin, seasons, until, reason, request_id
            )
        order: Order
        if self._quotas is not None and grant is not None and grant is not READER:
            order = partial(self._charge, self._quotas, grant, refusal, values, content_type, caller)
        elif refusal is not None:
            order = partial(reply, refusal)
        elif caller is None:
            order = partial(self._call, values)
        else:
            order = partial(self._start, values, content_type, caller)
        if is_spelled:
            order = make_spelled(order)
        if self._tickets is not None and (ticket := texts[self._ticket]) is not None and refusal is None:
            order = partial(self._use_ticket, self._tickets, ticket, order)
        return order if span is None else partial(run_in_span, span, order)

    async def _use_ticket(self, tickets: Tickets, ticket: str, order: Order, body: bytes | None) -> Answer:
        """Use up the ticket that the request was admitted with, then go on."""
        refusal = await tickets.use(ticket)
        return await order(body) if refusal is None else refusal

    def _call(self, values: list[Any], body: bytes | None) -> PendingAnswer:
        return self._handle(*values)

    def _start(self, values: list[Any], content_type: str | None, caller: Caller, body: bytes | None) -> PendingAnswer:
        """Decode the body and call the handler. PERF: no coroutine, which would be one more for each submission."""
        if self._read is None:
            return self._handle(*values, caller)
        try:
            decoded = self._read(content_type, body)
        except Rejected as rejected:
            return reply(rejected.answer)
        return self._handle(*values, decoded, caller)

    async def _charge(
        self,
        quotas: Quotas,
        grant: Grant,
        refusal: Answer | None,
        values: list[Any],
        content_type: str | None,
        caller: Caller | None,
        body: bytes | None,
    ) -> Answer:
        """Decode the body, charge the quotas, and call the handler; the answer has the headers of the quotas."""
        arguments = values
        cost: Cost = ONE_UNIT
        if self._read is not None and self.operation.body is not None:
            decoded = None
            try:
                decoded = self._read(content_type, body)
            except Rejected as rejected:
                refusal = refusal or rejected.answer
            cost = self.operation.body.cost(decoded, body)
            arguments = [*values, decoded]
        headers = await quotas.charge(grant, cost.units, cost.players)
        if isinstance(headers, Answer):
            return headers
        if refusal is None:
            try:
                answer = await self._handle(*arguments, *(() if caller is None else (caller,)))
            except LeaderboardError as error:
                answer = answer_of(error)
        else:
            answer = refusal
        return msgspec.structs.replace(answer, headers=(*answer.headers, *headers)) if headers else answer


def make_endpoints(
    operations: Sequence[Operation],
    parts: Sequence[object],
    *,
    authorizer: Authorizer | None,
    quotas: Quotas | None,
    tickets: Tickets | None,
    traces: Traces,
) -> tuple[Endpoint, ...]:
    """Make the endpoint of each operation, bound to the part of the worker whose class has the handler."""
    endpoints = []
    for index, operation in enumerate(operations):
        name = operation.handler.__name__
        (part,) = (part for part in parts if getattr(type(part), name, None) is operation.handler)
        handle = getattr(part, name)
        endpoint = Endpoint(
            operation, index, handle, authorizer=authorizer, quotas=quotas, tickets=tickets, traces=traces
        )
        endpoints.append(endpoint)
    return tuple(endpoints)
