"""The metrics: right to the exact count over several workers and through everything that ends a worker."""

from __future__ import annotations

import http.client
import json
import os
import signal

import pytest
from support.http import JSON, Http, base, bearer, free_port, raw
from support.processes import Api, children_of, commandline, leaderboard, relaying, serving
from support.relays import carrying
from support.scrape import Scrape, scrape
from support.sse import EventStream
from support.waiting import eventually
from support.world import World

REQUESTS = "leaderboard_http_requests_total"
LATENCY = "leaderboard_http_request_seconds_count"


def workers_of(api: Api) -> set[int]:
    """The living gunicorn workers: the master's children that are no exporter."""
    commands = {pid: commandline(pid) for pid in children_of(api.command.process.pid)}
    return {pid for pid, command in commands.items() if command and b"service.telemetry.exporter" not in command}


def exporters_of(api: Api) -> set[int]:
    return {pid for pid in children_of(api.command.process.pid) if b"service.telemetry.exporter" in commandline(pid)}


def seen(port: int) -> Scrape:
    found = eventually(lambda: scrape(port))
    assert isinstance(found, Scrape)
    return found


def post(api: Api, count: int, season: str) -> int:
    """Submissions, each on a connection of its own; how many were answered."""
    answered = 0
    for n in range(count):
        try:
            with api.client() as http:
                assert http.post(season, f"p{n}", 1).status == 202
                answered += 1
        except (OSError, http_error):
            continue
    return answered


http_error = http.client.HTTPException


def test_every_answer_is_counted_once_over_workers_that_are_killed_reloaded_and_recycled(world: World) -> None:
    port = free_port()
    settings = {"LEADERBOARD_WORKERS": "3", "LEADERBOARD_MAX_REQUESTS": "110"}
    with serving(world, LEADERBOARD_METRICS_BIND=f"127.0.0.1:{port}", **settings) as api:
        eventually(lambda: len(workers_of(api)) == 3)
        first = workers_of(api)
        answered = post(api, 100, "s")
        with api.client() as http:
            assert http.get("/v1/seasons/s/leaderboard/rank?userId=x%20y").status == 503  # no relay runs
            assert http.post("s", "p", 0).status == 400
            assert http.get("/nowhere").status == 404
            assert http.ask("PATCH", f"{base('s')}/scores").status == 405
        assert raw(api.port, b"NONSENSE\r\n\r\n").startswith(b"HTTP/1.1 400")

        os.kill(min(first), signal.SIGKILL)
        eventually(lambda: len(workers_of(api) - first) == 1 and len(workers_of(api)) == 3)
        answered += post(api, 100, "s")

        before = workers_of(api)
        api.command.process.send_signal(signal.SIGHUP)
        answered += post(api, 100, "s")
        eventually(lambda: not workers_of(api) & before and len(workers_of(api)) == 3, 30)
        answered += post(api, 400, "s")  # more than a worker's life

        counted = seen(port)
        submits = {"operation": "submitScore", "status": "202"}
        assert counted.total(REQUESTS, **submits) == answered
        assert world.value("SELECT count(*) FROM ledger") == answered >= 690
        assert counted.total(REQUESTS, operation="submitScore", status="400") == 1
        assert counted.total(LATENCY, operation="submitScore") == answered + 1
        assert counted.total("leaderboard_http_request_seconds_bucket", operation="submitScore", le="+Inf") == (
            answered + 1
        )
        assert counted.total(REQUESTS, operation="getRank", status="503") == 1
        assert counted.total(REQUESTS, operation="other", status="404") == 1
        assert counted.total(REQUESTS, operation="other", status="405") == 1
        assert counted.total(REQUESTS, operation="other", status="400") == 1
        assert counted.total("leaderboard_intake_batch_size_sum", queue="scores") >= answered
        # Four kinds of ends later there are still three workers, and each of the others was counted.
        eventually(lambda: seen(port).total("leaderboard_workers") == 3)
        # The last of them may still be starting when its predecessor's last answer is there.
        eventually(lambda: seen(port).total("leaderboard_worker_starts_total") >= 8)
        assert counted.total("leaderboard_build_info") == 1


def test_both_paths_count_in_the_same_series(world: World) -> None:
    port = free_port()
    with serving(world, LEADERBOARD_METRICS_BIND=f"127.0.0.1:{port}") as api, api.client() as http:
        assert http.post("s", "ada", 1).status == 202
        assert http.post("a%20b", "ada", 1).status == 202
        assert http.ask("POST", "/v1/seasons/%73/scores", b'{"userId": "ada", "delta": 1}').status in (202, 415)
        counted = seen(port)
        assert counted.total(REQUESTS, operation="submitScore") == 3
        assert counted.total(LATENCY, operation="submitScore") == 3


def test_batches_and_keyed_submissions_are_counted_exactly_through_the_end_of_a_worker(world: World) -> None:
    port = free_port()
    may, may_not = bearer(world.key("submit")), bearer(world.key("read"))
    settings = {"LEADERBOARD_AUTH": "keys", "LEADERBOARD_WORKERS": "2", "LEADERBOARD_METRICS_BIND": f"127.0.0.1:{port}"}
    with serving(world, **settings) as api:
        eventually(lambda: len(workers_of(api)) == 2)

        def ask(path: str, body: object, more: dict[str, str]) -> int:
            with api.client() as http:
                return http.ask("POST", path, json.dumps(body).encode(), {**JSON, **more}).status

        def play(turn: int) -> None:
            for name in ("s", "%73"):
                for n in range(20):
                    one = {"userId": f"p{n}", "delta": 1}
                    key = {"Idempotency-Key": f"{turn}-{name}-{n}"}
                    assert ask(f"/v1/seasons/{name}/scores", one, {**may, **key}) == 202
                    assert ask(f"/v1/seasons/{name}/scores", one, {**may, **key}) == 202  # the same again
                    assert ask(f"/v1/seasons/{name}/scores", one, may) == 202
                    assert ask(f"/v1/seasons/{name}/scores", one, may_not) == 403
                assert ask(f"/v1/seasons/{name}/scores", {"userId": "p", "delta": 1}, {}) == 401
                assert ask(f"/v1/seasons/{name}/scores", one, {**may, "Idempotency-Key": "x" * 300}) == 400
                for size in (1, 7, 400):
                    items = [{"userId": f"p{n}", "delta": 1} for n in range(size)] + [{"userId": "bad", "delta": 0}]
                    assert ask(f"/v1/seasons/{name}/scores/batch", {"submissions": items}, may) == 200
                assert ask(f"/v1/seasons/{name}/scores/batch", {"submissions": items}, may_not) == 403
                assert ask(f"/v1/seasons/{name}/scores/batch", {"submissions": []}, may) == 400

        play(1)
        gone = min(workers_of(api))
        os.kill(gone, signal.SIGKILL)
        eventually(lambda: gone not in (now := workers_of(api)) and len(now) == 2)
        play(2)

        counted = seen(port)
        for status, number in (("202", 240), ("403", 80), ("401", 4), ("400", 4)):
            assert counted.total(REQUESTS, operation="submitScore", status=status) == number
        for status, number in (("200", 12), ("403", 4), ("400", 4)):
            assert counted.total(REQUESTS, operation="submitScores", status=status) == number
        assert counted.total(LATENCY, operation="submitScore") == 240 + 80 + 4 + 4
        assert counted.total(LATENCY, operation="submitScores") == 12 + 4 + 4
        # What was asked, repetitions too, but nothing that was refused before; each one of a new season twice.
        assert 240 <= counted.total("leaderboard_intake_batch_size_sum", queue="scores") <= 242
        assert counted.total("leaderboard_intake_batch_size_sum", queue="batch") == 4 * 408
        assert counted.total("leaderboard_intake_batch_size_count", queue="batch") == 12
        assert counted.total("leaderboard_intake_commit_seconds_count", queue="batch") == 12
    assert world.value("SELECT count(*) FROM ledger") == 160 + 4 * 408


def test_an_exporter_that_dies_is_replaced_and_nothing_is_forgotten(world: World) -> None:
    port = free_port()
    with serving(world, LEADERBOARD_METRICS_BIND=f"127.0.0.1:{port}") as api, api.client() as http:
        assert http.post("s", "ada", 1).status == 202
        seen(port)
        (gone,) = exporters_of(api)
        os.kill(gone, signal.SIGKILL)
        eventually(lambda: exporters_of(api) - {gone})
        assert seen(port).total(REQUESTS) >= 1
        assert http.post("s", "ada", 1).status == 202
        assert seen(port).total(REQUESTS, operation="submitScore") == 2


def test_the_pool_shows_its_work_and_the_outbox_also_after_a_relay_was_killed(world: World) -> None:
    port = free_port()
    bind = {"LEADERBOARD_RELAY_METRICS_BIND": f"127.0.0.1:{port}"}
    world.submit(*(("s", f"p{n}", 1) for n in range(30)))
    with relaying(world, 1, **bind) as pool:
        eventually(lambda: world.value("SELECT count(*) FROM outbox") == 0)
        eventually(lambda: seen(port).total("leaderboard_relay_hints_total") == 31)  # one is the new season
        relay = next(pid for pid in children_of(pool.process.pid) if b"carry" in commandline(pid))
        os.kill(relay, signal.SIGKILL)
        world.submit(*(("s", f"q{n}", 1) for n in range(20)))
        eventually(lambda: world.value("SELECT count(*) FROM outbox") == 0)
        eventually(lambda: seen(port).total("leaderboard_relay_hints_total") == 51)
        counted = seen(port)
        batches = counted.total("leaderboard_relay_batches_total")
        assert counted.total("leaderboard_relay_lag_seconds_count") == batches >= 2
        assert counted.total("leaderboard_database_up") == 1
        assert counted.total("leaderboard_seasons") == 1

        world.redis.flushdb()
        eventually(lambda: seen(port).total("leaderboard_relay_rebuilds_total", scope="partition") >= 1, 20)
        assert seen(port).total("leaderboard_relay_fence_refusals_total", verdict="lost") >= 1


def test_the_outbox_is_shown_with_its_age(world: World) -> None:
    port = free_port()
    with relaying(world, 1, LEADERBOARD_RELAY_METRICS_BIND=f"127.0.0.1:{port}"):
        world.create("s")
        eventually(lambda: world.value("SELECT count(*) FROM outbox") == 0)
        with world.held("s") as db:
            db.execute("SELECT FROM partition FOR UPDATE")
            world.execute(
                "INSERT INTO outbox (partition, period_id, user_id, queued_at) "
                "SELECT partition, period_id, 'ada', now() - interval '1 hour' FROM season"
            )
            counted = eventually(lambda: (s := seen(port)).total("leaderboard_outbox_pending") == 1 and s)
            assert isinstance(counted, Scrape)
            assert 3_590 < counted.total("leaderboard_outbox_oldest_seconds") < 3_700
            assert counted.total("leaderboard_outbox_partitions") == 1


def test_listeners_are_counted_beside_their_limits(world: World) -> None:
    port = free_port()
    world.submit(("s", "ada", 1))
    world.carry_everything()
    settings = {"LEADERBOARD_STREAMS": "30", "LEADERBOARD_STREAMS_OF_PLAYERS": "20"}
    kinds = ("streams", "streams_of_players", "long_polls")

    def shown(name: str) -> list[float]:
        return [seen(port).total(f"leaderboard_listeners{name}", kind=kind) for kind in kinds]

    with serving(world, "/readyz", LEADERBOARD_METRICS_BIND=f"127.0.0.1:{port}", **settings) as api:
        eventually(lambda: shown("_limit") == [30, 20, 10_000])
        with EventStream(api.port, "s") as one, EventStream(api.port, "s", "userId=ada") as other, api.client() as http:
            one.take()
            other.take()
            # A board that streams show is waited for once.
            eventually(lambda: shown("") == [2, 1, 1])
            since = http.top("s").json["asOf"]
            http.send("GET", f"{base('s')}/leaderboard/top?since={since}", headers={"Prefer": "wait=25"})
            eventually(lambda: shown("") == [2, 1, 2])
        eventually(lambda: shown("")[:2] == [0, 0])
        assert seen(port).total("leaderboard_streams_dropped_total") == 0


def test_streams_whose_clients_do_not_read_are_counted(world: World) -> None:
    port = free_port()
    many = [("s", f"{'x' * 100} {n}", 1_000 + n) for n in range(100)]
    world.submit(*many)
    world.carry_everything()
    with (
        carrying(world),
        serving(world, "/readyz", LEADERBOARD_METRICS_BIND=f"127.0.0.1:{port}", LEADERBOARD_SEND_S="1") as api,
        EventStream(api.port, "s", "limit=100", buffer=4_096),
    ):

        def dropped() -> float:
            world.submit(*(("s", user, 1_000) for _, user, _ in many))
            return seen(port).total("leaderboard_streams_dropped_total")

        assert eventually(dropped) == 1


def test_nothing_but_metrics_is_at_the_metrics_address(world: World) -> None:
    port = free_port()
    with serving(world, LEADERBOARD_METRICS_BIND=f"127.0.0.1:{port}"):
        seen(port)
        with Http(port) as http:
            assert http.get("/").status == 404
            assert http.ask("POST", "/metrics").status == 404


@pytest.mark.parametrize("bind", ["9000", "unix:/tmp/x", "host:"])
def test_a_metrics_address_that_is_none_is_a_usage_error(world: World, bind: str) -> None:
    done = leaderboard(world, "settings", LEADERBOARD_METRICS_BIND=bind)
    assert done.returncode == 2
    assert "LEADERBOARD_METRICS_BIND must be host:port" in done.stderr


def test_every_log_line_is_json_when_that_is_wanted(world: World) -> None:
    with serving(world, LEADERBOARD_LOG_FORMAT="json") as api, api.client() as http:
        assert http.post("s", "ada", 1).status == 202
        with relaying(world, LEADERBOARD_LOG_FORMAT="json") as pool:
            os.kill(min(workers_of(api)), signal.SIGKILL)
            lines = eventually(lambda: (t := api.command.text()).count("worker is up") == 2 and t.splitlines())
            assert isinstance(lines, list)
            for line in [*lines, *pool.lines()]:
                entry = json.loads(line)
                assert {"time", "level", "logger", "pid", "message"} <= entry.keys()
                assert not line.count("ada")
            assert any(json.loads(line)["logger"] == "gunicorn.error" for line in lines)
