"""Retired names stay out: one word for one thing, in code, SQL, scripts and pages (docs/glossary.md)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec
import pytest
from support.repository import REPOSITORY

FOLDERS: Final = ("_speedups", "ansible", "bench", "board", "ctl", "docs", "monitoring", "relay", "service", "tests")
CODE: Final = (".py", ".pyi", ".pyx", ".pxi", ".sql", ".lua")
PAGES: Final = (".md",)


class Retired(msgspec.Struct, frozen=True):
    """A retired name as a regular expression, and the word of today."""

    pattern: str
    today: str
    suffixes: tuple[str, ...] = (*CODE, *PAGES)


def word(text: str) -> str:
    """The word in any case, also as a part of an identifier in snake_case; `indoor` and `pipeline` are other words."""
    return rf"(?i)(?<![A-Za-z]){text}(?![A-Za-z])"


def name(text: str) -> str:
    """The identifier as it was written; ordinary words in lower case are other words."""
    return rf"(?<![\w\"'`.-]){text}(?!\w)"


RETIRED: Final = (
    Retired(word("doors?"), "connection limits; in tests: proxy"),
    Retired(word("(?:(?:express|ordinary) )?lanes?"), "fast path, ordinary path"),
    Retired(word("parcels?"), "batch request"),
    Retired(word("carriers?"), "RelaySession, relay/batch.py"),
    Retired(word("indigestible"), "StatementRejected"),
    Retired(word("(?:are|is|was|were|be|been) made equal"), "consistent, brought in step"),
    Retired(r"\bStrangers\b", "OriginCheck"),
    Retired(r"\bGate\b|\b_?gate\b(?=[.:,)\]=]| [=:])", "Authorizer", CODE),
    Retired(name("Guard"), "AuthMiddleware", CODE),
    Retired(name("Cors"), "CorsMiddleware", CODE),
    Retired(name(r"Part(?=[\[(:,\]) ]*(?:[\[(:,\])]|=|$))"), "BatchItem", CODE),
    Retired(name("Windows"), "RankReads", CODE),
    Retired(name("Pipe"), "AsyncRedis", CODE),
    Retired(name("Link"), "SyncRedis", CODE),
    Retired(name("Follower"), "Refresher"),
    Retired(name("Keeper"), "ExporterSupervisor"),
    Retired(name("Post"), "ChildSpec", CODE),
    Retired(name("Doc"), "SettingSpec", CODE),
    Retired(name("Collision"), "IdempotencyConflict"),
    Retired(r"\bitem\.print\b|\bItem\.print\b", "fingerprint"),
    Retired(r"\b(?:item|Item)\.name\(", "set_key()"),
    Retired(r"\bboard\.keys\b", "board.redis.keyspace"),
)

EXCEPTIONS: Final = {
    "tests/unit/test_vocabulary.py": "this table",
    "docs/glossary.md": "its own table of retired names tells what they became",
}
"""Files that may have retired names, and why. CHANGELOG.md is of releases with the old names, and is not looked at."""


def files() -> list[Path]:
    """Code and pages of the repository."""
    pages = [path for path in REPOSITORY.glob("*.md") if path.name != "CHANGELOG.md"]
    found = [path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*")]
    return sorted([*pages, *(path for path in found if path.suffix in (*CODE, *PAGES))])


def hits(path: Path, text: str) -> list[str]:
    """Lines with a retired name."""
    found = []
    for retired in RETIRED:
        if path.suffix in retired.suffixes:
            # PERF: over the whole text, which takes a tenth of the time of a search in each line.
            for match in re.finditer(retired.pattern, text, re.MULTILINE):
                number = text.count("\n", 0, match.start()) + 1
                found.append(f"{path.relative_to(REPOSITORY)}:{number}: {match[0]!r} is {retired.today} today")
    return found


def test_no_retired_name_is_used() -> None:
    found = []
    for path in files():
        if str(path.relative_to(REPOSITORY)) not in EXCEPTIONS:
            found += hits(path, path.read_text(encoding="utf-8"))
    assert not found, "\n".join(found)


def test_only_the_glossarys_table_of_retired_names_has_them() -> None:
    page = REPOSITORY / "docs/glossary.md"
    before, _, after = page.read_text(encoding="utf-8").partition("\n## Retired names\n")
    assert hits(page, before) == []
    assert hits(page, after), "the table tells what the retired names became"


def test_every_exception_is_needed() -> None:
    for name in EXCEPTIONS:
        path = REPOSITORY / name
        assert hits(path, path.read_text(encoding="utf-8")), f"{name} has no retired name"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("class Door:", True),
        ("def test(postgres_door)", True),
        ("an indoor game", False),
        ("the express lane", True),
        ("lanes", True),
        ("a plane", False),
        ("from x import Link", True),
        ("Linking, links, pipe(2), pipeline, Pipeline", False),
        ("class Post(Struct):", True),
        ("POST /v1, posted, post(1)", False),
        ("self.gate.check()", True),
        ("aggregate, investigate, a gateway", False),
        ("part of it; Parts; partition", False),
        ("-> Part:", True),
        ("both are made equal", True),
        ("IdempotencyConflict", False),
    ],
)
def test_words_are_told_apart(text: str, found: bool) -> None:
    assert bool(hits(REPOSITORY / "x.py", text)) is found
