"""A curve as SVG: a logarithmic axis across, a linear one from zero up. Nothing more is needed here."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log10
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 40, 50
ROOM = 1.15  # above the highest point
LINES = 4
STYLE = "font-family:sans-serif;font-size:12px;fill:#57606a"


def plot(path: Path, title: str, across: str, points: Sequence[tuple[int, float]]) -> None:
    """Points from left to right; the title says what is measured, and its unit."""
    top = max(value for _, value in points) * ROOM
    step = _round_up(top / LINES)
    grid = [
        _grid_line(step * number, _y(step * number, top)) for number in range(LINES + 1) if step * number <= top
    ]
    places = [(_x(size, points), _y(value, top)) for size, value in points]
    marks = [_mark(*place, *point) for place, point in zip(places, points, strict=True)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" style="{STYLE}">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n'
        f'<text x="{LEFT}" y="22" style="font-size:14px;fill:#24292f">{escape(title)}</text>\n'
        + "".join(grid)
        + f'<polyline points="{line}" fill="none" stroke="#0969da" stroke-width="2"/>\n'
        + "".join(marks)
        + f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(across)}</text>\n</svg>\n'
    )


def _x(size: int, points: Sequence[tuple[int, float]]) -> float:
    least, most = log10(points[0][0]), log10(points[-1][0])
    return LEFT + RIGHT + (WIDTH - LEFT - 3 * RIGHT) * (log10(size) - least) / ((most - least) or 1)


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top


def _round_up(value: float) -> float:
    """To the next 1, 2 or 5 of its power of ten."""
    power = 10 ** ceil(log10(value) - 1)
    return float(next(digit * power for digit in (1, 2, 5, 10) if digit * power >= value))


def _grid_line(value: float, y: float) -> str:
    return (
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#d0d7de"/>'
        f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>\n'
    )


def _mark(x: float, y: float, size: int, value: float) -> str:
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="#0969da"/>'
        f'<text x="{x:.1f}" y="{y - 9:.1f}" text-anchor="middle">{value:.2f}</text>'
        f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{size:,}</text>\n'
    )
