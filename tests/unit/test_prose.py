"""Prose of the pages: at most 100 columns, things as subjects, names of today; links and figures that exist."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

from support.repository import REPOSITORY

PAGES: Final = sorted(
    {
        *(REPOSITORY / name for name in ("README.md", "SECURITY.md", "CHANGELOG.md")),
        *(page for folder in ("docs", "ansible", "bench") for page in (REPOSITORY / folder).rglob("*.md")),
    }
)
COLUMNS: Final = 100

GENERATED: Final = re.compile(
    r"^<!-- (?:[\w-]+: begin -->.*?<!-- [\w-]+: end|figures: written by .*?<!-- end of figures) -->$",
    re.MULTILINE | re.DOTALL,
)
"""Blocks that a program writes from a report."""
FENCED: Final = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
SPAN: Final = re.compile(r"`[^`]*`")
EXEMPT: Final = ("|", "#", "<!--", "<a ", "    ")
"""Tables, headings, comments, anchors, indented code."""

PEOPLE: Final = re.compile(r"\b(?:some|any|every|no)(?:body|one)\b|\bno one\b|\bwho(?:m|se)?ever\b", re.IGNORECASE)
"""Subjects that hide the thing which acts."""
OPENING: Final = re.compile(r"(?:^|(?<=[.!?:] ))(?:What|Who)\b(?![^.?!]*\?).*", re.MULTILINE)
"""A sentence, not a question, whose subject is a clause."""
EXCEPTIONS: Final[dict[str, set[str]]] = {}
"""Findings that a page may have all the same."""


def name(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def written(page: Path) -> str:
    """The page without the parts that are no prose of its author: generated blocks, and code between fences."""
    text = page.read_text(encoding="utf-8")
    return FENCED.sub("", GENERATED.sub("", text))


def sentences(text: str) -> str:
    """Paragraphs, items and cells, each on a line of its own; code and link targets left out."""
    text = SPAN.sub("", re.sub(r"\]\([^)]*\)", "]", text))
    text = re.sub(r"\n(?=[ ]*[^\s|#<*-])", " ", text)
    return re.sub(r"\n[ ]*[-*] (?:\*\*.*?\*\*:? ?)?|[ ]*\|[ ]*", "\n", text)


def test_lines_are_at_most_100_columns() -> None:
    # A line of one word cannot be broken: a link.
    long = [
        (name(page), line)
        for page in PAGES
        for line in written(page).splitlines()
        if len(line) > COLUMNS and not line.startswith(EXEMPT) and " " in line.strip().removeprefix("- ")
    ]
    assert not long


def test_the_subject_is_the_thing() -> None:
    for page in PAGES:
        text = sentences(written(page))
        found = {*PEOPLE.findall(text), *OPENING.findall(text)}
        assert not found - EXCEPTIONS.get(name(page), set()), name(page)


@cache
def anchors(page: Path) -> set[str]:
    """Of a page: those of its headings, as forges make them, and its own."""
    text = written(page)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", written(page)):
            path, _, anchor = target.partition("#")
            to = (page.parent / path).resolve() if path else page
            assert to.exists(), (name(page), target)
            assert not anchor or anchor in anchors(to), (name(page), target)


def test_a_decision_is_found_by_its_number_and_has_four_parts() -> None:
    text = (REPOSITORY / "docs" / "decisions.md").read_text(encoding="utf-8")
    records = re.split(r'^<a id="d(\d+)"></a>\n', text, flags=re.MULTILINE)[1:]
    numbers = [int(number) for number in records[::2]]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    for number, record in zip(numbers, records[1::2], strict=True):
        assert record.startswith(f"### D{number}: ")
        parts = re.findall(r"^- \*\*(\w+)\*\*: \S", record, re.MULTILINE)
        assert parts == ["Status", "Context", "Decision", "Consequence"], number
        assert f"[D{number}](#d{number})" in text


def test_decisions_that_pages_refer_to_exist() -> None:
    known = anchors(REPOSITORY / "docs" / "decisions.md")
    referred = {
        number for page in PAGES for number in re.findall(r"\bdecisions? (\d+)\b", page.read_text(encoding="utf-8"))
    }
    assert referred and {f"d{number}" for number in referred} <= known


def test_the_figures_of_the_readme_are_those_of_the_benchmarks() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## How fast it is")[2].partition("\n## ")[0]
    measured = (REPOSITORY / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)`[^|]*\|(.*)\|$", section, re.MULTILINE)
    assert len(rows) >= 5
    for row, cells in rows:
        (line,) = re.findall(rf"^\| `{row}` \|.*[0-9].*$", measured, re.MULTILINE)[:1]
        figures = re.findall(r"\d[\d,.]*\d", cells)
        assert figures and all(figure in line for figure in figures), row
    for word in re.findall(r"`(python -m bench [^`]*)`|commit ([0-9a-f]{12})|(\d{4}-\d\d-\d\d)", section):
        assert "".join(word) in measured


def test_the_disk_of_a_ledger_is_that_of_the_capacity_page() -> None:
    computed = (REPOSITORY / "docs" / "capacity.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| \w+ \| ([\d,]+) \| ([\d,]+), [\d,]+ \|.*\| ([\d.,]+ GiB) \| ([\d.]+ GiB) \|$", computed, re.M
    )
    install = (REPOSITORY / "docs" / "ops" / "install.md").read_text(encoding="utf-8")
    section = install.partition("## Disk")[2].partition("\n## ")[0]
    assert len(rows) == 3
    assert re.findall(r"^\| ([\d,]+) \| ([\d,]+) \| ([\d.,]+ GiB) \| ([\d.]+ GiB) \|$", section, re.M) == rows
    readme = " ".join((REPOSITORY / "README.md").read_text(encoding="utf-8").split())
    assert f"{rows[1][2]} for a million players and {rows[1][1]} submissions a second" in readme
    assert rows[1][0] == "1,000,000"


def test_the_figures_of_the_faq_are_those_of_the_capacity_page() -> None:
    faq = (REPOSITORY / "docs" / "faq.md").read_text(encoding="utf-8")
    computed = (REPOSITORY / "docs" / "capacity.md").read_text(encoding="utf-8")
    for row, told in (
        ("Redis, per player", "needs {} of Redis"),
        ("PostgreSQL, row of a player with index", "{} of PostgreSQL"),
    ):
        (bytes_each,) = re.findall(rf"^\| {row} \| (\d+ bytes) \|$", computed, re.MULTILINE)
        assert told.format(bytes_each) in faq.replace("\n", " ")
    (rate,) = re.findall(r"at ([\d,]+) players a second", faq)
    assert f"| `board_rebuild` | **{rate} /s**" in computed
