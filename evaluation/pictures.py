"""The geometry of a report's pictures: numbers in, coordinates out; what they look like is the templates' affair.

Coordinates are in pixels of the picture's own width and height, y downwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["baseline", "better", "worse", "level"]
"""Against the baseline: significantly better or worse, or neither."""

_LETTER = 7.3  # width of a letter of a label, generously
_LINE = 15.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 16.0, 14.0, 40.0


@dataclass(frozen=True, slots=True)
class Point:
    """One configuration: its name, quality, latency and verdict."""

    name: str
    quality: float
    latency_ms: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Tick:
    """A line across the picture and what is written beside it."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A placed point. `label_at` is where its name begins (None: there is no room); `anchor` is SVG's."""

    point: Point
    x: float
    y: float
    label_at: tuple[float, float] | None
    anchor: Literal["start", "end", "middle"]


@dataclass(frozen=True, slots=True)
class Scatter:
    """Quality against latency. The latency axis is logarithmic where the slowest takes eight times the fastest."""

    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    dots: list[Dot]
    logarithmic: bool


@dataclass(frozen=True, slots=True)
class Bars:
    """Per-question differences, the largest win first, as two areas in steps, and where the wins and losses end.

    Args:
        wins, losses: SVG path data; empty where there are none.
        zero: the y of no difference.
        largest: the difference at the upper edge, and less than nothing at the lower.
        wins_share, losses_share: shares of the width, 0 to 1.
    """

    width: int
    height: int
    zero: float
    largest: float
    wins: str
    losses: str
    wins_share: float
    losses_share: float


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a picture of curves: its name, SVG path data, and where its name begins."""

    name: str
    path: str
    label_at: tuple[float, float]


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """Risk (upwards) against coverage (to the right, 0 to 1), and the point in force, if it answers anything."""

    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    curves: list[Curve]
    in_force: tuple[float, float] | None


def risk_coverage_picture(
    curves: Sequence[tuple[str, Sequence[tuple[float, float]]]],
    in_force: tuple[float, float] | None,
    *,
    width: int,
    height: int,
) -> RiskCoverage:
    """Place curves of (coverage, risk), each by falling threshold; between two thresholds nothing else can be had, so
    that they go in steps.
    """
    left, right, top, bottom = _LEFT, width - _RIGHT, _TOP, height - _BOTTOM
    risks = [risk for _, points in curves for _, risk in points]
    y_values = _round_steps(0.0, max([*risks, 0.05]))

    def across(coverage: float) -> float:
        return round(left + coverage * (right - left), 1)

    def down(risk: float) -> float:
        return round(bottom - risk / y_values[-1] * (bottom - top), 1)

    drawn: list[Curve] = []
    for number, (name, points) in enumerate(curves):
        steps = "".join(f"H{across(coverage)}V{down(risk)}" for coverage, risk in points)
        path = f"M{across(0.0)} {down(points[0][1])}{steps}" if points else ""
        drawn.append(Curve(name, path, (left + 10, round(top + 16 + 17 * number, 1))))
    digits = _digits(y_values)
    return RiskCoverage(
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        x_ticks=[Tick(across(value / 5), f"{value / 5:g}") for value in range(6)],
        y_ticks=[Tick(down(value), f"{value:.{digits}f}") for value in y_values],
        curves=drawn,
        in_force=None if in_force is None else (across(in_force[0]), down(in_force[1])),
    )


def scatter(points: Sequence[Point], *, width: int, height: int) -> Scatter:
    """Place the points and as many of their names as do not lie over one another; the baseline's comes first."""
    left, right, top, bottom = _LEFT, width - _RIGHT, _TOP, height - _BOTTOM
    fastest, slowest = min(one.latency_ms for one in points), max(one.latency_ms for one in points)
    logarithmic = fastest > 0 and slowest >= 8 * fastest
    y_values = _round_steps(*_widened([one.quality for one in points]))
    x_values = _powers(fastest, slowest) if logarithmic else _round_steps(0.0, slowest * 1.08 or 1.0)
    low, high = (math.log(x_values[0]), math.log(x_values[-1])) if logarithmic else (x_values[0], x_values[-1])

    def across(value: float) -> float:
        share = ((math.log(value) if logarithmic else value) - low) / (high - low)
        return round(left + share * (right - left), 1)

    def down(value: float) -> float:
        return round(bottom - (value - y_values[0]) / (y_values[-1] - y_values[0]) * (bottom - top), 1)

    order = sorted(points, key=lambda one: (one.verdict != "baseline", -one.quality))
    placed = [(one, across(one.latency_ms), down(one.quality)) for one in order]
    digits = _digits(y_values)
    return Scatter(
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        x_ticks=[Tick(across(value), f"{value:g}") for value in x_values],
        y_ticks=[Tick(down(value), f"{value:.{digits}f}") for value in y_values],
        dots=_labelled(placed, left=left, right=right, top=top, bottom=bottom),
        logarithmic=logarithmic,
    )


def bars(differences: Sequence[float], *, largest: float, width: int = 1000, height: int = 160) -> Bars:
    """One step for each question, sorted from the largest win to the largest loss.

    `largest`: the difference that reaches the upper or lower edge; pictures to be compared share it.
    """
    ordered = sorted(differences, reverse=True)
    largest = largest or 1.0
    zero = height / 2
    step = width / max(len(ordered), 1)

    def area(first: int, values: Sequence[float]) -> str:
        if not values:
            return ""
        path = [f"M{first * step:.2f} {zero:g}"]
        for number, value in enumerate(values, first):
            path.append(f"V{zero - value / largest * zero:.2f}H{(number + 1) * step:.2f}")
        return "".join([*path, f"V{zero:g}Z"])

    wins = [one for one in ordered if one > 0]
    losses = [one for one in ordered if one < 0]
    count = max(len(ordered), 1)
    return Bars(
        width=width,
        height=height,
        zero=zero,
        largest=largest,
        wins=area(0, wins),
        losses=area(len(ordered) - len(losses), losses),
        wins_share=len(wins) / count,
        losses_share=len(losses) / count,
    )


def _labelled(
    placed: Sequence[tuple[Point, float, float]], *, left: float, right: float, top: float, bottom: float
) -> list[Dot]:
    """Names beside, above or below their points, where neither another name nor a point is in the way."""
    taken = [(x - 6, y - 6, x + 6, y + 6) for _, x, y in placed]
    dots = []
    for number, (point, x, y) in enumerate(placed):
        wide = len(point.name) * _LETTER
        chosen: tuple[float, float] | None = None
        anchor: Literal["start", "end", "middle"] = "start"
        tries: list[tuple[Literal["start", "end", "middle"], float, float]] = [
            ("start", x + 10, y + 4),
            ("end", x - 10, y + 4),
            ("middle", x, y - 11),
            ("middle", x, y + 20),
            ("start", x + 9, y - 9),
            ("start", x + 9, y + 17),
            ("end", x - 9, y - 9),
            ("end", x - 9, y + 17),
        ]
        for side, at, base in tries:
            begins = at if side == "start" else at - wide if side == "end" else at - wide / 2
            box = (begins, base - _LINE * 0.8, begins + wide, base + _LINE * 0.25)
            inside = box[0] >= left and box[2] <= right + _RIGHT and box[1] >= top - 10 and box[3] <= bottom
            others = [one for at_, one in enumerate(taken) if at_ != number]
            if inside and not any(_overlap(box, one) for one in others):
                chosen, anchor = (round(at, 1), round(base, 1)), side
                taken.append(box)
                break
        dots.append(Dot(point, x, y, chosen, anchor))
    return dots


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _widened(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = max((high - low) * 0.12, 0.005)
    return max(low - margin, 0.0), high + margin


def _round_steps(low: float, high: float) -> list[float]:
    """Four to eight round values that enclose low to high."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _powers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten that enclose low to high."""
    first = math.floor(math.log10(low))
    last = math.ceil(math.log10(high))
    values = [factor * 10.0**power for power in range(first, last + 1) for factor in (1, 2, 5)]
    begin = max((number for number, value in enumerate(values) if value <= low), default=0)
    end = min((number for number, value in enumerate(values) if value >= high), default=len(values) - 1)
    return [round(value, 10) for value in values[begin : end + 1]]


def _digits(values: Sequence[float]) -> int:
    return max((len(f"{value:.4f}".rstrip("0").partition(".")[2]) for value in values), default=2)
