"""Debian trees for the deploy tests: made once with debootstrap, then used through throw-away overlays.

Nothing here is needed on a real host. The way to Debian's and Python's packages is taken from the machine that
runs the tests (apt and pip configuration, certificates), never from the roles or the Dockerfile.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SUITE: Final = "bookworm"
CACHE: Final = Path("/var/tmp")
CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
PIP_KEYS: Final = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "cert")
APT_KEYS: Final = ("Acquire::http::", "Acquire::https::", "Acquire::Check-", "Acquire::Languages")
HOST_PACKAGES: Final = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "python3",
    "python3-apt",
    "ca-certificates",
    "iproute2",
)
IMAGE_PACKAGES: Final = ("python3", "python3-venv", "python3-dev", "gcc", "ca-certificates")


def run(*command: str | Path, check: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command and keep its output; a failure shows what it printed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)  # type: ignore[call-overload]
    if check and done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done  # type: ignore[no-any-return]


def mirror() -> str:
    """The Debian archive this machine uses, from its own apt sources. Raises `AssertionError` where they name none."""
    listed = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN)", check=False).stdout
    for line in listed.splitlines():
        uri, _, origin = line.partition(" ")
        if origin == "Debian" and uri.rstrip("/").endswith("/debian"):
            return uri
    raise AssertionError("apt knows no archive of Debian here: `apt-get update` first")


def tree(packages: Sequence[str]) -> Path:
    """A Debian 12 tree with these packages, made on first use and then reused. Takes about a minute once."""
    key = hashlib.sha256(" ".join([SUITE, *packages]).encode()).hexdigest()[:12]
    made = CACHE / f"leaderboard-{SUITE}-{key}"
    with open(f"{made}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            part = Path(f"{made}.part")
            shutil.rmtree(part, ignore_errors=True)
            include = "--include=" + ",".join(packages)
            run("debootstrap", "--variant=minbase", include, SUITE, part, mirror())
            run("chroot", part, "apt-get", "clean")
            part.rename(made)
    return made


@contextmanager
def overlay(*lower: Path) -> Iterator[Path]:
    """A writable view of the trees (the first is the lowest); what is written is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="leaderboard-overlay-", dir=CACHE) as base:
        upper, work, root = (Path(base) / name for name in ("upper", "work", "root"))
        for directory in (upper, work, root):
            directory.mkdir(mode=0o755)
        layers = ":".join(str(path) for path in reversed(lower))
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={layers},upperdir={upper},workdir={work}", root)
        try:
            yield root
        finally:
            run("umount", root)


def give_name(root: Path, name: str) -> None:
    """Name a host, in the files that Debian's installer leaves."""
    (root / "etc/hostname").write_text(f"{name}\n")
    (root / "etc/hosts").write_text(f"127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n")


def connect_to_registries(root: Path) -> None:
    """Give the tree this machine's own way to Debian's and Python's packages."""
    security = mirror().rstrip("/").removesuffix("debian") + "debian-security"
    (root / "etc/apt/sources.list").write_text(
        f"deb {mirror()} {SUITE} main\ndeb {mirror()} {SUITE}-updates main\ndeb {security} {SUITE}-security main\n"
    )
    dump = run("apt-config", "dump").stdout.splitlines()
    kept = [line for line in dump if line.startswith(APT_KEYS)]
    (root / "etc/apt/apt.conf.d/99-tests").write_text("\n".join(kept) + "\n")
    # The disk of a host that is thrown away need not survive a power cut.
    (root / "etc/dpkg/dpkg.cfg.d/99-tests").write_text("force-unsafe-io\n")
    if CERTIFICATES.exists():
        shutil.copy(CERTIFICATES, root / CERTIFICATES.relative_to("/"))
        extra = Path("/usr/local/share/ca-certificates")
        if extra.is_dir():
            shutil.copytree(extra, root / extra.relative_to("/"), dirs_exist_ok=True)
    (root / "etc/pip.conf").write_text(pip_conf())


def pip_conf() -> str:
    """The part of this machine's pip configuration that says where packages are; files on its disk left out."""
    lines = ["[global]"]
    for row in run("python3", "-m", "pip", "config", "list").stdout.splitlines():
        name, _, value = row.partition("=")
        key = name.removeprefix("global.").removeprefix(":env:.")
        if key in PIP_KEYS and "file:" not in value:
            lines.append(f"{key} = {value.strip(chr(39))}")
    return "\n".join(dict.fromkeys(lines)) + "\n"


def missing(*tools: str) -> list[str]:
    """The tools that are not on this machine; booting hosts needs root as well."""
    absent = [tool for tool in tools if shutil.which(tool) is None]
    if os.geteuid() != 0:
        absent.append("root")
    return absent
