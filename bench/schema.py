"""The JSON Schema of a report: ``python -m bench.schema`` prints it; the file beside this one is what it printed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.report import Report

FILE: Final = Path(__file__).with_name("report.schema.json")


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of `report.Report`."""
    found = msgspec.json.schema(Report)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Report of python -m bench", **found}


def text() -> str:
    """As it lies in the repository."""
    return msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
