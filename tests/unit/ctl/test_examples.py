"""`--help`: every command shows examples, and every example is one."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator

import pytest

from board.config.settings import setting_specs
from ctl.examples import EXAMPLES
from ctl.keying import SCOPES
from ctl.main import overridden, parser


def commands(of: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command and verb below a parser, and the parser itself, by its name."""
    yield name, of
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub, made in action.choices.items():
                yield from commands(made, f"{name} {sub}".strip())


PARSERS = dict(commands(parser()))
LINES = [(name, line) for name, examples in EXAMPLES.items() for line, _ in examples]


def test_every_command_has_examples_and_shows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert PARSERS.keys() == EXAMPLES.keys()
    for name, made in PARSERS.items():
        text = made.format_help()
        assert EXAMPLES[name]
        for line, meaning in EXAMPLES[name]:
            assert f"\n  {line}\n      {meaning}\n" in text
        assert max(map(len, text.splitlines())) <= 95, name
        assert text.endswith("docs/settings.md explains them.\n")


@pytest.mark.parametrize(("name", "line"), LINES, ids=[line for _, line in LINES])
def test_every_example_is_understood_and_is_of_its_command(name: str, line: str) -> None:
    words = shlex.split(line)
    env = {}
    while (found := re.fullmatch(r"([A-Z_]+)=(.*)", words[0])) is not None:
        env[found[1]] = found[2]
        del words[0]
    assert env.keys() <= {doc.env for doc in setting_specs().values()}
    assert words.pop(0) == "leaderboard"
    if ">" in words:
        del words[words.index(">") :]
    args = parser().parse_args(words)
    asked = f"{args.command} {getattr(args, 'verb', '')}".strip()
    assert asked.startswith(name)
    overridden(env, args)
    assert set(getattr(args, "scopes", "").split(",")) <= {*SCOPES, ""}


def test_an_example_that_is_none_would_be_found() -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(shlex.split("verify --seasons"))
