"""The commands of `python -m bench` that measure whole systems."""
