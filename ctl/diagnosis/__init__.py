"""Checks of an installation, for `leaderboard doctor`: PostgreSQL, relays, Redis, this host."""
