"""Plots as SVG text: bars with their spread, and lines. They load no script, font or style."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final

WIDTH: Final = 760
LEFT: Final = 120
RIGHT: Final = 90
BAR: Final = 26
HEIGHT: Final = 320
TOP: Final = 44
BOTTOM: Final = 52
INK, PALE, GRID, BLUE, BAD = "#222", "#777", "#ddd", "#2a6fb0", "#b00020"

Bar = tuple[str, float, float, float]
"""Label, median, lowest, highest."""
Point = tuple[float, float]
"""x, y."""
Step = tuple[float, float | None]
"""x, y; y is None where there is no valid figure."""


def draw_bars(title: str, unit: str, rows: Sequence[Bar], mark: float | None = None) -> str:
    """Horizontal bars of medians in `unit`, with whiskers from lowest to highest; `mark` draws a line at that value."""
    most = max([high for _, _, _, high in rows] + [mark or 0.0]) or 1.0
    scale = (WIDTH - LEFT - RIGHT) / most
    height = TOP + BAR * len(rows) + 16
    parts = [text(LEFT, 22, title, bold=True)]
    for at, (label, median, low, high) in enumerate(rows):
        y = TOP + BAR * at
        parts += [
            text(LEFT - 8, y + 14, label, anchor="end"),
            f'<rect x="{LEFT}" y="{y + 2}" width="{median * scale:.1f}" height="{BAR - 10}" fill="{BLUE}"/>',
            stroke(LEFT + low * scale, y + 10, LEFT + high * scale, y + 10, INK),
            text(LEFT + max(high, median) * scale + 6, y + 14, f"{figure(median)} {unit}".strip(), colour=PALE),
        ]
    if mark is not None:
        parts.append(stroke(LEFT + mark * scale, TOP - 6, LEFT + mark * scale, height - 10, PALE, dashed=True))
    return svg(height, title, parts)


def draw_lines(title: str, x_label: str, y_label: str, points: Sequence[Step], names: Sequence[str] = ()) -> str:
    """A line through the points, with a logarithmic y axis. `names` label the x values instead of numbers.

    The line has a gap at a point without a valid figure, and a dashed mark stands there.
    """
    runs = split_at_gaps(points)
    drawn = [point for run in runs for point in run]
    if not drawn:
        return svg(TOP, title, [text(LEFT, 22, f"{title}: nothing to draw", bold=True)])
    gaps = [x for x, y in points if y is None]
    first, last = min([*gaps, *(x for x, _ in drawn)]), max([*gaps, *(x for x, _ in drawn)])
    low = 10 ** math.floor(math.log10(min(y for _, y in drawn)))
    high = 10 ** math.ceil(math.log10(max(y for _, y in drawn) * 1.0001))

    def place(x: float, y: float) -> Point:
        across = (x - first) / ((last - first) or 1.0) * (WIDTH - LEFT - RIGHT)
        up = math.log(y / low) / math.log(high / low) * (HEIGHT - TOP - BOTTOM)
        return LEFT + across, HEIGHT - BOTTOM - up

    parts = [text(LEFT, 22, title, bold=True), text(LEFT, 38, y_label, colour=PALE)]
    tick = low
    while tick <= high * 1.0001:
        _, y = place(first, tick)
        parts += [stroke(LEFT, y, WIDTH - RIGHT, y, GRID), text(LEFT - 8, y + 4, figure(tick), anchor="end")]
        tick *= 10
    for at, (x, y) in enumerate(drawn):
        across, up = place(x, y)
        label = names[at] if at < len(names) else figure(x)
        parts += [
            f'<circle cx="{across:.1f}" cy="{up:.1f}" r="3.5" fill="{BLUE}"><title>{escape(label)}: {figure(y)}</title>'
            "</circle>",
            text(across, HEIGHT - BOTTOM + 18, label, anchor="middle"),
        ]
    for run in runs:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in run))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{BLUE}" stroke-width="2"/>')
    for x in gaps:
        across, _ = place(x, low)
        parts += [
            stroke(across, TOP, across, HEIGHT - BOTTOM, BAD, dashed=True),
            text(across, TOP - 4, "invalid", anchor="middle", colour=BAD),
            text(across, HEIGHT - BOTTOM + 18, figure(x), anchor="middle", colour=BAD),
        ]
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x_label, anchor="middle", colour=PALE))
    return svg(HEIGHT, title, parts)


def split_at_gaps(points: Sequence[Step]) -> list[list[Point]]:
    """The points in runs between those without a figure. A figure of 0 has no place on the axis, and is left out."""
    runs: list[list[Point]] = [[]]
    for x, y in points:
        if y is None:
            runs.append([])
        elif y > 0:
            runs[-1].append((x, y))
    return [run for run in runs if run]


def draw_percentiles(title: str, curve: Sequence[Step]) -> str:
    """Latency in ms by percentile, on the axis of HdrHistogram's plots: each nine takes the same room."""
    inner = [(percent, ms) for percent, ms in curve if 0 < percent < 100]
    spread = [(-math.log10(1 - percent / 100), ms) for percent, ms in inner]
    return draw_lines(title, "percentile", "ms", spread, [f"{percent:g}" for percent, _ in inner])


def svg(height: float, title: str, parts: Sequence[str]) -> str:
    """The SVG document of these parts."""
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}" '
        f'role="img" font-family="sans-serif" font-size="12"><title>{escape(title)}</title>\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )


def text(x: float, y: float, words: str, *, anchor: str = "start", bold: bool = False, colour: str = INK) -> str:
    """A line of text."""
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{weight}>{escape(words)}</text>'


def stroke(x1: float, y1: float, x2: float, y2: float, colour: str, *, dashed: bool = False) -> str:
    """A straight line."""
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dash}/>'


def figure(value: float) -> str:
    """A number with the digits that matter."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
