"""Clients that generators make from the document of a running server hold the conversation of README.md."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from support.absent import absent
from support.processes import Api
from support.repository import REPOSITORY

CLIENTS: Final = REPOSITORY / "tests" / "clients"
WITHIN_S: Final = 180


def call(*words: str | Path, at: Path) -> str:
    """Run a tool in a directory; it must succeed. Both streams of its output."""
    # Generators call programs of their own environment, such as ruff.
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(at)}
    done = subprocess.run(
        words, cwd=at, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=WITHIN_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def document(guarded: Api, tmp_path: Path) -> Path:
    """The document as the server gives it."""
    path = tmp_path / "openapi.json"
    with guarded.client() as http:
        path.write_bytes(http.get("/openapi.json").body)
    return path


@pytest.fixture
def arguments(guarded: Api, season: str) -> list[str]:
    """Of a conversation: the server's URL, a key with all scopes, a season."""
    key = guarded.world.key()
    guarded.until_known(key)
    return [f"http://127.0.0.1:{guarded.port}", key, season]


@pytest.fixture
def typescript(tmp_path: Path) -> Path:
    """A copy of the TypeScript project, with the packages of its lock."""
    if not (shutil.which("node") and shutil.which("npm")):
        absent("node and npm are missing (Debian: nodejs npm)")
    project = tmp_path / "typescript"
    shutil.copytree(CLIENTS / "typescript", project, ignore=shutil.ignore_patterns("node_modules"))
    done = subprocess.run(["npm", "ci"], cwd=project, capture_output=True, text=True, timeout=WITHIN_S)
    if done.returncode:
        absent(f"npm cannot install the packages of {CLIENTS / 'typescript'}: {done.stderr[-2000:]}")
    return project


@pytest.mark.walk
def test_typescript(typescript: Path, document: Path, arguments: list[str]) -> None:
    tools = typescript / "node_modules" / ".bin"
    call(tools / "openapi-typescript", document, "--output", "schema.d.ts", at=typescript)
    call(tools / "tsc", at=typescript)
    call("node", "conversation.js", *arguments, at=typescript)


@pytest.mark.walk
def test_python(document: Path, arguments: list[str]) -> None:
    at = document.parent
    (at / "config.yml").write_text("package_name_override: leaderboard_client\n")
    call(
        Path(sys.executable).with_name("openapi-python-client"),
        *("generate", "--path", document, "--meta", "none", "--config", "config.yml", "--fail-on-warning"),
        *("--output-path", at / "leaderboard_client"),
        at=at,
    )
    call(sys.executable, CLIENTS / "python" / "conversation.py", *arguments, at=at)
