"""The type of an operation: the one place for its method, path, handler, bounds, scope and problems.

Router, fast path, authorization, quotas, metrics, traces, OpenAPI, error texts, the tables of
docs/api.md and the tests of authorization are derived from it. Each feature lists its own
operations; `service.routes` joins them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from service.contract.answers import JSON, PendingAnswer
from service.contract.body import Body
from service.contract.parameters import Parameter
from service.contract.problems import Problem
from service.contract.reason import REASON_HEADER
from service.contract.scopes import Scope

SAFE: Final = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing (RFC 9110, 9.2.1)."""

Handler = Callable[..., PendingAnswer]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one path.

    `handler` is a method of the feature's class, not bound to an instance. It is called with the
    values of its `inputs` in their order, without `ticket` and `int64`; then, where there is one, with the decoded
    body; then, unless the method is safe, with the `Caller`. It returns an answer or raises a
    `LeaderboardError`.

    `name` is the operationId, the label in metrics and the name of spans. `scope` is the scope that a
    credential needs; None: no credential is needed. `answers` maps a status to a text and the type of
    the body (None: it has none). `problems` are those of the handler; parameters and body add their
    own. `fast`: the fast path may serve it. `media_type` is that of its good answers.
    `on_admin_bind`: only the bind for administrators has it, where there is one, as all with the scope `admin`.
    """

    name: str
    method: str
    path: str
    handler: Handler
    scope: Scope | None
    summary: str
    answers: dict[int, tuple[str, Any]]
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    problems: tuple[Problem, ...] = ()
    fast: bool = False
    media_type: str = JSON
    on_admin_bind: bool = False

    @property
    def is_for_operators(self) -> bool:
        """Whether only the bind for administrators has the operation, where there is one."""
        return self.on_admin_bind or self.scope == "admin"

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that are this operation: its own, and with GET also HEAD (RFC 9110, 9.3.2)."""
        return (self.method, "HEAD") if self.method == "GET" else (self.method,)

    @property
    def writes(self) -> bool:
        """Whether the method may change something."""
        return self.method not in SAFE

    @property
    def inputs(self) -> tuple[Parameter, ...]:
        """The parameters that the handler gets as arguments: those of path and query, then headers that are passed.

        Then perhaps `ticket` and `int64`, which it does not get.
        """
        found = [one for one in self.parameters if one.place != "header" or one.is_passed]
        last = {"ticket": 2, "int64": 3}
        return tuple(sorted(found, key=lambda one: last.get(one.name, one.place == "header")))

    @property
    def reads_season(self) -> bool:
        """Whether the operation reads a season: of a public one without a credential."""
        return self.scope == "read" and "{sid}" in self.path

    @property
    def takes_int64(self) -> bool:
        """Whether the client chooses how the answer has numbers of 64 bits."""
        return any(parameter.name == "int64" for parameter in self.parameters)

    @property
    def takes_precondition(self) -> bool:
        """Whether the change takes an `If-Match` header, and an `If-None-Match`."""
        return any(parameter.name == "If-Match" for parameter in self.parameters)

    @property
    def is_kept(self) -> bool:
        """Whether a client may keep the answer, and ask for it again with `If-None-Match`."""
        return 304 in self.answers

    @property
    def is_audited(self) -> bool:
        """Whether the audit has the operation: it takes a reason."""
        return any(parameter.name == REASON_HEADER for parameter in self.parameters)

    @property
    def takes_prefer(self) -> bool:
        """Whether the operation takes a `Prefer` header."""
        return any(parameter.name == "Prefer" for parameter in self.parameters)

    @property
    def all_problems(self) -> tuple[Problem, ...]:
        """Each problem of body, parameters and handler once, without those of credentials."""
        of_body = () if self.body is None else self.body.problems
        of_parameters = tuple(parameter.problem for parameter in self.parameters if parameter.problem is not None)
        return tuple(dict.fromkeys((*of_body, *of_parameters, *self.problems)))
