"""The locks hold what a deployment installs, as pyproject.toml wants it, with hashes, and no address."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.absent import absent
from support.repository import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
WANTED = {
    "runtime": PROJECT["project"]["dependencies"],
    "otel": PROJECT["project"]["optional-dependencies"]["otel"],
    "build": [*PROJECT["build-system"]["requires"], "build"],
}
REGISTRIES = ("pypi", "pythonhosted", "debian", "npmjs", "docker", "ghcr")


def text(name: str) -> str:
    return (REPOSITORY / "locks" / f"{name}.txt").read_text(encoding="utf-8")


def pinned(name: str) -> dict[str, str]:
    """Package -> version."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", text(name), re.M))


@pytest.mark.parametrize("name", WANTED)
def test_what_the_project_needs_is_locked(name: str) -> None:
    """After a change of pyproject.toml: `make lock`."""
    locked = pinned(name)
    for requirement in map(Requirement, WANTED[name]):
        assert requirement.specifier.contains(locked.get(requirement.name.lower(), "nothing")), requirement


def test_an_extra_changes_nothing_that_is_installed() -> None:
    """`locks/otel.txt` is installed behind `locks/runtime.txt`, into the same environment."""
    runtime, otel = pinned("runtime"), pinned("otel")
    assert {name: version for name, version in otel.items() if runtime.get(name, version) != version} == {}
    assert otel.keys() - runtime.keys()


@pytest.mark.parametrize("name", WANTED)
def test_every_package_has_hashes_and_no_address(name: str) -> None:
    blocks = re.split(r"\n(?! )", text(name).strip())
    packages = [block for block in blocks if not block.startswith("#")]
    assert len(packages) == len(pinned(name))
    for block in packages:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block
    assert "://" not in text(name) and "--index" not in text(name) and "--find-links" not in text(name)


def test_no_file_names_the_host_of_a_registry() -> None:
    """Where packages come from is a setting of the machine, not of the project."""
    # In pieces, so that this file is not found itself.
    hosts = [".".join(pair) for pair in zip(REGISTRIES, ("org", "org", "org/debian", "org", "io", "io"), strict=True)]
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True)
    if listed.returncode:
        absent("not a git checkout")
    names = [name for name in listed.stdout.split("\0") if name and (REPOSITORY / name).is_file()]
    assert len(names) > 100
    found = [(name, host) for name in names for host in hosts if host.encode() in (REPOSITORY / name).read_bytes()]
    assert found == []


@pytest.mark.parametrize(
    ("tool", "status", "says"),
    [
        ("echo 'No known vulnerabilities found' >&2", 0, "no known vulnerability"),
        ("echo 'falcon 4.4.0 PYSEC-1'; echo 'Found 1 known vulnerability in 1 package' >&2; exit 1", 1, "falcon 4.4.0"),
        ("echo a trace >&2; echo 'ConnectionError: no such host' >&2; exit 1", 2, "NOT AUDITED: "),
        ("exit 1", 2, "NOT AUDITED: "),
    ],
)
def test_an_audit_that_could_not_be_made_is_no_audit(tmp_path: Path, tool: str, status: int, says: str) -> None:
    """What make does with each way in which pip-audit ends; pip-audit itself needs an index that answers."""
    (tmp_path / "build").mkdir()
    stand_in = tmp_path / "pip-audit"
    stand_in.write_text(f"#!/bin/sh\n{tool}\n")
    stand_in.chmod(0o755)
    command = ["make", "-f", REPOSITORY / "Makefile", "-o", ".venv/.supply", "audit", f"BIN={tmp_path}"]
    # Called by `make test`, it would be a make below a make, which says where it goes in and out.
    env = {name: value for name, value in os.environ.items() if name not in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS")}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.returncode == 0) == (status == 0)
    assert done.stdout.startswith(says) and len(done.stdout.splitlines()) == 1
    assert status == 0 or f"Error {status}" in done.stderr
