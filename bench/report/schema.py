"""The JSON Schema of a report: ``python -m bench schema`` prints it, ``report.schema.json`` is its output."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.report.report import Report

FILE: Final = Path(__file__).with_name("report.schema.json")


def make_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of `report.Report`."""
    found = msgspec.json.schema(Report)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Report of python -m bench", **found}


def render() -> str:
    """The schema as text, as ``report.schema.json`` has it."""
    return msgspec.json.format(msgspec.json.encode(make_schema()), indent=2).decode() + "\n"


def main(argv: Sequence[str]) -> int:
    """Print the schema; the exit status."""
    argparse.ArgumentParser(prog="python -m bench schema", description="Print the JSON Schema of reports.").parse_args(
        argv
    )
    sys.stdout.write(render())
    return 0
