"""The locks hold every package that is installed, as pyproject.toml wants it, with hashes and without an address."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support.absent import absent
from support.repository import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
NAME = PROJECT["project"]["name"]
EXTRAS = PROJECT["project"]["optional-dependencies"]
WANTED = {
    "build": [*PROJECT["build-system"]["requires"], "build"],
    "runtime": PROJECT["project"]["dependencies"],
    **EXTRAS,
}
PYTHONS = ("3.11", "3.12", "3.13")
REGISTRIES = ("pypi", "pythonhosted", "debian", "npmjs", "docker", "ghcr")


def text(name: str) -> str:
    return (REPOSITORY / "locks" / f"{name}.txt").read_text(encoding="utf-8")


def blocks(name: str) -> list[str]:
    """A lock's packages, each with its marker and its hashes."""
    return [block for block in re.split(r"\n(?! )", text(name).strip()) if not block.startswith("#")]


def pinned(name: str, python: str) -> dict[str, str]:
    """Package -> version that a lock installs on Linux with a Python of this minor version."""
    environment = {**default_environment(), "python_version": python, "python_full_version": f"{python}.9"}
    found = [Requirement(block.split(" \\\n")[0]) for block in blocks(name)]
    here = [one for one in found if one.marker is None or one.marker.evaluate(environment)]
    assert len(here) == len({one.name for one in here})
    return {one.name: str(one.specifier).removeprefix("==") for one in here}


def wanted(name: str, python: str) -> list[Requirement]:
    """The requirements of pyproject.toml that a lock is made from. An extra named by another has its own lock."""
    listed = [Requirement(one) for one in WANTED[name]]
    return [
        one
        for one in listed
        if one.name != NAME and (one.marker is None or one.marker.evaluate({"python_version": python}))
    ]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", WANTED)
def test_every_requirement_is_locked_at_a_version_that_fits(name: str, python: str) -> None:
    """After a change of pyproject.toml: `make lock`."""
    locked = pinned(name, python)
    assert wanted(name, python)
    for requirement in wanted(name, python):
        version = locked.get(canonicalize_name(requirement.name), "nothing")
        assert requirement.specifier.contains(version), requirement


def test_each_lock_belongs_to_a_part_of_pyproject() -> None:
    assert {path.stem for path in (REPOSITORY / "locks").iterdir()} == set(WANTED)


@pytest.mark.parametrize("python", PYTHONS)
def test_no_two_locks_want_different_versions_of_a_package(python: str) -> None:
    """All of them are installed into the same environment, one behind the other."""
    for one, other in itertools.combinations(WANTED, 2):
        here, there = pinned(one, python), pinned(other, python)
        differing = {name for name in here.keys() & there.keys() if here[name] != there[name]}
        assert differing == set(), (one, other)


@pytest.mark.parametrize("name", WANTED)
def test_every_package_has_hashes_and_no_address(name: str) -> None:
    for block in blocks(name):
        assert re.match(r"[a-z0-9-]+==[^ ]+", block), block
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block
    assert "://" not in text(name) and "--index" not in text(name) and "--find-links" not in text(name)


def test_the_packages_of_the_typescript_client_are_pinned_with_hashes_and_no_address() -> None:
    folder = REPOSITORY / "tests" / "clients" / "typescript"
    lock = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))
    root = lock["packages"].pop("")
    assert (
        root["devDependencies"] == json.loads((folder / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    )
    assert all(re.fullmatch(r"[0-9.]+", version) for version in root["devDependencies"].values())
    assert len(lock["packages"]) > 10
    for name, package in lock["packages"].items():
        assert package["integrity"].startswith("sha512-") and "resolved" not in package, name


def test_make_installs_from_locks_only() -> None:
    """Each `pip install` of the Makefile checks hashes, or installs this project alone."""
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    assert "LOCKED := $(INSTALL) --require-hashes\n" in makefile
    commands = [line.strip() for line in makefile.splitlines() if re.search(r"\$\(INSTALL\)|pip.* install ", line)]
    direct = [line for line in commands if "--require-hashes" not in line and not line.startswith("INSTALL :=")]
    assert direct == ["@PYTHONWARNINGS=ignore $(INSTALL) --no-deps -e ."]


def test_no_file_names_the_host_of_a_registry() -> None:
    """The machine's settings say where packages come from, not the project."""
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
def test_an_audit_that_failed_does_not_pass(tmp_path: Path, tool: str, status: int, says: str) -> None:
    """`make audit` for each way in which pip-audit ends. A stand-in ends so: pip-audit itself needs an index."""
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
