"""A client's trace goes with its submission through the outbox, and ends when the board shows it."""

from __future__ import annotations

import json
import os
import socket
import time
from typing import Any

import psycopg
import pytest
from support.collector import Collector
from support.http import JSON, Http
from support.processes import leaderboard, relaying, serving
from support.relays import Stepped, Unsignalled
from support.waiting import eventually
from support.world import World

from board.partitions import partition_of
from relay.batch import relay_batch
from relay.janitor import Janitor

BODY = b'{"userId":"ada","delta":1}'
PARENT = "00f067aa0ba902b7"
LOGGED = {"LEADERBOARD_TRACES": "log", "LEADERBOARD_LOG_FORMAT": "json"}


def fresh() -> tuple[str, dict[str, str]]:
    """A trace's id, and the headers of a request in it."""
    trace_id = os.urandom(16).hex()
    return trace_id, {**JSON, "traceparent": f"00-{trace_id}-{PARENT}-01"}


def batch(number: int) -> bytes:
    return b'{"submissions":[%b]}' % b",".join(b'{"userId":"p%d","delta":1}' % n for n in range(number))


def traces(world: World) -> list[str]:
    """What waits in the outbox for a relay."""
    return [parent for (parent,) in world.rows("SELECT parent FROM trace ORDER BY parent")]


@pytest.mark.parametrize("impl", ["auto", "python"])
def test_the_trace_of_a_post_arrives_in_the_relays_span(world: World, impl: str) -> None:
    before = time.time_ns()
    with (
        Collector() as collector,
        relaying(world, LEADERBOARD_IMPL=impl, **collector.settings),
        serving(world, LEADERBOARD_IMPL=impl, **collector.settings) as api,
        api.client() as http,
    ):
        for path, body, name in (
            ("/v1/seasons/s/scores", BODY, "submitScore"),
            ("/v1/seasons/%73/scores", BODY, "submitScore"),
            ("/v1/seasons/s/scores/batch", batch(300), "submitScores"),
        ):
            trace_id, headers = fresh()
            status = http.ask("POST", path, body, headers).status
            both = eventually(lambda: len(found := collector.of(trace_id)) == 2 and found)  # noqa: B023
            assert isinstance(both, dict)
            ours, relays = both["leaderboard-api"], both["leaderboard-relay"]
            assert (ours.name, ours.parent_id) == (name, PARENT)
            assert ours.attributes == {"http.response.status_code": status}
            assert (relays.name, relays.parent_id) == ("carry", ours.span_id)
            assert relays.attributes == {"leaderboard.partition": partition_of("s")}
            assert before < ours.began_ns < ours.ended_ns
            assert before < relays.began_ns < relays.ended_ns < time.time_ns()
        # What is not traced makes no span, and nothing of those before is left or told again.
        assert http.post("s", "ada", 1).status == 202
        eventually(lambda: len(world.board("s")) == 301 and not world.value("SELECT count(*) FROM outbox"))
        assert traces(world) == []
    assert len(collector.spans) == 6


def test_spans_are_log_lines_with_the_trace_where_that_is_wanted(world: World) -> None:
    trace_id, headers = fresh()
    with relaying(world, **LOGGED) as pool, serving(world, **LOGGED) as api, api.client() as http:
        assert http.ask("POST", "/v1/seasons/s/scores", BODY, headers).status == 202

        def line(text: str) -> dict[str, Any] | None:
            lines = (json.loads(one) for one in text.splitlines())
            return next((one for one in lines if one.get("trace_id") == trace_id), None)

        ours: Any = eventually(lambda: line(api.command.text()))
        relays: Any = eventually(lambda: line(pool.text()))
    assert ours["message"].startswith("submitScore took ") and ours["message"].endswith("ms, status 202")
    assert relays["message"].startswith("carry took ")
    assert (ours["parent_id"], relays["parent_id"]) == (PARENT, ours["span_id"])


def good(http: Http, headers: dict[str, str], key: str | None = None) -> None:
    named = {} if key is None else {"Idempotency-Key": key}
    for season in ("s", "%73"):
        assert http.ask("POST", f"/v1/seasons/{season}/scores", BODY, {**headers, **named}).status == 202


def test_only_what_is_recorded_and_counts_is_written(world: World) -> None:
    trace_id, headers = fresh()
    with serving(world, **LOGGED) as api, api.client() as http:
        good(http, JSON)
        good(http, {**JSON, "traceparent": f"00-{trace_id}-{PARENT}-00"})
        good(http, {**JSON, "traceparent": "nonsense"})
        good(http, JSON, key="k")
        assert traces(world) == []
        good(http, headers, key="k")  # a repetition: nothing new is on its way to the board
        assert http.ask("POST", "/v1/seasons/s/scores", b"{}", headers).status == 400
        assert traces(world) == []
        good(http, headers)
        assert len(found := traces(world)) == 2
        assert all(f"-{trace_id}-" in parent for parent in found)
        # 2,500 submissions with keys among them, but one request.
        keyed = batch(2_500).replace(b'"p7","delta":1', b'"p7","delta":1,"submissionId":"x"')
        assert http.ask("POST", "/v1/seasons/s/scores/batch", keyed, headers).status == 200
        assert len(traces(world)) == 3
    assert world.value("SELECT count(*) FROM idempotency") == 2


def test_switched_off_the_header_is_as_any_other(world: World) -> None:
    with serving(world) as api, api.client() as http:
        good(http, fresh()[1])
        assert http.ask("POST", "/v1/seasons/s/scores/batch", batch(3), fresh()[1]).status == 200
    assert traces(world) == []
    assert world.value("SELECT count(*) FROM ledger") == 5


def test_a_trace_is_told_with_the_commit_of_its_hint_and_not_before(world: World) -> None:
    trace_id, headers = fresh()
    with serving(world, **LOGGED) as api, api.client() as http:
        assert http.ask("POST", "/v1/seasons/s/scores", BODY, headers).status == 202
        assert http.post("s", "bob", 1).status == 202
    partition = partition_of("s")
    dying = world.session(Stepped, traced=True)
    assert isinstance(dying, Stepped)
    dying.dies_at = "after apply"
    with pytest.raises(psycopg.OperationalError):
        relay_batch(dying, partition)
    session = world.session(traced=True)
    carried = eventually(lambda: relay_batch(session, partition))
    assert carried is not None and carried.hints == 3
    ((parent, age_s),) = carried.traces
    assert parent.startswith(f"00-{trace_id}-") and 0 < age_s < 60
    again = relay_batch(session, partition, check=True)
    assert again is not None and again.traces == ()
    assert [user for user, _, _ in world.board("s")] == ["ada", "bob"]


def test_a_batch_that_leaves_hints_behind_leaves_their_traces_too(world: World) -> None:
    with serving(world, **LOGGED) as api, api.client() as http:
        assert http.ask("POST", "/v1/seasons/s/scores", BODY, fresh()[1]).status == 202
        relay_batch(world.session(), partition_of("s"))  # by a relay that traces nothing
        assert len(traces(world)) == 1
        for user in (b"bob", b"cy", b"dee"):
            assert http.ask("POST", "/v1/seasons/s/scores", BODY.replace(b"ada", user), fresh()[1]).status == 202
    session = world.session(limit=2, traced=True)
    told = []
    for left in (2, 1):
        carried = relay_batch(session, partition_of("s"))
        assert carried is not None
        told.append(len(carried.traces))
        assert len(traces(world)) == left
    assert told == [2, 1]
    # A trace that no relay took is removed an hour later, and none that is younger.
    janitor = Janitor(world.settings, Unsignalled())
    assert janitor.in_bites(world.db, "forget_traces", {}) == 0
    world.execute("UPDATE trace SET queued_at = queued_at - interval '61 minutes'")
    assert janitor.in_bites(world.db, "forget_traces", {}) == 1


@pytest.mark.parametrize("collector", ["gone", "silent"])
def test_a_collector_that_does_not_answer_holds_nothing_up(world: World, collector: str) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if collector == "silent":
            silent.listen(16)
        settings = {
            "LEADERBOARD_TRACES": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        with relaying(world, **settings) as pool, serving(world, **settings) as api:
            with api.client() as http:
                for _ in range(20):
                    assert http.ask("POST", "/v1/seasons/s/scores", BODY, fresh()[1]).status == 202
            eventually(lambda: not world.value("SELECT count(*) FROM outbox"))
            assert world.board("s") == world.expected("s")
            started = time.monotonic()
            assert api.command.stop() == 0
            assert pool.stop() == 0
            assert time.monotonic() - started < 12  # both wait two seconds for it, and stop as ever


def test_a_setting_that_needs_what_is_not_installed_stops_every_command(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bare = tmp_path_factory.mktemp("bare")
    (bare / "opentelemetry.py").write_text("")  # found first, and no package
    done = leaderboard(world, "serve", LEADERBOARD_TRACES="otlp", PYTHONPATH=str(bare))
    assert done.returncode == 2
    assert done.stderr.startswith("leaderboard: LEADERBOARD_TRACES=otlp needs OpenTelemetry's packages")
