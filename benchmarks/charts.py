"""Lines and bars as SVG, with nothing but the standard library, for docs/measurements.md."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 34, 46
INK, GRID = "#333", "#ddd"


@dataclass(frozen=True, slots=True)
class Line:
    """A named curve; points with a value that is not finite are left out."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: str
    dots: bool = True


def ticks(low: float, high: float, *, logarithmic: bool) -> list[float]:
    """Round values from at most `low` to at least `high`."""
    if logarithmic:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
        first = max(number for number, value in enumerate(steps) if value <= low * 1.0001)
        return steps[first : next(number for number, value in enumerate(steps) if value >= high * 0.9999) + 1]
    raw = (high - low or 1.0) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    return [number * step for number in range(math.floor(low / step), math.ceil(high / step) + 1)]


def _scale(values: Sequence[float], start: float, end: float, *, logarithmic: bool) -> Callable[[float], float]:
    put = math.log10 if logarithmic else float
    low, high = put(values[0]), put(values[-1])
    return lambda value: round(start + (put(value) - low) / (high - low) * (end - start), 1)


def _text(x: float, y: float, words: str, anchor: str = "middle", more: str = "") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def _svg(parts: Sequence[str], height: int) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' font-family="sans-serif" font-size="12" fill="{INK}">'
    )
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>', *parts, "</svg>"]) + "\n"


def line_chart(
    lines: Sequence[Line], *, x_name: str, y_name: str, log_y: bool, upright: tuple[float, str] | None = None
) -> str:
    """Curves over a logarithmic x axis, and perhaps an upright line with its name. Some point must be finite."""
    shown = [(line, [(x, y) for x, y in line.points if math.isfinite(y)]) for line in lines]
    every = [point for _, points in shown for point in points]
    x_ticks = ticks(min(x for x, _ in every), max(x for x, _ in every), logarithmic=True)
    low = min(y for _, y in every) if log_y else 0.0
    y_ticks = ticks(low, max(y for _, y in every), logarithmic=log_y)
    across = _scale(x_ticks, LEFT, WIDTH - RIGHT, logarithmic=True)
    down = _scale(y_ticks, HEIGHT - BOTTOM, TOP, logarithmic=log_y)
    parts = [f'<path d="M{LEFT} {down(value)}H{WIDTH - RIGHT}" stroke="{GRID}"/>' for value in y_ticks]
    parts += [_text(LEFT - 6, down(value) + 4, f"{value:g}", "end") for value in y_ticks]
    parts += [_text(across(value), HEIGHT - BOTTOM + 16, f"{value:g}") for value in x_ticks]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x_name))
    parts.append(
        _text(
            14, (TOP + HEIGHT - BOTTOM) / 2, y_name, more=f' transform="rotate(-90 14 {(TOP + HEIGHT - BOTTOM) / 2})"'
        )
    )
    if upright is not None:
        x = across(upright[0])
        parts.append(f'<path d="M{x} {TOP}V{HEIGHT - BOTTOM}" stroke="#999" stroke-dasharray="3 3"/>')
        parts.append(_text(x + 4, TOP + 12, upright[1], "start", ' fill="#777"'))
    for number, (line, points) in enumerate(shown):
        path = " ".join(f"{across(x)},{down(y)}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{line.colour}" stroke-width="2"/>')
        if line.dots:
            parts += [f'<circle cx="{across(x)}" cy="{down(y)}" r="3" fill="{line.colour}"/>' for x, y in points]
        at = LEFT + number * 150
        parts.append(
            f'<path d="M{at} 16h18" stroke="{line.colour}" stroke-width="3"/>{_text(at + 24, 20, line.name, "start")}'
        )
    return _svg(parts, HEIGHT)


def bar_chart(rows: Sequence[tuple[str, float, float]], *, x_name: str, names: tuple[str, str]) -> str:
    """For each row a solid bar and, reaching further, a light one."""
    left, row_height = 90, 24
    height = TOP + row_height * len(rows) + BOTTOM
    x_ticks = ticks(0.0, max(long for _, _, long in rows), logarithmic=False)
    across = _scale(x_ticks, left, WIDTH - RIGHT, logarithmic=False)
    parts = [f'<path d="M{across(value)} {TOP}V{height - BOTTOM}" stroke="{GRID}"/>' for value in x_ticks]
    parts += [_text(across(value), height - BOTTOM + 16, f"{value:g}") for value in x_ticks]
    for number, (name, short, long) in enumerate(rows):
        y = TOP + number * row_height
        parts.append(_text(left - 6, y + 16, name, "end"))
        for value, colour in ((long, "#b6cfe0"), (short, "#2a6f97")):
            parts.append(
                f'<rect x="{left}" y="{y + 4}" width="{round(across(value) - left, 1)}" height="16" fill="{colour}"/>'
            )
    parts.append(_text((left + WIDTH - RIGHT) / 2, height - 10, x_name))
    for number, (name, colour) in enumerate(zip(names, ("#2a6f97", "#b6cfe0"), strict=True)):
        at = left + number * 100
        parts.append(
            f'<rect x="{at}" y="10" width="14" height="12" fill="{colour}"/>{_text(at + 20, 20, name, "start")}'
        )
    return _svg(parts, height)
