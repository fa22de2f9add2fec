"""Composition root of a worker: builds every part, hands each what it needs, wires the routes."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import falcon.asgi
from falcon.routing import CompiledRouter

from _speedups import IMPLEMENTATION
from board.config.binds import address
from board.config.load import load
from board.config.settings import Settings
from board.errors import LeaderboardError
from board.observe.log import setup
from board.observe.metrics import Row
from board.observe.trace import Tracer
from board.observe.tracers import tracer_of
from board.redis.async_redis import AsyncRedis
from board.redis.keyspace import Keyspace
from service import resources
from service.access.authorizer import Gate
from service.access.jwks import Jwks
from service.access.keyring import Keyring
from service.access.quotas import Quotas, quota
from service.access.tokens import Secret, Tokens
from service.actions import BODY_MOST, Actions, document_answer
from service.boards.rank_reads import RANK
from service.boards.reader import TOP, Boards
from service.contract import problems
from service.contract.types import BATCH_MOST
from service.health.probes import Probes
from service.http.authorization import AdminOnly, Guard
from service.http.connection_limits import DOOR, Door, Limits, within_files
from service.http.fast_path import GATE, STATE, TRACES, TRAFFIC
from service.http.openapi import document
from service.http.origins import Cors, Strangers
from service.http.request_ids import RequestIds
from service.http.tracing import Traces
from service.keys.manage import Manage
from service.routes import OPERATIONS
from service.seasons.store import Seasons
from service.submissions.group_commit import Intake
from service.submissions.submit_batch import BODY_MOST as PARCEL_MOST
from service.submissions.submit_batch import Parcels
from service.telemetry.metrics import REGISTRY, Meter, Traffic, look, on_batch

log: Final = logging.getLogger("service")


class Worker:
    """The parts of one worker; made inside its event loop by the lifespan's start."""

    def __init__(
        self, app: falcon.asgi.App[Any, Any], settings: Settings, guard: Guard | None, row: Row, traffic: Traffic
    ) -> None:
        self.app: Final = app
        self.row: Final = row
        self.traffic: Final = traffic
        self.looking: asyncio.Task[None] | None = None
        self.guard: Final = guard
        self.settings: Final = settings
        self.keyring: Keyring | None = None
        self.jwks: Jwks | None = None
        self.tracer: Tracer | None = None
        self.intake: Intake
        self.parcels: Intake
        self.pipe: AsyncRedis
        self.probes: Probes
        self.door: Door

    async def process_startup(self, scope: Any, event: Any) -> None:
        """Build the parts and add the routes. An error here ends the process: it must not serve errors."""
        s = self.settings
        keys = Keyspace(s.redis_prefix)
        self.pipe = AsyncRedis(
            s.redis_url, deadline_s=s.read_deadline_ms / 1000, scripts=(TOP, RANK), name="leaderboard-api"
        )
        boards = Boards(self.pipe, keys, s.read_cache_ms / 1000)
        self.probes = Probes(s.database_url, boards, s.probe_deadline_ms / 1000)
        self.intake = Intake(
            s.database_url,
            queue=s.intake_queue,
            batch=s.intake_batch,
            connections=s.intake_connections,
            deadline_s=s.write_deadline_ms / 1000,
            on_commit=boards.poke,
            on_batch=on_batch(self.row, "scores"),
        )
        self.parcels = Intake(
            s.database_url,
            queue=s.batch_queue,
            batch=BATCH_MOST,
            connections=1,
            deadline_s=s.write_deadline_ms / 1000,
            on_commit=boards.poke,
            on_batch=on_batch(self.row, "batch"),
        )
        actions = Actions(
            self.intake,
            boards,
            Seasons(s.database_url, s.write_deadline_ms / 1000),
            self.probes,
            write_deadline_s=s.write_deadline_ms / 1000,
        )
        self.tracer = tracer_of(s, "api")
        traces = Traces(self.tracer)
        manage = Manage(s.database_url, s.write_deadline_ms / 1000, self.keys_changed, open_=self.guard is None)
        parts: dict[str, object] = {
            "scores": resources.Submissions(
                actions.submit, traces, "submitScore", BODY_MOST, problems.BODY_TOO_LARGE.answer
            ),
            "batch": resources.Submissions(
                Parcels(self.parcels).submit, traces, "submitScores", PARCEL_MOST, problems.BATCH_TOO_LARGE.answer
            ),
            "top": resources.Top(actions),
            "rank": resources.Rank(actions),
            "around": resources.Around(actions),
            "season": resources.Season(actions),
            "keys": resources.Keys(manage),
            "rotation": resources.Rotation(manage),
            "key": resources.Key(manage),
            "healthz": resources.Healthz(actions),
            "readyz": resources.Readyz(actions),
            "document": resources.Document(document_answer(document(guarded=self.guard is not None))),
        }
        for path, resource in {op.path: op.resource for op in OPERATIONS}.items():
            self.app.add_route(path, parts[resource])
        state = scope.get("state", {})
        state[STATE] = actions
        self.door = Door(
            Limits(within_files(s.connections), s.receive_s, s.idle_s, s.send_s, s.connections_per_address),
            (address(s.admin_bind) or (s.admin_bind.removeprefix("unix:"), None)) if s.admin_bind else None,
        )
        state[DOOR] = self.door
        self.door.start()
        state[TRAFFIC] = self.traffic
        state[TRACES] = traces
        self.pipe.start()
        self.intake.start()
        if self.guard is not None:
            self.keyring = Keyring(s.database_url)
            if s.token_jwks:
                self.jwks = Jwks(s.token_jwks, s.token_algorithm)
            gate = state[GATE] = self.guard.gate = Gate(self.keyring, tokens_of(s, self.jwks))
            gate.quotas = quotas_of(s, self.pipe, keys)
            self.keyring.start(gate.forget)
            if self.jwks is not None:
                self.jwks.start(gate.forget)
                await self.jwks.first_try()
            await self.keyring.first_try()
        await self.pipe.first_try()
        intakes = {"scores": self.intake, "batch": self.parcels}
        self.looking = asyncio.create_task(look(self.row, self.pipe, intakes), name="metrics")
        log.info("worker is up (%s kernels)", "compiled" if IMPLEMENTATION == "c" else "pure-Python")

    def keys_changed(self) -> None:
        """This worker has changed a key: it need not wait to be told."""
        if self.keyring is not None:
            self.keyring.hurry()

    async def process_shutdown(self, scope: Any, event: Any) -> None:
        """Commit what is queued, then close."""
        try:
            async with asyncio.timeout(self.settings.shutdown_grace_s):
                await asyncio.gather(self.intake.stop(), self.parcels.stop())
        except TimeoutError:
            left = self.intake.depth + self.parcels.depth
            log.warning("%d submissions were not committed in the time given to stop", left)
        if self.keyring is not None:
            await self.keyring.stop()
        if self.looking is not None:
            self.looking.cancel()
            await asyncio.gather(self.looking, return_exceptions=True)
        if self.jwks is not None:
            await self.jwks.stop()
        await self.pipe.stop()
        await self.probes.close()
        if self.tracer is not None:
            await asyncio.to_thread(self.tracer.close)
        self.door.stop()


class Exact(CompiledRouter):
    """Falcon's router without its second spellings of every path; who filters paths in front of us relies on that."""

    def find(self, uri: str, req: Any = None) -> Any:
        """The route, if the path has no slash too many in front, none that is percent-encoded, and nothing
        percent-encoded but in the names that are the client's to choose."""
        raw: bytes = b"" if req is None else req.scope.get("raw_path", b"")
        if uri.startswith("//") or b"%2F" in raw.upper():
            return None
        found: Any = super().find(uri, req)
        if found is None or b"%" not in raw:
            return found
        sent = zip(found[3].split("/"), raw.decode("latin-1").split("/"), strict=True)
        return found if all(ours == theirs or ours.startswith("{") for ours, theirs in sent) else None


def quotas_of(s: Settings, pipe: AsyncRedis, keys: Keyspace) -> Quotas | None:
    """The quotas of keys and players; None when there are none."""
    key, player = (quota(name, n, s.limit_window_s) for name, n in (("key", s.limit_key), ("player", s.limit_player)))
    if key is None and player is None:
        return None
    closed = s.limit_fail == "closed"
    return Quotas(pipe, keys, key=key, player=player, deadline_s=s.limit_deadline_ms / 1000, closed=closed)


def tokens_of(s: Settings, jwks: Jwks | None) -> Tokens | None:
    """Who verifies players' tokens; None when there are none."""
    if not s.token_algorithm:
        return None
    return Tokens(
        Secret(s.token_secret) if jwks is None else jwks,
        algorithm=s.token_algorithm,
        issuer=s.token_issuer,
        audience=s.token_audience,
        scopes=("read", "submit") if s.players == "submit" else ("read",),
    )


def create_app(settings: Settings | None = None, row: Row | None = None) -> falcon.asgi.App[Any, Any]:
    """The ASGI application, for any ASGI server. Needs the lifespan protocol. It counts in `row`, if there is one."""
    row = row or Row.private(REGISTRY)
    traffic = Traffic(row)
    if settings is None:
        settings = load()
        setup(settings.log_level, settings.log_format)
    app = falcon.asgi.App(router=Exact())
    app.add_error_handler(falcon.HTTPError, resources.on_http_error)
    app.add_error_handler(LeaderboardError, resources.on_leaderboard_error)
    app.add_error_handler(Exception, resources.on_defect)
    guard = Guard() if settings.auth == "keys" else None
    app.add_middleware(Worker(app, settings, guard, row, traffic))
    app.add_middleware(Meter(traffic))
    app.add_middleware(RequestIds())
    if settings.origins:
        app.add_middleware(Cors(settings.origins))
    if guard is None:
        app.add_middleware(Strangers(settings.origins))
    if settings.admin_bind:
        app.add_middleware(AdminOnly())
    if guard is not None:
        app.add_middleware(guard)
    return app
