"""Writes the tables of docs/api.md from the table of operations: ``python -m service.http.api_page docs/api.md``."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, get_args, get_origin

from service.contract.body import format_size
from service.contract.operation import Operation
from service.contract.parameters import Parameter
from service.http.openapi import ACCESS, LIMITED_TO_PLAYER
from service.routes import OPERATIONS

_BLOCK: Final = "<!-- {0}: begin -->\n{1}\n<!-- {0}: end -->"


def write_row(cells: Sequence[str]) -> str:
    """Write a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def describe_parameter(parameter: Parameter) -> str:
    """Describe a parameter: its name, with bounds and default if it has them."""
    text = f"`{parameter.name}`"
    if choices := get_args(parameter.kind) if get_origin(parameter.kind) is Literal else ():
        text += f" {' or '.join(f'`{choice}`' for choice in choices)}"
    if parameter.bounds is not None:
        low, high = parameter.bounds
        text += f" {low:,} to {high:,}"
    if parameter.default is not None:
        return f"{text}, default {str(parameter.default).lower()}"
    if parameter.required:
        return text
    return f"{text} (optional header)" if parameter.place == "header" else f"{text}, optional"


def describe_body(operation: Operation) -> str:
    """Describe a body: its longest size."""
    if operation.body is None:
        return "-"
    return f"{format_size(operation.body.most)}{'' if operation.body.required else ', optional'}"


def write_operations_table() -> str:
    """Write the table of operations: request, scope, parameters with bounds and defaults, longest body, answers."""
    rows = [
        ("operation", "request", "scope", "parameters", "body at most", "answers"),
        ("---",) * 6,
    ]
    for operation in OPERATIONS:
        parameters = [describe_parameter(one) for one in operation.parameters if one.place != "path"]
        rows.append(
            (
                f"`{operation.name}`",
                f"`{operation.method} {operation.path}`",
                f"`{operation.scope}`" if operation.scope else "none",
                "; ".join(parameters) or "-",
                describe_body(operation),
                ", ".join(str(status) for status in operation.answers),
            )
        )
    return "\n".join(map(write_row, rows))


def write_errors_table() -> str:
    """Write the table of every operation's errors by status, without those of credentials and quotas,
    which all operations with a scope share.
    """
    shared = {problem.code for problem in (*ACCESS, *LIMITED_TO_PLAYER)}
    rows: list[Sequence[str]] = [("operation", "errors"), ("---", "---")]
    for operation in OPERATIONS:
        by_status: dict[int, list[str]] = {}
        for problem in operation.all_problems:
            if problem.code not in shared:
                by_status.setdefault(problem.status, []).append(f"`{problem.code}`")
        if by_status:
            errors = "; ".join(f"{status} {', '.join(codes)}" for status, codes in sorted(by_status.items()))
            rows.append((f"`{operation.name}`", errors))
    return "\n".join(map(write_row, rows))


def update_page(text: str) -> str:
    """Replace the tables in the text of the page. Raises `ValueError` if the page has no block for one."""
    for name, table in (("operations", write_operations_table()), ("errors", write_errors_table())):
        pattern = re.compile(_BLOCK.format(name, ".*?"), re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"the page has no block {name!r}")
        text = pattern.sub(lambda _, name=name, table=table: _BLOCK.format(name, table), text)  # type: ignore[misc]
    return text


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(update_page(page.read_text(encoding="utf-8")), encoding="utf-8")
