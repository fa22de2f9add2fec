"""The argument parser, derived from the commands' descriptions."""

from __future__ import annotations

import argparse
import sys
from typing import Final, NoReturn

from board.errors import UsageError
from ctl import output
from ctl.command import Command, Example, OneOf

HEAD: Final = "examples:"
LAST_LINE: Final = (
    "Settings come from the environment: `leaderboard settings` lists them, docs/settings.md explains them."
)


class Parser(argparse.ArgumentParser):
    """A parser that reports a usage error as one line, like every other error."""

    def error(self, message: str) -> NoReturn:
        # Before the arguments are known, this alone tells whether JSON is wanted.
        output.print_error(f"{message} (see `{self.prog} --help`)", UsageError.code, as_json="--json" in sys.argv)
        self.exit(UsageError.exit_code)


class Formatter(argparse.HelpFormatter):
    """argparse's formatter; it keeps the lines of the examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if not text.startswith(HEAD):
            return super()._fill_text(text, width, indent)
        examples, _, last = text.rpartition("\n\n")
        return f"{examples}\n\n{super()._fill_text(last, width, indent)}"


def build_parser(root: Command) -> Parser:
    """The parser of `root` and of all commands below it.

    Parsed arguments hold the chosen command as `chosen`, the name on the first level as `command`, and the name on
    the second level as `verb`.
    """
    parser = Parser(prog=root.name, description=root.summary, epilog=epilog(root.examples), formatter_class=Formatter)
    _fill(parser, root, ("command", "verb"))
    return parser


def epilog(examples: tuple[Example, ...]) -> str:
    """The end of a command's help: its examples, and a line about settings."""
    lines = [HEAD, *(f"  {example.line}\n      {example.purpose}" for example in examples)]
    return "\n".join([*lines, "", LAST_LINE])


def _fill(parser: argparse.ArgumentParser, command: Command, levels: tuple[str, ...]) -> None:
    """Add the arguments and the subcommands of `command`; `levels` name the levels below."""
    parser.set_defaults(chosen=command)
    for each in command.arguments:
        if isinstance(each, OneOf):
            group = parser.add_mutually_exclusive_group(required=True)
            for one in each.arguments:
                group.add_argument(*one.names, **one.keywords)
        else:
            parser.add_argument(*each.names, **each.keywords)
    if not command.subcommands:
        return
    choice = parser.add_subparsers(dest=levels[0], metavar=command.metavar, required=True, parser_class=Parser)
    for sub in command.subcommands:
        below = choice.add_parser(
            sub.name,
            help=sub.summary,
            description=sub.summary,
            epilog=epilog(sub.examples),
            formatter_class=Formatter,
        )
        _fill(below, sub, levels[1:])
