"""Writes the figures of a run into docs/guarantees.md: ``python -m faults.page REPORT --write docs/guarantees.md``."""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any, Final

BEGIN: Final = "<!-- figures: written by python -m faults.page -->"
END: Final = "<!-- end of figures -->"


def table(report: dict[str, Any]) -> str:
    """The figures as Markdown. A `note` in the report stands above them."""
    outcomes = report["outcomes"]
    heals = sorted(heal for outcome in outcomes for heal in outcome["heal_s"])
    whole = [
        f"`make test-faults SEED={report['seed']}`, {report['date']}, {report['machine']}; "
        f"{', '.join(report['servers'])}; {report['seconds']} s.",
        "",
        *([report["note"], ""] if report.get("note") else []),
        f"- faults injected: **{sum(o['rounds'] for o in outcomes)}**, of {len(outcomes)} kinds",
        f"- submissions acknowledged: **{sum(o['acknowledged'] for o in outcomes):,}**; answered `503`, or nobody "
        f"listening: {sum(o['refused'] for o in outcomes):,}; outcome unknown: {sum(o['unknown'] for o in outcomes):,}",
        f"- lost: **{sum(o['lost'] for o in outcomes)}**; counted twice: **{sum(o['doubled'] for o in outcomes)}**",
        f"- seconds from the end of a fault until the service was whole again: median "
        f"{statistics.median(heals):.2f}, most {max(heals):.2f}",
        "",
        "| fault | times | acknowledged | unknown | lost | doubled | whole again, median and most, s | suspended |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for o in outcomes:
        mine = o["heal_s"] or [0.0]
        suspended = ", ".join(f"{name} ({n})" for name, n in o["excused"].items())
        broken = "" if not o["breaches"] else " **BROKEN: " + ", ".join(o["breaches"]) + "**"
        whole.append(
            f"| {o['fault']}{broken} | {o['rounds']} | {o['acknowledged']:,} | {o['unknown']} | {o['lost']} | "
            f"{o['doubled']} | {statistics.median(mine):.2f}, {max(mine):.2f} | {suspended} |"
        )
    figures = [(o["fault"], name, value) for o in outcomes for name, value in o["figures"].items()]
    if figures:
        whole += ["", "| measured meanwhile | figure |", "|---|---|"]
        whole += [
            f"| {name.removeprefix('overload: ')} ({fault.partition(':')[0]}) | {shown(value)} |"
            for fault, name, value in figures
        ]
    return "\n".join(whole)


def shown(value: Any) -> str:
    """A figure; those of several rounds with commas between."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m faults.page", description="Write the figures of a run into a page."
    )
    parser.add_argument("report", type=Path)
    parser.add_argument("--write", type=Path, required=True, metavar="PAGE")
    arguments = parser.parse_args()
    text = arguments.write.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    made = table(json.loads(arguments.report.read_text()))
    arguments.write.write_text(f"{before}{BEGIN}\n{made}\n{END}{after}")


if __name__ == "__main__":
    main()
