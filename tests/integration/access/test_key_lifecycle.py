"""Keys: made, shown once, rotated, revoked; effective in all workers within two seconds; they outlive PostgreSQL."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import threading
import time
from typing import Any

from support.http import JSON, Answer, Http, bearer, free_port
from support.processes import Api, Command, answers, children_of, environment, leaderboard, run, serving
from support.proxy import Proxy
from support.relays import carrying
from support.waiting import eventually
from support.world import World

from service.access import key_text as keytext

TOP = "/v1/seasons/s/leaderboard/top"
KEY = r"lb_[0-9A-Za-z]{10}_[0-9A-Za-z]{38}"


def id_of(key: str) -> str:
    return key.split("_")[1]


def keys(world: World, *arguments: str) -> Any:
    """`leaderboard key … --json`."""
    done = leaderboard(world, "key", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def status(http: Http, key: str, path: str = TOP) -> int:
    return http.ask("GET", path, None, bearer(key)).status


def admin(http: Http, key: str, method: str, path: str, body: Any = None) -> Answer:
    data = None if body is None else json.dumps(body).encode()
    return http.ask(method, f"/v1/keys{path}", data, {**bearer(key), **({} if body is None else JSON)})


# --- the command


def test_the_command_makes_lists_rotates_and_revokes(world: World) -> None:
    made = keys(world, "create", "--name", "game server", "--scopes", "submit,read", "--season", "s", "--days", "30")
    assert re.fullmatch(KEY, made["key"])
    first = made["made"]
    assert first["id"] == id_of(made["key"])
    assert (first["name"], first["scopes"], first["seasons"]) == ("game server", ["read", "submit"], ["s"])
    assert world.value("SELECT expires_at - created_at = interval '30 days' FROM api_key")
    successor = keys(world, "rotate", first["id"], "--grace", "60")
    assert successor["made"]["scopes"] == ["read", "submit"] and successor["made"]["seasons"] == ["s"]
    assert successor["made"]["expiresAt"] > first["expiresAt"]
    old, new = keys(world, "list")["keys"]
    assert old["successor"] == new["id"] and old["rotatedAt"]
    assert world.value(
        "SELECT expires_at BETWEEN now() AND now() + interval '60 s' FROM api_key WHERE id = %s", old["id"]
    )
    assert keys(world, "revoke", new["id"])["revokedAt"]
    again = keys(world, "revoke", new["id"])
    assert again["revokedAt"] == keys(world, "list")["keys"][1]["revokedAt"]


def test_only_a_digest_is_stored(world: World) -> None:
    key = keys(world, "create", "--name", "x", "--scopes", "read")["key"]
    row = world.rows("SELECT * FROM api_key")[0]
    secret = key.split("_")[2][: keytext.SECRET_LENGTH]
    assert bytes(row[1]) == hashlib.sha256(secret.encode()).digest()
    assert secret not in repr(row)
    assert key not in leaderboard(world, "key", "list").stdout + leaderboard(world, "key", "list", "--json").stdout


def test_people_get_a_table_and_scripts_the_key_alone(world: World) -> None:
    done = leaderboard(world, "key", "create", "--name", "ops", "--scopes", "admin")
    assert re.fullmatch(f"{KEY}\n", done.stdout)
    assert done.stdout.strip() not in done.stderr
    name = id_of(done.stdout)
    assert re.search(rf"{name}.*ops.*admin.*all.*valid", leaderboard(world, "key", "list").stdout)
    assert name in leaderboard(world, "key", "revoke", name).stderr
    assert "revoked" in leaderboard(world, "key", "list").stdout


UNFIT: list[tuple[list[str], str]] = [
    (["create", "--name", "x", "--scopes", "write"], "Invalid enum value 'write'"),
    (["create", "--name", "x", "--scopes", ""], "length >= 1"),
    (["create", "--name", "", "--scopes", "read"], "length >= 1"),
    (["create", "--name", "a\tb", "--scopes", "read"], "control character"),
    (["create", "--name", "x" * 101, "--scopes", "read"], "length <= 100"),
    (["create", "--name", "x", "--scopes", "read", "--season", ""], "length >= 1"),
    (["create", "--name", "x", "--scopes", "read", "--days", "0"], ">= 1"),
    (["create", "--name", "x", "--scopes", "read", "--days", "100000"], "<= "),
    (["create", "--scopes", "read"], "--name"),
    (["rotate", "0000000000"], "no key '0000000000'"),
    (["rotate", "0000000000", "--grace", "-1"], ">= 0"),
    (["revoke", "' OR true"], "no key"),
    ([], "VERB"),
]


def test_what_does_not_fit_is_said_in_one_line(world: World) -> None:
    for arguments, says in UNFIT:
        done = leaderboard(world, "key", *arguments)
        assert done.returncode == 2 and done.stdout == "", arguments
        assert says in done.stderr and len(done.stderr.strip().splitlines()) == 1, arguments
        assert world.value("SELECT count(*) FROM api_key") == 0, arguments


def test_only_a_valid_key_has_a_successor_and_only_one(world: World) -> None:
    rotated, revoked, expired = (id_of(world.key()) for _ in range(3))
    keys(world, "rotate", rotated)
    keys(world, "revoke", revoked)
    world.db.execute("UPDATE api_key SET expires_at = now() WHERE id = %s", (expired,))
    before = world.value("SELECT count(*) FROM api_key")
    for name in (rotated, revoked, expired):
        done = leaderboard(world, "key", "rotate", name, "--json")
        assert done.returncode == 2 and json.loads(done.stdout)["code"] == "key-not-rotatable"
    assert world.value("SELECT count(*) FROM api_key") == before


def test_the_dead_are_forgotten_after_a_long_time(world: World) -> None:
    gone, kept = id_of(world.key()), id_of(world.key())
    world.db.execute("UPDATE api_key SET revoked_at = now() - interval '401 days' WHERE id = %s", (gone,))
    world.db.execute("UPDATE api_key SET revoked_at = now() - interval '399 days' WHERE id = %s", (kept,))
    world.key()
    assert [row[0] for row in world.rows("SELECT id FROM api_key WHERE id = ANY (%s)", [gone, kept])] == [kept]


# --- over HTTP


def test_administration_over_http(guarded: Api) -> None:
    key = guarded.world.key("admin")
    with guarded.client() as http:
        guarded.command.until(lambda: admin(http, key, "GET", "").status == 200)
        made = admin(http, key, "POST", "", {"name": "n", "scopes": ["read"], "seasons": ["s"], "lifeS": 3600})
        assert made.status == 201 and made.headers["cache-control"] == "no-store"
        one = made.json["key"]
        # Where it was made it is known at once, or nearly: the worker looks without waiting for its turn.
        eventually(lambda: status(http, one) == 200, 2)
        turned = admin(http, key, "POST", f"/{id_of(one)}/rotate", {"graceS": 3600})
        assert turned.status == 201
        other = turned.json["key"]
        eventually(lambda: (status(http, one), status(http, other)) == (200, 200), 2)
        again = admin(http, key, "POST", f"/{id_of(one)}/rotate")
        assert (again.status, again.json["code"]) == (409, "key-not-rotatable")
        ended = admin(http, key, "DELETE", f"/{id_of(one)}")
        assert ended.status == 200 and ended.json["revokedAt"]
        eventually(lambda: (status(http, one), status(http, other)) == (401, 200), 2)
        listed = {entry["id"]: entry for entry in admin(http, key, "GET", "").json["keys"]}
        assert listed[id_of(one)]["successor"] == id_of(other) and "revokedAt" in listed[id_of(one)]
        assert admin(http, key, "DELETE", "/0000000000").json["code"] == "key-not-found"
        assert admin(http, key, "POST", "/0000000000/rotate").json["code"] == "key-not-found"


BAD_WISHES = [
    (b"", 400, "malformed-json"),
    (b"{", 400, "malformed-json"),
    (b"[]", 400, "invalid-body"),
    (b'{"name":"x"}', 400, "invalid-body"),
    (b'{"name":"x","scopes":[]}', 400, "invalid-body"),
    (b'{"name":"x","scopes":["root"]}', 400, "invalid-body"),
    (b'{"name":"x","scopes":"admin"}', 400, "invalid-body"),
    (b'{"name":"x\\u0000","scopes":["read"]}', 400, "invalid-body"),
    (b'{"name":"\\ud800","scopes":["read"]}', 400, "malformed-json"),
    (b'{"name":"x","scopes":["read"],"seasons":[]}', 400, "invalid-body"),
    (b'{"name":"x","scopes":["read"],"seasons":["a\\u0000"]}', 400, "invalid-body"),
    (b'{"name":"x","scopes":["read"],"lifeS":0}', 400, "invalid-body"),
    (b'{"name":"x","scopes":["read"],"lifeS":1e9}', 400, "invalid-body"),
    (b'{"name":"x","scopes":["read"],"digest":"00"}', 400, "invalid-body"),
    (b'{"name":"x","scopes":["read"]' + b" " * 200_000 + b"}", 413, "body-too-large"),
]


def test_a_bad_wish_makes_no_key(guarded: Api) -> None:
    key = guarded.world.key("admin")
    with guarded.client() as http:
        guarded.command.until(lambda: admin(http, key, "GET", "").status == 200)
        before = guarded.world.value("SELECT count(*) FROM api_key")
        for body, status, code in BAD_WISHES:
            answer = http.ask("POST", "/v1/keys", body, {**bearer(key), **JSON})
            assert (answer.status, answer.json["code"]) == (status, code), body[:80]
            assert guarded.world.value("SELECT count(*) FROM api_key") == before


def test_an_open_server_gives_no_keys_away(http: Http, api: Api) -> None:
    for method, path, body in (
        ("GET", "", None),
        ("POST", "", {"name": "x", "scopes": ["admin"]}),
        ("POST", "/0000000000/rotate", {}),
        ("DELETE", "/0000000000", None),
    ):
        answer = admin(http, "x", method, path, body)
        assert (answer.status, answer.json["code"]) == (403, "keys-are-off")
    assert api.world.value("SELECT count(*) FROM api_key") == 0


# --- everywhere, soon, and whatever happens


def test_what_changes_counts_in_every_worker_within_two_seconds(world: World) -> None:
    with serving(world, LEADERBOARD_AUTH="keys", LEADERBOARD_WORKERS="2") as api, carrying(world):
        world.key("admin")
        eventually(lambda: world.connections("leaderboard-access") == 2)
        key = world.key("read")
        until = time.monotonic() + 2

        def everywhere(wanted: int) -> bool:
            """Each new connection is taken by either worker."""
            seen = set()
            for _ in range(24):
                with api.client() as http:
                    seen.add(status(http, key))
            return seen == {wanted}

        eventually(lambda: everywhere(200), until - time.monotonic())
        # By hand, in SQL: the workers notice any change of the table.
        world.db.execute("UPDATE api_key SET revoked_at = now() WHERE id = %s", (id_of(key),))
        eventually(lambda: everywhere(401), 2)
        world.db.execute("UPDATE api_key SET revoked_at = NULL WHERE id = %s", (id_of(key),))
        eventually(lambda: everywhere(200), 2)
        world.db.execute("DELETE FROM api_key WHERE id = %s", (id_of(key),))
        eventually(lambda: everywhere(401), 2)


def test_a_key_expires_without_any_change(world: World) -> None:
    with serving(world, LEADERBOARD_AUTH="keys") as api, carrying(world), api.client() as http:
        key = world.key("read", life_s=3)
        made = time.monotonic()
        eventually(lambda: status(http, key) == 200, 2.5)
        answer = eventually(lambda: (a := http.ask("GET", TOP, None, bearer(key))).status == 401 and a, 10)
        assert answer.json["code"] == "credential-expired"
        assert 2.5 < time.monotonic() - made < 5


def test_the_last_known_keys_stay_in_force_without_postgres(world: World, postgres_proxy: Proxy) -> None:
    known = world.key("read")
    url = world.database_url(f"127.0.0.1:{postgres_proxy.port}")
    with (
        serving(world, "/readyz", LEADERBOARD_AUTH="keys", DATABASE_URL=url) as api,
        carrying(world),
        api.client() as http,
    ):
        eventually(lambda: status(http, known) == 200)
        postgres_proxy.cut()
        later = world.key("read")
        api.command.until(lambda: "the last known ones stay in force" in api.command.text())
        assert (status(http, known), status(http, later)) == (200, 401)
        world.db.execute("UPDATE api_key SET revoked_at = now() WHERE id = %s", (id_of(known),))
        postgres_proxy.open()
        eventually(lambda: (status(http, known), status(http, later)) == (401, 200))
        # The other way to fail: nothing comes back, and nothing says so.
        postgres_proxy.freeze()
        api.command.until(lambda: api.command.text().count("the last known ones stay in force") == 2)
        assert status(http, later) == 200
        world.db.execute("UPDATE api_key SET revoked_at = now() WHERE id = %s", (id_of(later),))
        postgres_proxy.open()
        eventually(lambda: status(http, later) == 401)


def test_a_worker_that_knows_no_keys_yet_refuses_all(world: World, postgres_proxy: Proxy) -> None:
    key = world.key()
    url = world.database_url(f"127.0.0.1:{postgres_proxy.port}")
    with serving(world, "/readyz", LEADERBOARD_AUTH="keys", DATABASE_URL=url) as api, carrying(world):
        (worker,) = children_of(api.command.process.pid)
        postgres_proxy.cut()
        os.kill(worker, signal.SIGKILL)
        api.command.until(lambda: worker not in children_of(api.command.process.pid))
        api.command.until(lambda: answers(api.port))
        with api.client() as http:
            answer = http.ask("GET", TOP, None, bearer(key))
            assert (answer.status, answer.json["code"]) == (503, "access-not-loaded")
            assert answer.headers["retry-after"]
            # It may be that of a public season.
            assert http.get(TOP).json["code"] == "access-not-loaded"
            assert http.get("/livez").status == 200 and http.get("/openapi.json").status == 200
            postgres_proxy.open()
            eventually(lambda: status(http, key) == 200)


# --- the first start


def printed(command: Command) -> list[str]:
    return re.findall(rf"LEADERBOARD_KEY=({KEY})", command.text())


def test_the_first_start_makes_one_key_and_says_it_once(world: World) -> None:
    ports = [free_port() for _ in range(3)]
    env = world.environment(LEADERBOARD_AUTH="keys", LEADERBOARD_WORKERS="1")
    with (
        Command(["serve"], {**env, "LEADERBOARD_BIND": f"127.0.0.1:{ports[0]}"}) as one,
        Command(["serve"], {**env, "LEADERBOARD_BIND": f"127.0.0.1:{ports[1]}"}) as other,
        carrying(world),
    ):
        for command, port in ((one, ports[0]), (other, ports[1])):
            command.until(lambda port=port: answers(port, "/readyz"))  # type: ignore[misc]
        (key,) = printed(one) + printed(other)
        for port in ports[:2]:
            with Http(port) as http:
                eventually(lambda http=http: status(http, key) == 200)  # type: ignore[misc]
                assert admin(http, key, "GET", "").json["keys"][0]["name"] == "first"
                # Without it nothing is answered.
                assert http.get(TOP).status == 401
        keys(world, "revoke", id_of(key))
        with Command(["serve"], {**env, "LEADERBOARD_BIND": f"127.0.0.1:{ports[2]}"}) as third:
            third.until(lambda: answers(ports[2], "/readyz"))
            assert printed(third) == []
        assert world.value("SELECT count(*) FROM api_key") == 1


def test_many_first_starts_at_the_same_moment_make_one_key(world: World) -> None:
    from board.audit import Act
    from board.pg.connections import connect
    from service.keys import store as keystore

    made: list[Any] = []
    together = threading.Barrier(8)

    def start() -> None:
        with connect(world.settings.database_url, "leaderboard-ctl") as db:
            together.wait()
            made.append(keystore.create_first_key(db, Act()))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8 and len([key for key in made if key is not None]) == 1
    assert world.value("SELECT count(*) FROM api_key") == 1


def test_a_start_makes_no_key_where_one_exists(guarded: Api) -> None:
    assert printed(guarded.command) == []
    assert "OPEN:" not in guarded.command.text()


def test_an_open_server_says_so(api: Api) -> None:
    assert f"OPEN: every client that reaches 127.0.0.1:{api.port} may read, submit and reset" in api.command.text()


def test_open_needs_a_second_word_beyond_loopback(world: World) -> None:
    env = world.environment(LEADERBOARD_AUTH="open", LEADERBOARD_BIND=f"0.0.0.0:{free_port()}")
    done = run(["serve"], env)
    assert done.returncode == 2 and "LEADERBOARD_OPEN_TO_THE_WORLD=yes" in done.stderr


def test_no_key_is_ever_in_the_log_or_in_an_answer(guarded: Api) -> None:
    key = guarded.world.key("admin")
    with guarded.client() as http:
        guarded.command.until(lambda: admin(http, key, "GET", "").status == 200)
        assert key.split("_")[2] not in admin(http, key, "GET", "").body.decode()
        for path in ("/nowhere", TOP, "/v1/keys/x/rotate"):
            assert key not in http.ask("POST", path, b"{", {**bearer(key), **JSON}).body.decode()
    assert key.split("_")[2] not in guarded.command.text()


def test_the_key_of_a_client_is_not_shown_among_the_settings() -> None:
    key = keytext.make_key()[0]
    done = run(["settings"], environment(LEADERBOARD_KEY=key))
    assert done.returncode == 0 and key not in done.stdout and "LEADERBOARD_KEY" in done.stdout


def test_demo_plays_with_a_key_and_says_when_it_needs_one(guarded: Api) -> None:
    world = guarded.world
    arguments = ["demo", "--url", f"http://127.0.0.1:{guarded.port}", "--seconds", "1", "--season", "demo", "--json"]
    without = run(arguments, world.environment())
    assert without.returncode == 2 and "LEADERBOARD_KEY" in without.stderr
    key = world.key("read", "submit")
    with guarded.client() as http:
        eventually(lambda: status(http, key) == 200)
    done = run(arguments, world.environment(LEADERBOARD_KEY=key))
    assert done.returncode == 0 and json.loads(done.stdout)["accepted"] > 0


def test_no_refused_credential_reaches_the_log(world: World) -> None:
    with serving(world, LEADERBOARD_LOG_LEVEL="debug", LEADERBOARD_AUTH="keys") as api, api.client() as http:
        secret = "Zq3" * 12 + "Zq"
        for credential in (f"Bearer lb_0123456789_{secret}", f"Bearer {secret}", f"Basic {secret}"):
            for path in ("/v1/seasons/x/leaderboard/top", "/v1/seasons/x%20y/leaderboard/top", "/v1/keys"):
                answer = http.ask("GET", path, headers={"Authorization": credential})
                assert answer.status == 401 and secret not in answer.body.decode() + str(answer.headers)
        assert secret not in api.command.text()
