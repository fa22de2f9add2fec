"""Each release has a date, a commit or tag, and its migrations; every file that names the version names the newest."""

from __future__ import annotations

import itertools
import re
import subprocess
import tomllib
from datetime import date
from typing import NamedTuple

import pytest
from support.absent import absent
from support.repository import REPOSITORY

from board.pg.schema import migrations

VERSION = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
MIGRATION = re.compile(r"\b\d{4}_\w+")
UNRELEASED = "[Unreleased]\n"


class Release(NamedTuple):
    """A section of the changelog. `revision` is a commit or a tag; `upgrade` is its note."""

    version: str
    day: str
    revision: str
    migrations: tuple[str, ...]
    upgrade: str


def read(path: str) -> str:
    return (REPOSITORY / path).read_text(encoding="utf-8")


def paragraph(section: str, pattern: str) -> str:
    """The one paragraph that begins with the pattern, on one line, without the pattern."""
    found = [one for one in section.split("\n\n") if re.match(pattern, one)]
    assert len(found) == 1, f"{pattern!r} in {section[:80]!r}"
    return " ".join(re.sub(pattern, "", found[0], count=1).split())


def sections() -> list[str]:
    return re.split(r"^## ", read("CHANGELOG.md"), flags=re.M)[1:]


def unreleased_migrations() -> tuple[str, ...]:
    """Those of the section for the next release, which may be missing; it is the first one."""
    if not sections()[0].startswith(UNRELEASED):
        return ()
    return tuple(MIGRATION.findall(paragraph(sections()[0], "Migrations: ")))


def releases() -> list[Release]:
    """The newest first."""
    found = []
    for section in sections():
        if section.startswith(UNRELEASED):
            continue
        heading = re.match(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)\n\n", section)
        assert heading is not None, section[:80]
        named = re.search(r"^(?:Commit|Tag) `([^`]+)`\.", section, re.M)
        assert named is not None, heading[0]
        listed = paragraph(section, "Migrations: ")
        names = tuple(MIGRATION.findall(listed))
        assert bool(names) != (listed == "none."), listed
        found.append(Release(heading[1], heading[2], named[1], names, paragraph(section, "Upgrade: ")))
    return found


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def test_the_newest_release_is_the_version_of_the_project() -> None:
    assert releases()[0].version == VERSION


def test_releases_are_in_order_and_dated() -> None:
    found = releases()
    assert len(found) > 1
    for newer, older in itertools.pairwise(found):
        assert numbers(newer.version) > numbers(older.version)
        assert date.fromisoformat(newer.day) >= date.fromisoformat(older.day)


def test_a_tag_is_the_version() -> None:
    for release in releases():
        assert re.fullmatch(r"[0-9a-f]{7,40}", release.revision) or release.revision == f"v{release.version}"


def test_every_migration_belongs_to_one_release() -> None:
    """A new migration is named in the changelog's newest section, in the commit that brings it."""
    named = sorted([*unreleased_migrations(), *(name for release in releases() for name in release.migrations)])
    assert named == sorted(path.stem for path in (REPOSITORY / "board/pg/migrations").glob("*.sql"))
    assert len(named) == len(migrations())


def test_the_upgrade_page_has_the_migrations_of_each_release() -> None:
    page = read("docs/ops/upgrade.md")
    rows = re.findall(r"^\| (\d+\.\d+\.\d+) \| ([^|]+) \| ([^|]+) \|$", page, re.M)
    next_release = re.findall(r"^\| unreleased \| ([^|]+) \| [^|]+ \|$", page, re.M)
    assert tuple(MIGRATION.findall("".join(next_release))) == unreleased_migrations()
    found = releases()
    assert [version for version, _, _ in rows] == [release.version for release in found]
    for (_, listed, todo), release in zip(rows, found, strict=True):
        assert tuple(MIGRATION.findall(listed)) == release.migrations
        assert todo.strip() and release.upgrade


@pytest.mark.parametrize(
    ("path", "pattern", "places"),
    [
        ("Dockerfile", r"^ARG VERSION=(.+)$", 1),
        ("docker-compose.yml", r"\$\{APP_(?:IMAGE:-leaderboard-server:|VERSION:-)([^}]+)\}", 2),
        (".env.example", r"^APP_(?:IMAGE=leaderboard-server:|VERSION=)(.+)$", 2),
    ],
)
def test_container_files_name_the_version(path: str, pattern: str, places: int) -> None:
    assert re.findall(pattern, read(path), re.M) == [VERSION] * places


def test_the_upgrade_test_starts_from_the_release_before_this_one() -> None:
    previous, named = read("tests/upgrade/previous").strip(), releases()[1].revision
    command = ["git", "rev-parse", "--verify", "--quiet", f"{named}^{{commit}}"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode:
        absent(f"the commit of the previous release, {named}, is not in this clone")
    assert done.stdout.strip() == previous
