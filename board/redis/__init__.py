"""Redis: keys, scripts, connections."""
