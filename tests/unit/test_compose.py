"""docker-compose.yml and .env.example have every setting of docs/settings.md, with its default."""

from __future__ import annotations

import re
from pathlib import Path

from support.repository import REPOSITORY

from board.config.settings import Settings, setting_specs

COMPOSE = (REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")
EXAMPLE = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
DEFAULTS = {spec.env: str(getattr(Settings(data_dir=Path("x")), field)) for field, spec in setting_specs().items()}
FIXED = {
    "DATABASE_URL",
    "REDIS_URL",
    "LEADERBOARD_BIND",
    "LEADERBOARD_METRICS_BIND",
    "LEADERBOARD_RELAY_METRICS_BIND",
}
"""Where the servers and ports of the project's own network are: the Compose file decides that."""
OF_RUN = {"LEADERBOARD_DATA_DIR", "LEADERBOARD_SERVERS"}
"""Settings of the embedded servers, which only `leaderboard run` has."""


def passed() -> dict[str, str]:
    """The variables of the services: name -> the text of the Compose file."""
    block = COMPOSE.partition("  environment: &environment\n")[2]
    found = {}
    for line in block.splitlines():
        if not line.startswith("    "):
            break
        if match := re.fullmatch(r"    (\w+): (.*)", line):
            found[match[1]] = match[2]
    return found


def test_compose_passes_every_setting() -> None:
    assert passed().keys() == DEFAULTS.keys() - OF_RUN
    page = (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE)) == passed().keys() | OF_RUN


def test_compose_has_the_defaults_of_the_code() -> None:
    for name, text in passed().items():
        if name not in FIXED:
            assert text == f"${{{name}:-{DEFAULTS[name]}}}"


def test_the_example_has_every_setting_with_its_default() -> None:
    offered = dict(re.findall(r"^((?:LEADERBOARD|DATABASE|REDIS)_\w+)=(.*)$", EXAMPLE, re.MULTILINE))
    del offered["REDIS_PASSWORD"], offered["REDIS_IMAGE"], offered["REDIS_MEMORY"]
    assert offered == {name: value for name, value in DEFAULTS.items() if name not in FIXED | OF_RUN}


def test_images_have_exact_versions() -> None:
    images = re.findall(r"image: \$\{\w+:-([^}]+)\}", COMPOSE)
    assert len(images) >= 4
    images += [
        re.sub(r"\$\{PYTHON_VERSION\}", python(), base) for base in re.findall(r"^FROM (\S+)", dockerfile(), re.M)
    ]
    for image in images:
        assert re.search(r":v?\d+\.\d+\.?\d*(?:-|$)", image), image
        if "postgres" not in image:  # which has two numbers
            assert re.search(r":v?\d+\.\d+\.\d+(?:-|$)", image), image
    assert f"PYTHON_VERSION:-{python()}}}" in COMPOSE and f"\nPYTHON_VERSION={python()}\n" in EXAMPLE


def python() -> str:
    """The version of Python in the image."""
    (found,) = re.findall(r"^ARG PYTHON_VERSION=(\S+)$", dockerfile(), re.MULTILINE)
    return str(found)


def dockerfile() -> str:
    return (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")


def test_podman_and_buildah_build_the_same_file() -> None:
    """Nothing of BuildKit alone: no mounts, no here-documents, no links; and a format with a health check."""
    steps = [line for line in dockerfile().splitlines() if not line.startswith("#")]
    assert not [line for line in steps if re.search(r"--(?:mount|link|checksum|network|security)\b|<<", line)]
    page = (REPOSITORY / "docs" / "ops" / "containers.md").read_text(encoding="utf-8")
    assert "podman build --format docker" in page
    for image in ("postgres", "valkey/valkey"):
        (version,) = re.findall(rf":-{image}:([^}}]+)}}", COMPOSE)
        assert f"{image}:{version}" in page
