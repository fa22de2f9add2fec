"""The composition root of a worker: it builds every part once, connects the parts, and ends them in order."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any, Final

import falcon
import falcon.asgi
import msgspec

from _speedups import IMPLEMENTATION
from board.config.binds import address
from board.config.settings import Settings
from board.errors import LeaderboardError
from board.observe.metrics import Row
from board.observe.trace import Tracer
from board.observe.tracers import tracer_of
from board.pg.read_connection import ReadConnection
from board.pg.turn_connection import TurnConnection
from board.pg.write_connection import WriteConnection
from board.process.tasks import LastingTask
from board.redis.async_redis import AsyncRedis
from board.redis.keyspace import Keyspace
from board.redis.masters import read_masters
from board.redis.options import parse_redis_url
from board.redis.poke import Poker
from board.redis.topology import Topology
from service.access.authorizer import Authorizer
from service.access.jwks import Jwks
from service.access.keyring import Keyring
from service.access.quotas import make_quotas
from service.access.sessions import Sessions
from service.access.tickets import Tickets
from service.access.tokens import Secret, Tokens
from service.admin.sign_in import OperatorSessions, SignedOperators
from service.admin.status import SystemStatus
from service.admin.traffic import TrafficReport
from service.audit.log import AuditLog
from service.boards.awaited import AwaitedRanks
from service.boards.board_watch import BoardWatch
from service.boards.calls import BoardCalls
from service.boards.histogram import Histograms
from service.boards.long_polls import PAUSE_MOST_S, PAUSE_S, LongPolls
from service.boards.lookup import Lookups
from service.boards.past_boards import PastBoards
from service.boards.player_standings import StandingsReader
from service.boards.profile_cache import ProfileCache
from service.boards.profiles import ShownProfiles
from service.boards.rank_reads import RankReads
from service.boards.ranked_score import RankedScores
from service.boards.reader import SCRIPTS, BoardReader
from service.boards.run_metadata import RunMetadata
from service.boards.version_waits import VersionWaits
from service.contract.leaving import Leaving
from service.corrections.manage import Corrections
from service.events.feed import EventFeed
from service.health.probes import Probes
from service.health.store_probe import StoreProbe
from service.http import resource
from service.http.authorization import AuthMiddleware
from service.http.connection_limits import ConnectionLimiter, ConnectionLimits, fit_to_open_files
from service.http.endpoint import Endpoint, make_endpoints
from service.http.fast_routes import FastRoutes
from service.http.metering import Metering
from service.http.openapi import make_document
from service.http.origins import CorsMiddleware, OriginCheck, list_headers
from service.http.request import Request
from service.http.router import ExactRouter
from service.http.tracing import Traces
from service.keys.manage import KeyManager
from service.moderation.history import PlayerHistory
from service.moderation.restrictions import PlayerModerator
from service.openapi.document import Document
from service.pages.pages import Pages
from service.players.erase import PlayerEraser
from service.players.manage import PlayerManager
from service.players.store import PlayerStore
from service.routes import OPERATIONS
from service.seasons.board_sizes import BoardSizes
from service.seasons.manage import SeasonManager
from service.seasons.preview import SchedulePreview
from service.seasons.reset import SeasonReset
from service.seasons.store import SeasonStore
from service.stream.streams import BoardStreams
from service.submissions.group_commit import Intake
from service.submissions.submit import Submitter
from service.submissions.submit_batch import BatchSubmitter
from service.submissions.types import BATCH_MOST
from service.telemetry.metrics import DROPPED, Traffic, observe_batches, sample_worker
from service.telemetry.traffic_history import TrafficHistory
from service.tickets.manage import TicketOffice

log: Final = logging.getLogger(__name__)

App = falcon.asgi.App[Any, Any]


class WorkerContext(msgspec.Struct, frozen=True):
    """A complete worker: the ASGI application, the headers of all answers, and the parts that each connection needs."""

    app: App
    headers: tuple[tuple[str, str], ...]
    routes: FastRoutes
    limiter: ConnectionLimiter
    traffic: Traffic


class Access(msgspec.Struct, frozen=True):
    """The sources of credentials, and the authorizer. `jwks` is None unless tokens have public keys."""

    keyring: Keyring
    jwks: Jwks | None
    authorizer: Authorizer

    async def start(self) -> None:
        """Start reading the keys; returns after the first attempt at each source."""
        self.keyring.start(self.authorizer.forget)
        if self.jwks is not None:
            self.jwks.start(self.authorizer.forget)
            await self.jwks.wait_for_first_try()
        await self.keyring.wait_for_first_try()

    async def stop(self) -> None:
        """Stop reading the keys."""
        await self.keyring.stop()
        if self.jwks is not None:
            await self.jwks.stop()


class Lifespan:
    """Falcon middleware that ends the parts of a worker in order, after its last answer."""

    def __init__(
        self,
        *,
        grace_s: int,
        intakes: tuple[Intake, Intake],
        access: Access | None,
        sampling: LastingTask,
        redis: AsyncRedis,
        probes: Probes,
        seasons: SeasonStore,
        players: PlayerStore,
        reads: tuple[TurnConnection, ...],
        tracer: Tracer | None,
        limiter: ConnectionLimiter,
    ) -> None:
        self._grace_s: Final = grace_s
        self._intakes: Final = intakes
        self._access: Final = access
        self._sampling: Final = sampling
        self._redis: Final = redis
        self._probes: Final = probes
        self._seasons: Final = seasons
        self._players: Final = players
        self._reads: Final = reads
        self._tracer: Final = tracer
        self._limiter: Final = limiter

    async def process_shutdown(self, scope: Any, event: Any) -> None:
        """Commit queued submissions, then close all parts. The commits have `grace_s` seconds."""
        try:
            async with asyncio.timeout(self._grace_s):
                await asyncio.gather(*(intake.stop() for intake in self._intakes))
        except TimeoutError:
            left = sum(intake.depth for intake in self._intakes)
            log.warning("%d submissions were not committed in the time given to stop", left)
        if self._access is not None:
            await self._access.stop()
        await self._sampling.stop()
        await self._redis.stop()
        await self._probes.close()
        await self._seasons.close()
        await self._players.close()
        for connection in self._reads:
            await connection.close()
        if self._tracer is not None:
            await asyncio.to_thread(self._tracer.close)
        self._limiter.stop()


async def build_worker(s: Settings, row: Row, history: TrafficHistory) -> WorkerContext:
    """Build and start the parts of a worker, inside its event loop. It counts in `row`; `history` is that of all
    workers. An error ends the process.
    """
    keys = Keyspace(s.redis_prefix)
    redis = AsyncRedis(
        s.redis_url, deadline_s=s.read_deadline_ms / 1000, scripts=SCRIPTS, name="leaderboard-api", keys=keys
    )
    poker = Poker(redis, keys)
    store_probe = StoreProbe(s.database_url)

    def on_commit(partitions: set[int]) -> None:
        store_probe.note_commit()
        poker.poke(partitions)

    write_deadline_s, cache_s = s.write_deadline_ms / 1000, s.read_cache_ms / 1000
    single = Intake(
        s.database_url,
        queue=s.intake_queue,
        batch=s.intake_batch,
        connections=s.intake_connections,
        deadline_s=write_deadline_s,
        on_commit=on_commit,
        on_batch=observe_batches(row, "scores"),
        only_defined=s.seasons == "defined",
    )
    batches = Intake(
        s.database_url,
        queue=s.batch_queue,
        batch=BATCH_MOST,
        connections=1,
        deadline_s=write_deadline_s,
        on_commit=on_commit,
        on_batch=observe_batches(row, "batch"),
        only_defined=s.seasons == "defined",
    )
    keyring = Keyring(s.database_url) if s.auth == "keys" else None
    tickets = Tickets(keyring, redis, keys)
    sessions = None if keyring is None else Sessions(keyring, s.session_s)
    access = None if keyring is None else make_access(s, keyring, tickets, sessions)
    admin_writes = WriteConnection(s.database_url, "leaderboard-admin", write_deadline_s)
    admin_reads = ReadConnection(s.database_url, "leaderboard-admin", write_deadline_s)
    operators = None
    if access is not None and sessions is not None:
        operators = SignedOperators(access.keyring, access.authorizer, sessions, admin_writes)
    seasons = SeasonStore(s.database_url, write_deadline_s)
    players = PlayerStore(s.database_url, write_deadline_s)
    event_reads = ReadConnection(s.database_url, "leaderboard-events", write_deadline_s)
    board_reads = ReadConnection(s.database_url, "leaderboard-boards", write_deadline_s)
    probes = Probes(redis, keys, store_probe, s.probe_deadline_ms / 1000)
    run_metadata = RunMetadata(board_reads)
    read_deadline_s = s.read_deadline_ms / 1000
    calls = BoardCalls(redis, keys, poker)
    rank_reads = RankReads(redis, keys, poker.suspect)
    profiles = ShownProfiles(ProfileCache(redis, keys, poker, board_reads, deadline_s=read_deadline_s))
    waits = VersionWaits(BoardWatch(calls, redis, keys))
    past = PastBoards(board_reads, run_metadata, redis, keys, read_deadline_s)
    topology = Topology(parse_redis_url(s.redis_url))
    leaving = Leaving()
    # Those who wait for changes wait for long: they may learn of them a little later, and cost less.
    polls = LongPolls(BoardWatch(calls, redis, keys, PAUSE_S, PAUSE_MOST_S), leaving)
    awaited = AwaitedRanks(rank_reads, waits)
    boards = BoardReader(
        calls,
        rank_reads,
        waits,
        polls,
        past,
        run_metadata,
        profiles,
        cache_s=cache_s,
        deadline_s=read_deadline_s,
    )
    streams = BoardStreams(
        boards, leaving, most=s.streams, players_most=s.streams_of_players, on_drop=partial(row.add, DROPPED)
    )
    parts = (
        Submitter(single, awaited),
        BatchSubmitter(batches, awaited),
        boards,
        streams,
        TicketOffice(tickets),
        Lookups(calls, past, profiles),
        RankedScores(calls, past),
        Histograms(calls, past),
        StandingsReader(rank_reads, board_reads),
        SeasonReset(seasons, redis, keys, poker, deadline_s=write_deadline_s, cache_s=cache_s),
        SeasonManager(seasons, BoardSizes(redis, keys), poker, None if access is None else access.keyring.hurry),
        SchedulePreview(),
        PlayerManager(players, poker),
        PlayerEraser(admin_reads, admin_writes, poker, deadline_s=write_deadline_s, cache_s=cache_s),
        PlayerHistory(admin_reads),
        PlayerModerator(admin_reads, admin_writes, poker, deadline_s=write_deadline_s, cache_s=cache_s),
        Corrections(s.database_url, admin_reads),
        EventFeed(event_reads),
        AuditLog(admin_reads),
        KeyManager(s.database_url, write_deadline_s, None if access is None else access.keyring.hurry),
        OperatorSessions(operators),
        SystemStatus(admin_reads, redis, keys, partial(read_masters, topology, s.redis_prefix)),
        TrafficReport(history.read),
        probes,
        Pages(s.embed),
        Document(make_document(guarded=access is not None)),
    )
    tracer = tracer_of(s, "api")
    endpoints = make_endpoints(
        OPERATIONS,
        parts,
        authorizer=None if access is None else access.authorizer,
        tickets=tickets,
        quotas=None if access is None else make_quotas(s, redis, keys),
        traces=Traces(tracer),
    )
    limiter = ConnectionLimiter(
        ConnectionLimits(fit_to_open_files(s.connections), s.receive_s, s.idle_s, s.send_s, s.connections_per_address),
        (address(s.admin_bind) or (s.admin_bind.removeprefix("unix:"), None)) if s.admin_bind else None,
        leaving.begin,
    )
    traffic = Traffic(row)
    limiter.start()
    redis.start()
    single.start()
    if access is not None:
        await access.start()
    await redis.first_try()
    sampling = LastingTask(
        sample_worker(
            row,
            redis,
            {"scores": single, "batch": batches},
            lambda: limiter.held_bytes,
            lambda: {
                "streams": (streams.count, s.streams),
                "streams_of_players": (streams.player_count, s.streams_of_players),
                "long_polls": (polls.count, polls.most),
            },
        ),
        "metrics",
    )
    lifespan = Lifespan(
        grace_s=s.shutdown_grace_s,
        intakes=(single, batches),
        access=access,
        sampling=sampling,
        redis=redis,
        probes=probes,
        seasons=seasons,
        players=players,
        reads=(board_reads, event_reads, admin_reads, admin_writes),
        tracer=tracer,
        limiter=limiter,
    )
    app = make_app(s, endpoints, limiter, traffic, lifespan)
    log.info("worker is up (%s kernels)", "compiled" if IMPLEMENTATION == "c" else "pure-Python")
    return WorkerContext(app, list_headers(s.origins), FastRoutes(endpoints), limiter, traffic)


def make_app(
    s: Settings, endpoints: tuple[Endpoint, ...], limiter: ConnectionLimiter, traffic: Traffic, *outermost: Any
) -> App:
    """Make the ASGI application: the ordinary path to every endpoint. `outermost` comes before all other middleware."""
    middleware: list[Any] = [*outermost, Metering(traffic)]
    if s.origins:
        middleware.append(CorsMiddleware(s.origins))
    middleware.append(OriginCheck(s.origins) if s.auth == "open" else AuthMiddleware())
    app: App = falcon.asgi.App(request_type=Request, router=ExactRouter(), middleware=middleware)
    app.add_error_handler(falcon.HTTPError, resource.on_http_error)
    app.add_error_handler(LeaderboardError, resource.on_leaderboard_error)
    app.add_error_handler(Exception, resource.on_defect)
    app.add_sink(resource.answer_options_of_server, resource.SERVER_PATHS)
    by_path: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        by_path.setdefault(endpoint.operation.path, []).append(endpoint)
    for path, found in by_path.items():
        app.add_route(path, resource.Resource(found, limiter.hides_admin))
    return app


def make_access(s: Settings, keyring: Keyring, tickets: Tickets, sessions: Sessions | None) -> Access:
    """Make the sources of credentials, and the authorizer."""
    jwks = Jwks(s.token_jwks, s.token_algorithm) if s.token_jwks else None
    return Access(keyring, jwks, Authorizer(keyring, make_tokens(s, jwks), tickets, sessions))


def make_tokens(s: Settings, jwks: Jwks | None) -> Tokens | None:
    """Make the verifier of players' tokens; None if the settings have no algorithm for them."""
    if not s.token_algorithm:
        return None
    return Tokens(
        Secret(s.token_secret) if jwks is None else jwks,
        algorithm=s.token_algorithm,
        issuer=s.token_issuer,
        audience=s.token_audience,
        scopes=("read", "submit") if s.players == "submit" else ("read",),
    )
