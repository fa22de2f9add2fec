"""The description of a command. Parser, help, examples and shell completion derive from it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from board.config.load import load
from board.config.settings import Settings
from ctl.embedded import find_instance

URLS: Final = frozenset({"DATABASE_URL", "REDIS_URL"})
"""The settings that lead to the servers."""


class Example(NamedTuple):
    """A command line to copy, and its purpose in a few words."""

    line: str
    purpose: str


class Argument(msgspec.Struct, frozen=True):
    """An option or a positional argument; make one with `argument`.

    `names` are the option's flags, or the one name of a positional. `keywords` go to
    `argparse.ArgumentParser.add_argument`. `setting` is the environment variable that the option overrides, if any.
    """

    names: tuple[str, ...]
    keywords: Mapping[str, Any]
    setting: str = ""

    @property
    def destination(self) -> str:
        """The attribute of the parsed arguments that holds the value, as argparse derives it."""
        return self.names[0].lstrip("-").replace("-", "_")


class OneOf(msgspec.Struct, frozen=True):
    """Options of which exactly one is required."""

    arguments: tuple[Argument, ...]


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A command, or a group of subcommands.

    `run` returns the exit status, and raises `LeaderboardError` for all that a person has to know about. A group has
    `subcommands` instead; `metavar` is the name of its choice in the help. A command that `attaches` works on the
    instance of `leaderboard run` that uses the data directory, unless settings lead to other servers.
    """

    name: str
    summary: str
    arguments: tuple[Argument | OneOf, ...] = ()
    examples: tuple[Example, ...]
    run: Callable[[Invocation], int] | None = None
    subcommands: tuple[Command, ...] = ()
    metavar: str = ""
    attaches: bool = True


class Invocation(msgspec.Struct, frozen=True):
    """One call of a command: its parsed arguments, the environment, and the parser of all commands."""

    command: Command
    arguments: argparse.Namespace
    environ: Mapping[str, str]
    parser: argparse.ArgumentParser

    def settings(self) -> Settings:
        """Settings of the environment, overridden by the options of this call. Raises `InvalidSetting`.

        A command that attaches takes what is not set from the instance that it finds.
        """
        env = dict(self.environ)
        for each in self.command.arguments:
            if isinstance(each, Argument) and each.setting:
                value = getattr(self.arguments, each.destination)
                if value is not None:
                    env[each.setting] = str(value)
        settings = load(env)
        given = {name for name, value in env.items() if value.strip()}
        if not self.command.attaches or given >= URLS:
            return settings
        instance = find_instance(settings.data_dir)
        # A server of the caller and one of the instance are never mixed: they may belong to different systems.
        if instance is None or given & URLS & instance.settings.keys():
            return settings
        return load(env | {name: value for name, value in instance.settings.items() if name not in given})


def argument(*names: str, setting: str = "", **keywords: Any) -> Argument:
    """An `Argument`; `keywords` are those of `argparse.ArgumentParser.add_argument`."""
    return Argument(names, keywords, setting)


JSON: Final = argument("--json", action="store_true", help="print JSON")
"""The option of every command that has a result for programs."""
