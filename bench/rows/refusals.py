"""The rows of refused requests: a wrong request must not cost more than a right one."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing
from typing import Any, Final

import msgspec

from bench.load import closed_loop
from bench.rows.figures import Measure, Results
from bench.rows.submit import WARM_S
from bench.system.run_options import RunOptions
from bench.system.stack import Stack
from ctl.http_client import Client
from service.access.key_text import PREFIX, SECRET_LENGTH, compute_checksum, make_key, parse_key

SCORES: Final = "/v1/seasons/refused/scores"
UNKNOWN: Final = make_key()[0]
"""A well-formed key that no server has."""
FORGED: Final = "forged"
"""Stands for a well-formed key with an id that the server has, and another secret."""


class Refusal(msgspec.Struct, frozen=True):
    """A request, and the status and problem code of its answer. With a `key` the server requires keys."""

    method: str
    path: str
    status: int
    code: str
    body: Any = None
    key: str = ""


REFUSALS: Final = {
    "refused_body": Refusal("POST", SCORES, 400, "invalid-delta", {"userId": "player", "delta": "1"}),
    "refused_player": Refusal("GET", "/v1/seasons/refused/leaderboard/rank?userId=unknown", 404, "player-not-found"),
    "refused_key": Refusal("POST", SCORES, 401, "credential-unknown", {"userId": "player", "delta": 1}, UNKNOWN),
    "refused_secret": Refusal("POST", SCORES, 401, "credential-unknown", {"userId": "player", "delta": 1}, FORGED),
}
NAMES: Final = tuple(REFUSALS)


def measure(options: RunOptions, wanted: Collection[str]) -> Results:
    """The rows in `wanted`, each on servers of its own."""
    for name, refusal in REFUSALS.items():
        if name in wanted:
            settings = msgspec.structs.replace(options.settings, auth="keys") if refusal.key else options.settings
            its = msgspec.structs.replace(options, settings=settings)
            with its.stack() as stack, stack.relays(), stack.api() as good:
                yield name, measure_refusals(stack, options, refusal, good)


def forge_key(key: str) -> str:
    """A key with the id of `key` and another secret."""
    known = parse_key(key)
    assert known is not None
    text = f"{PREFIX}{known.id}_{'x' * SECRET_LENGTH}"
    return text + compute_checksum(text)


def measure_refusals(stack: Stack, options: RunOptions, refusal: Refusal, client: Client) -> Measure:
    """Load the server with one request; the rate is that of refusals."""
    faults = []
    status, _ = client.ask("POST", SCORES, {"userId": "player", "delta": 1})
    if status != 202:
        faults.append(f"a good submission was answered {status}")
    stack.wait_until_empty()
    if refusal.key == FORGED:
        refusal = msgspec.structs.replace(refusal, key=forge_key(stack.settings.key))
    with closing(Client(stack.url, refusal.key)) as single:
        status, body = single.ask(refusal.method, refusal.path, refusal.body)
    answer = msgspec.json.decode(body)
    if (status, answer.get("code")) != (refusal.status, refusal.code):
        faults.append(f"the answer is {status} {answer}, not {refusal.status} {refusal.code}")
    text = "" if refusal.body is None else msgspec.json.encode(refusal.body).decode()

    def ask(seconds: int) -> closed_loop.LoadResult:
        return closed_loop.get(
            stack.url, seconds=seconds, connections=options.connections, script="fixed.lua",
            arguments=(refusal.method, refusal.path, text), key=refusal.key,
        )  # fmt: skip

    ask(WARM_S)
    done = ask(options.seconds)
    if done.accepted or done.broken or done.late or not done.refused:
        faults.append(f"{done.accepted} were accepted, {done.broken + done.late} got no answer in time")
    if (rows := stack.value("SELECT count(*) FROM ledger")) != 1:
        faults.append(f"the ledger has {rows} rows, not 1")
    figures = done.figures() | {"per_s": done.refused / (done.duration_us / 1e6), "errors": done.broken + done.late}
    checks = (f"{done.refused:,} refusals, nothing written",)
    return Measure(figures, () if faults else checks, tuple(faults))
