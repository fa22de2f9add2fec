"""The benchmark: measures the whole system on this machine, and checks its answers. ``python -m bench --help``."""

from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[1]
