"""Processes: children, supervision, signals, backoff."""
