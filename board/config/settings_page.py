"""Writes ``docs/settings.md``: ``python -m board.config.settings_page``."""

from __future__ import annotations

import sys
from pathlib import Path

from board.config.settings import Settings, setting_specs


def markdown() -> str:
    """The text of ``docs/settings.md``."""
    lines = [
        "# Settings",
        "",
        "Every process reads its settings from the environment, and prints them at start with secrets",
        "masked. An unknown `LEADERBOARD_*` variable is refused with a suggestion. Variables that Kubernetes",
        "or links of containers make for a service of that name are let through",
        "(`LEADERBOARD_SERVICE_HOST`, `LEADERBOARD_PORT=tcp://…`). `leaderboard settings` shows the values",
        "in force. This page is written from the code by `make docs`.",
        "",
        "| variable | default | range | meaning |",
        "|---|---|---|---|",
    ]
    plain = Settings(data_dir=Path("(see text)"))
    for field, spec in setting_specs().items():
        span = ", ".join(f"`{c}`" for c in spec.choices)
        if spec.low is not None:
            span = f"{spec.low:,} to {spec.high:,}"
        default = str(getattr(plain, field))
        lines.append(f"| `{spec.env}` | {f'`{default}`' if default else 'empty'} | {span or '-'} | {spec.text} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
