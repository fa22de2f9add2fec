"""``python -m ctl`` is the ``leaderboard`` command."""

from __future__ import annotations

from ctl.main import entry

entry()
