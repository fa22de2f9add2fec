"""The commands of `python -m bench` that measure whole systems, or use their reports."""
