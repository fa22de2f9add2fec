"""Reads the Dockerfile and carries its steps out without a container engine, in overlays of a Debian tree.

The stand-in for the official Python images is Debian's own Python under the names those images use, so the steps
run as they are written: the same COPY, the same RUN lines, the same order.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from deploy.tree import IMAGE_PACKAGES, connect_to_registries, overlay, run, tree

TOOLS = ("systemd-nspawn", "debootstrap")
NSPAWN = ("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe", "--resolv-conf=copy-host")


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile: its name in capitals and the rest of its logical line."""

    name: str
    text: str


@dataclass
class Stage:
    """A stage: its base image, its name and what is to be done."""

    base: str
    name: str
    steps: list[Instruction] = field(default_factory=list)

    def last(self, name: str) -> str:
        """The text of the last instruction of this name."""
        return [step.text for step in self.steps if step.name == name][-1]


def parse(text: str) -> list[Stage]:
    """The stages of a Dockerfile. ARG before the first FROM is applied to the FROM lines."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    logical = re.sub(r"\\\n", " ", "\n".join(lines)).splitlines()
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line in logical:
        if not line.strip():
            continue
        name, _, rest = line.strip().partition(" ")
        step = Instruction(name.upper(), rest.strip())
        if step.name == "FROM":
            base, _, alias = expand(step.text, arguments).partition(" AS ")
            stages.append(Stage(base, alias))
        elif stages:
            stages[-1].steps.append(step)
        elif step.name == "ARG":
            key, _, value = step.text.partition("=")
            arguments[key] = value
    return stages


def expand(text: str, values: dict[str, str]) -> str:
    """Replace `${NAME}`; an unknown name becomes nothing, as in a Dockerfile."""
    return re.sub(r"\$\{(\w+)\}", lambda match: values.get(match[1], ""), text)


def assignments(text: str) -> dict[str, str]:
    """`A=b C="d e"` as a dictionary."""
    return {key: quoted or plain for key, quoted, plain in re.findall(r'(\S+?)=(?:"([^"]*)"|(\S*))', text)}


@dataclass
class Built:
    """A stage that has been carried out: where its files are and how its processes run."""

    root: Path
    environment: dict[str, str]
    arguments: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "0"

    def command(self, *argv: str, hardened: bool = False, environment: dict[str, str] | None = None) -> list[str]:
        """The command line that runs `argv` in the image; `hardened` as docker-compose.yml does it."""
        settings = self.environment | (environment or {})
        options = [f"--setenv={key}={value}" for key, value in settings.items()]
        options += [f"--directory={self.root}", f"--chdir={self.workdir}"]
        options += [f"--machine=leaderboard-{uuid.uuid4().hex[:12]}", "--kill-signal=SIGTERM"]
        if hardened:
            options += ["--read-only", "--tmpfs=/tmp:mode=1777,size=64m"]
            drop = ["--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
            argv = ("setpriv", f"--reuid={self.user}", f"--regid={self.user}", *drop, *argv)
        return [*NSPAWN, *options, *argv]

    def run(self, *argv: str, check: bool = True, hardened: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command in the image and wait for it."""
        return run(*self.command(*argv, hardened=hardened), check=check)


@contextmanager
def build(dockerfile: Path) -> Iterator[Built]:
    """Carry out all stages of a Dockerfile with the directory it is in as context; yields the last one."""
    with ExitStack() as stack:
        done: dict[str, Built] = {}
        built: Built | None = None
        for stage in parse(dockerfile.read_text()):
            root = stack.enter_context(overlay(tree(IMAGE_PACKAGES)))
            connect_to_registries(root)
            (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
            path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
            built = done[stage.name] = Built(root, {"PATH": path})
            for step in stage.steps:
                carry_out(step, built, done, dockerfile.parent)
        assert built is not None, "the Dockerfile has no stage"
        yield built


def carry_out(step: Instruction, image: Built, others: dict[str, Built], context: Path) -> None:
    """Do one instruction. What only describes the image (LABEL, EXPOSE, CMD, ...) does nothing here."""
    if step.name == "RUN":
        run(*image.command("/bin/sh", "-c", step.text, environment=image.arguments))
    elif step.name == "COPY":
        copy(step.text, image, others, context)
    elif step.name in ("ENV", "ARG"):
        target = image.environment if step.name == "ENV" else image.arguments
        for key, value in assignments(step.text).items():
            target[key] = expand(value, image.arguments | image.environment)
    elif step.name == "WORKDIR":
        image.workdir = step.text
        inside(image, step.text).mkdir(parents=True, exist_ok=True)
    elif step.name == "USER":
        image.user = step.text.partition(":")[0]


def inside(image: Built, path: str) -> Path:
    return image.root / (Path(image.workdir) / path).relative_to("/")


def copy(text: str, image: Built, others: dict[str, Built], context: Path) -> None:
    """COPY with or without `--from`; .dockerignore is obeyed for what comes from the context."""
    words = text.split()
    stage = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else None
    *sources, target = words
    ignored = [] if stage else (context / ".dockerignore").read_text().split("\n")
    for source in sources:
        origin = others[stage].root / source.lstrip("/") if stage else context / source
        assert stage or sent(source, ignored), f".dockerignore keeps {source} from the build"
        goal = inside(image, target)
        if origin.is_dir():
            shutil.copytree(origin, goal, symlinks=True, dirs_exist_ok=True, ignore=skipper(ignored))
        else:
            shutil.copy2(origin, goal / origin.name if target.endswith("/") else goal)


def sent(source: str, ignored: list[str]) -> bool:
    """Whether a top-level name reaches the build: the last line that fits decides."""
    answer = True
    for line in ignored:
        if line and not line.startswith("#") and fnmatch(source, line.removeprefix("!")):
            answer = line.startswith("!")
    return answer


def skipper(ignored: list[str]) -> Callable[[Any, list[str]], set[str]]:
    """What `shutil.copytree` leaves out for the `**/` lines of .dockerignore."""
    return shutil.ignore_patterns(*(line[3:] for line in ignored if line.startswith("**/")))


def exec_form(text: str) -> list[str]:
    """The JSON list of CMD, ENTRYPOINT, or of the CMD within HEALTHCHECK."""
    words = json.loads(text[text.index("[") :])
    assert isinstance(words, list)
    return [str(word) for word in words]
