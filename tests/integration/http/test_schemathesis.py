"""Every operation of /openapi.json, as schemathesis makes requests of it: sound ones, broken ones, none with a 5xx."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.http import bearer
from support.processes import CALM, Api, relaying, serving
from support.repository import REPOSITORY
from support.world import world_on

from ctl.embedded import Embedded
from service.routes import OPERATIONS

SEED = 2
SHORT, WHOLE = "examples,fuzzing", "examples,coverage,fuzzing"
"""Phases of schemathesis: most of its time goes into the coverage of all that a schema says."""


@pytest.fixture(scope="session")
def own(servers: Embedded) -> Iterator[tuple[Api, str]]:
    """A server of its own, since every board and hundreds of keys are made and ended, and a key for everything."""
    with world_on(servers, redis_db=3) as world, relaying(world, 1, **CALM):
        key = world.key()
        with serving(world, "/readyz", LEADERBOARD_AUTH="keys") as api:
            yield api, key


def cases(api: Api, directory: Path, key: str | None, phases: str, examples: int) -> int:
    """Run schemathesis and assert that it found nothing; how many requests it made.

    The operations on one key come last, in a run that has not seen the list of keys: schemathesis asks for ids that it
    has seen in answers, and could end the key of the run.
    """
    runs = [run_schemathesis(api, directory, key, phases, examples, kind) for kind in ("--exclude", "--include")]
    # All but the document itself, which it has read and does not test.
    # And but the stream, whose answer has no end.
    assert sum(tested for tested, _ in runs) == len(OPERATIONS) - 2
    return sum(generated for _, generated in runs)


def run_schemathesis(
    api: Api, directory: Path, key: str | None, phases: str, examples: int, kind: str
) -> tuple[int, int]:
    """One run, without the operations on one key or with these alone: how many operations and requests it made."""
    command = [str(Path(sys.executable).with_name("st")), "--config-file", str(REPOSITORY / "tests/schemathesis.toml")]
    command += ["run", f"http://127.0.0.1:{api.port}/openapi.json", "--phases", phases]
    command += ["--seed", str(SEED), "--max-examples", str(examples), "--continue-on-failure", "--workers", "1"]
    command += [f"{kind}-path-regex", r"^/v1/keys/"]
    command += ["--exclude-operation-id", "streamTop"]
    command += [] if key is None else ["-H", f"Authorization: Bearer {key}"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("LEADERBOARD_")}
    done = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
    tested = re.search(r"Tested: (\d+)", done.stdout)
    generated = re.search(r"(\d+) generated", done.stdout)
    assert tested is not None and generated is not None, done.stdout[-2_000:]
    log = api.command.text()
    assert "Traceback" not in log and "failed" not in log, log[-4_000:]
    print(f"{generated[1]} requests")  # pytest -rP shows it
    return int(tested[1]), int(generated[1])


@pytest.mark.parametrize(
    ("phases", "examples", "least"), [(SHORT, 2, 15), pytest.param(WHOLE, 12, 400, marks=pytest.mark.walk)]
)
def test_every_answer_to_a_key_is_as_the_document_says(
    own: tuple[Api, str], tmp_path: Path, phases: str, examples: int, least: int
) -> None:
    api, key = own
    assert cases(api, tmp_path, key, phases, examples) > least


@pytest.mark.walk
def test_every_answer_to_nobody_is_as_the_document_says(own: tuple[Api, str], tmp_path: Path) -> None:
    """What needs a credential is refused, whatever else is wrong; nothing is written."""
    api, _ = own
    # Not the rows of periods and scores: those of periods that have ended are collected meanwhile.
    looks = [f"SELECT count(*) FROM {table}" for table in ("ledger", "season", "api_key")]
    looks += ["SELECT max(period_id) FROM period", "SELECT count(*) FROM api_key WHERE revoked_at IS NULL"]
    before = [api.world.value(look) for look in looks]
    assert cases(api, tmp_path, None, WHOLE, 5) > 300
    assert [api.world.value(look) for look in looks] == before


@pytest.mark.parametrize("name", ["%00", "a%00b", "%F0%9F%8F%86", "0000000000%0A", "00000000000"])
def test_what_can_be_no_key_is_none(own: tuple[Api, str], name: str) -> None:
    """PostgreSQL refuses a NUL, which looked as if it were down."""
    api, key = own
    with api.client() as http:
        for method, path in (("DELETE", f"/v1/keys/{name}"), ("POST", f"/v1/keys/{name}/rotate")):
            answer = http.ask(method, path, b"" if method == "POST" else None, bearer(key))
            assert (answer.status, answer.json["code"]) == (404, "key-not-found")
