"""`--help`: every command shows examples, and every example is one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest

from board.config.settings import setting_specs
from ctl.command import Command, Invocation
from ctl.main import COMMANDS, LEADERBOARD
from ctl.parser import build_parser
from service.contract.scopes import SCOPES


def commands(command: Command, name: str = "") -> Iterator[tuple[str, Command]]:
    """A command and all below it, by the words that call them."""
    yield name, command
    for sub in command.subcommands:
        yield from commands(sub, f"{name} {sub.name}".strip())


ALL = dict(commands(LEADERBOARD))
LINES = [(name, example.line) for name, command in ALL.items() for example in command.examples]


@pytest.mark.parametrize("name", ALL, ids=lambda name: name or "leaderboard")
def test_every_command_has_examples_and_shows_them(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        build_parser(LEADERBOARD).parse_args([*name.split(), "--help"])
    text = capsys.readouterr().out
    command = ALL[name]
    assert command.examples
    for line, purpose in command.examples:
        assert f"\n  {line}\n      {purpose}\n" in text
    for sub in command.subcommands:
        assert re.search(rf"\n    {sub.name}\s", text)
    assert max(map(len, text.splitlines())) <= 95
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
    parser = build_parser(LEADERBOARD)
    args = parser.parse_args(words)
    asked = f"{args.command} {getattr(args, 'verb', '')}".strip()
    assert asked.startswith(name)
    Invocation(args.chosen, args, env, parser).settings()
    assert set(getattr(args, "scopes", "").split(",")) <= {*SCOPES, ""}


def test_every_command_runs_or_has_subcommands() -> None:
    assert all((command.run is None) == bool(command.subcommands) for command in ALL.values())
    assert {command.name for command in COMMANDS} == {name for name in ALL if name and " " not in name}


def test_an_option_of_a_setting_overrides_the_environment() -> None:
    parser = build_parser(LEADERBOARD)
    env = {"LEADERBOARD_WORKERS": "3", "LEADERBOARD_RELAYS": "4"}
    args = parser.parse_args(["run", "--workers", "7", "--data-dir", "/x"])
    settings = Invocation(args.chosen, args, env, parser).settings()
    assert (settings.workers, settings.relays, str(settings.data_dir)) == (7, 4, "/x")


def test_an_example_that_is_none_would_be_found() -> None:
    with pytest.raises(SystemExit):
        build_parser(LEADERBOARD).parse_args(shlex.split("verify --seasons"))
