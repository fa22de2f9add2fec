"""What the help of each command shows to copy: a command line, and what it is for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final

HEAD: Final = "examples:"
ID: Final = "4fT9s0aKqZ"

EXAMPLES: Final[dict[str, Sequence[tuple[str, str]]]] = {
    "": (
        ("leaderboard run", "everything on this machine, at http://127.0.0.1:8080"),
        ("leaderboard demo", "and simulated players on it"),
        ("leaderboard doctor", "what is wrong with an installation, or will be"),
    ),
    "run": (
        ("leaderboard run", "everything on this machine, at http://127.0.0.1:8080, for nobody else"),
        ("leaderboard run --bind 0.0.0.0:8080 --workers 4", "for others, who need keys"),
        ("leaderboard run --data-dir ~/boards", "with the servers' data in a place of your choice"),
    ),
    "serve": (
        ("leaderboard serve --bind unix:/run/leaderboard/api.sock", "behind a proxy"),
        ("LEADERBOARD_METRICS_BIND=127.0.0.1:9464 leaderboard serve --workers 4", "with metrics"),
    ),
    "relay": (
        ("leaderboard relay", "as many relays as LEADERBOARD_RELAYS says"),
        ("leaderboard relay --processes 4", "four; any number on any number of hosts works together"),
    ),
    "migrate": (
        ("leaderboard migrate --wait 30", "a new database, as soon as it answers"),
        ("leaderboard migrate --stage pre", "an upgrade: before the first host gets the new release"),
        ("leaderboard migrate --stage post", "an upgrade: when every host has it"),
    ),
    "status": (
        ("leaderboard status", "partitions that have something waiting"),
        ("leaderboard status --all --json", "all of them, for a program"),
        ("leaderboard status --watch", "and again every second"),
    ),
    "verify": (
        ("leaderboard verify", "everything; relays get ten seconds to finish first"),
        ("leaderboard verify --season spring --wait 60", "one season, on a busy system"),
        ("leaderboard verify --json > report.json", "for a program; the exit status is the verdict"),
    ),
    "rebuild": (
        ("leaderboard rebuild --season spring", "one board that looks wrong"),
        ("leaderboard rebuild --all", "every board; readers keep the old ones meanwhile"),
    ),
    "doctor": (
        ("leaderboard doctor", "findings with advice"),
        ("leaderboard doctor --json", "for a program"),
    ),
    "backup": (("leaderboard backup /var/backups/leaderboard.dump", "safe while everything runs"),),
    "restore": (
        ("leaderboard restore /var/backups/leaderboard.dump", "into an empty database"),
        ("leaderboard restore --replace /var/backups/leaderboard.dump", "over what is there, which is lost"),
    ),
    "completion": (
        ("leaderboard completion bash > /etc/bash_completion.d/leaderboard", "for everybody"),
        ("leaderboard completion zsh > ~/.zfunc/_leaderboard", "for yourself"),
    ),
    "demo": (
        ("leaderboard demo", "on this machine's server, until Ctrl-C"),
        ("leaderboard demo --players 1000 --rate 500 --seconds 30 --json", "half a minute, figures only"),
        (f"LEADERBOARD_KEY=lb_{ID}_... leaderboard demo --url http://10.0.0.5:8080", "on a server that wants a key"),
    ),
    "key": (("leaderboard key list", "all keys; each verb has a --help of its own"),),
    "key create": (
        ("leaderboard key create --name 'game server' --scopes read,submit", "for whoever reports scores"),
        ("leaderboard key create --name website --scopes read --season spring --days 90", "one board, for a while"),
        ("leaderboard key create --name ops --scopes admin --json", "for resets and for keys"),
    ),
    "key list": (("leaderboard key list --json", "for a program"),),
    "key rotate": (
        (f"leaderboard key rotate {ID}", "the old one is good for another day"),
        (f"leaderboard key rotate {ID} --grace 3600", "for an hour"),
    ),
    "key revoke": ((f"leaderboard key revoke {ID}", "it has leaked"),),
    "settings": (
        ("leaderboard settings", "what is in force here, and all there are"),
        ("leaderboard settings --json", "for a program"),
    ),
}


def epilog(name: str, last: str) -> str:
    """The end of a command's help: its examples, and a last line."""
    lines = [HEAD, *(f"  {line}\n      {text}" for line, text in EXAMPLES[name])]
    return "\n".join([*lines, "", last])


class Formatter(argparse.HelpFormatter):
    """argparse's own, which leaves the lines of examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if not text.startswith(HEAD):
            return super()._fill_text(text, width, indent)
        examples, _, last = text.rpartition("\n\n")
        return f"{examples}\n\n{super()._fill_text(last, width, indent)}"
