"""The ``leaderboard`` command: one module a command, see ``ctl/main.py``."""
