"""SECURITY.md names the tests of each defence; they are there."""

from __future__ import annotations

import re

from support.repository import REPOSITORY

PAGE = (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")


def test_every_defence_names_tests_that_are_there() -> None:
    defended = PAGE.partition("## What is defended, and how")[2].partition("\n## ")[0]
    items = re.split(r"\n- ", defended)[1:]
    assert len(items) >= 10
    for item in items:
        named = re.search(r"\[([^\]]+)\]\s*$", item)
        assert named is not None, item
        directory = ""
        for name in re.split(r"[,;] ", named[1].replace("\n", "")):
            place, slash, file = name.strip().rpartition("/")
            directory = place if slash else directory
            assert (REPOSITORY / "tests" / directory / file).exists(), (item, name)
