"""Requests that are refused: whoever sends nonsense must not cost more than who plays."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import msgspec

from bench.load import closed_loop
from bench.rows.figures import Measure, Results
from bench.rows.submit import WARM_S
from bench.system.run_options import Plan
from bench.system.stack import Stack
from ctl.demo import Client
from service.access.key_text import PREFIX, SECRET_LENGTH, checksum, make, parse

SCORES: Final = "/v1/seasons/refused/scores"
UNKNOWN: Final = make()[0]
"""A key in good form that no server has."""
IMPOSTOR: Final = "impostor"
"""Stands for a key in good form whose id the server has, with another secret."""


class Refusal(msgspec.Struct, frozen=True):
    """A request, and the status and the problem's code that it has to get. With `key` the server wants keys."""

    method: str
    path: str
    status: int
    code: str
    body: Any = None
    key: str = ""


REFUSALS: Final = {
    "refused_body": Refusal("POST", SCORES, 400, "invalid-delta", {"userId": "player", "delta": "1"}),
    "refused_player": Refusal("GET", "/v1/seasons/refused/leaderboard/rank?userId=nobody", 404, "player-not-found"),
    "refused_key": Refusal("POST", SCORES, 401, "credential-unknown", {"userId": "player", "delta": 1}, UNKNOWN),
    "refused_secret": Refusal("POST", SCORES, 401, "credential-unknown", {"userId": "player", "delta": 1}, IMPOSTOR),
}
NAMES: Final = tuple(REFUSALS)


def measure(plan: Plan, wanted: Collection[str]) -> Results:
    """Each of the wanted rows on a server of its own."""
    for name, refusal in REFUSALS.items():
        if name in wanted:
            settings = msgspec.structs.replace(plan.settings, auth="keys") if refusal.key else plan.settings
            its = msgspec.structs.replace(plan, settings=settings)
            with its.stack() as stack, stack.relays(), stack.api() as good:
                yield name, refused(stack, plan, refusal, good)


def impostor_of(key: str) -> str:
    """A key with the id of this one and another secret."""
    known = parse(key)
    assert known is not None
    text = f"{PREFIX}{known.id}_{'x' * SECRET_LENGTH}"
    return text + checksum(text)


def refused(stack: Stack, plan: Plan, refusal: Refusal, client: Client) -> Measure:
    """Load the server with that one request; the rate is of refusals."""
    faults = []
    status, _ = client.ask("POST", SCORES, {"userId": "somebody", "delta": 1})
    if status != 202:
        faults.append(f"a good submission was answered {status}")
    stack.until_empty()
    if refusal.key == IMPOSTOR:
        refusal = msgspec.structs.replace(refusal, key=impostor_of(stack.settings.key))
    status, body = Client(stack.url, refusal.key).ask(refusal.method, refusal.path, refusal.body)
    answer = msgspec.json.decode(body)
    if (status, answer["code"]) != (refusal.status, refusal.code):
        faults.append(f"the answer is {status} {answer}, not {refusal.status} {refusal.code}")
    text = "" if refusal.body is None else msgspec.json.encode(refusal.body).decode()

    def ask(seconds: int) -> closed_loop.Load:
        return closed_loop.get(
            stack.url, seconds=seconds, connections=plan.connections, script="fixed.lua",
            arguments=(refusal.method, refusal.path, text), key=refusal.key,
        )  # fmt: skip

    ask(WARM_S)
    done = ask(plan.seconds)
    if done.accepted or done.broken or done.late or not done.refused:
        faults.append(f"{done.accepted} were accepted, {done.broken + done.late} got no answer in time")
    if (rows := stack.value("SELECT count(*) FROM ledger")) != 1:
        faults.append(f"the ledger has {rows} rows, not 1")
    figures = done.figures() | {"per_s": done.refused / (done.duration_us / 1e6), "errors": done.broken + done.late}
    checks = (f"{done.refused:,} refusals, nothing written",)
    return Measure(figures, () if faults else checks, tuple(faults))
