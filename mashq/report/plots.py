"""Plots as small inline SVG: intervals, bars and curves that keep their letter size at any width.

Positions across are percentages, so a plot fills its cell on a phone and on paper and no text in it is scaled. The
plots hold numbers only: every label in Arabic stands in HTML beside them, where the browser shapes it. Numbers grow
from left to right in both languages, as in Arabic scientific print.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from markupsafe import Markup, escape

__all__ = [
    "LABELS_AT",
    "Scale",
    "Series",
    "Upright",
    "axis",
    "bar",
    "curve",
    "heat",
    "interval",
    "number",
    "scale_over",
    "stack",
]

ROW_HEIGHT = 22  # px of one dot-and-interval row
CURVE_HEIGHT = 260  # px
TOP, BOTTOM = 8, CURVE_HEIGHT - 26  # of what is drawn
LABELS_AT = BOTTOM + 18  # below the axis across
MOST_POINTS = 400  # a curve of more points is thinned by means of equal runs of steps

MINUS = "\N{MINUS SIGN}"


def number(value: float | int | None, places: int | None = None, *, signed: bool = False) -> str:
    """A number as it is printed: Western digits, a true minus, thousands apart; None and NaN are a dash.

    `signed` puts a plus before what is above zero, as in a difference.

    Without `places`: integers whole, else three significant digits and no more than four decimals.
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "\N{EN DASH}"
    if places is None:
        places = 0 if isinstance(value, int) or value == 0 else min(4, max(0, 2 - math.floor(math.log10(abs(value)))))
    text = f"{abs(value):,.{places}f}"
    sign = (MINUS if value < 0 else "+" if signed else "") if text.strip("0.,") else ""
    return sign + text


@dataclass(frozen=True)
class Scale:
    """A linear axis from `low` to `high` with round ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]
    places: int  # decimals of the tick labels

    def percent(self, value: float) -> float:
        """Where `value` lies, 0..100; outside the axis it is held at the edge."""
        return round(100 * min(1.0, max(0.0, (value - self.low) / (self.high - self.low))), 2)


def scale_over(
    values: Iterable[float | None], *, zero: bool = False, wanted: int = 4, air_share: float = 0.06
) -> Scale:
    """The scale that holds every finite value, about `wanted` round ticks, `air_share` of air at both ends.

    `zero` makes 0 part of it. Without any value it runs from 0 to 1.
    """
    known = [value for value in values if value is not None and math.isfinite(value)]
    if zero:
        known.append(0.0)
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if high - low <= 1e-12 * max(1.0, abs(high)):
        half = 0.1 * abs(low) if abs(low) > 1e-9 else 0.1
        low, high = low - half, high + half
    air = air_share * (high - low)
    low, high = low - air, high + air
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    places = max(0, -math.floor(math.log10(step) + 1e-9)) + (1 if math.isclose(step / power, 2.5) else 0)
    first = math.ceil(low / step - 1e-9)
    ticks = tuple(index * step for index in range(first, math.floor(high / step + 1e-9) + 1))
    return Scale(low, high, ticks, places)


def interval(
    scale: Scale, value: float, low: float | None, high: float | None, *, kind: str, label: str, zero: bool = False
) -> Markup:
    """A dot on the axis of `scale`, with its interval where it has one; `zero` draws the line of no difference."""
    middle = ROW_HEIGHT / 2
    span = ""
    if low is not None and high is not None:
        left, right = scale.percent(low), scale.percent(high)
        span = f'<line class="range" x1="{left}%" x2="{right}%" y1="{middle}" y2="{middle}"/>'
    grid = "".join(
        f'<line class="grid" x1="{scale.percent(tick)}%" x2="{scale.percent(tick)}%" y1="0" y2="{ROW_HEIGHT}"/>'
        for tick in scale.ticks
    )
    if zero:
        at = scale.percent(0.0)
        grid += f'<line class="zero" x1="{at}%" x2="{at}%" y1="0" y2="{ROW_HEIGHT}"/>'
    return Markup(
        f'<svg class="dot {escape(kind)}" role="img" aria-label="{escape(label)}" width="100%" height="{ROW_HEIGHT}">'
        f'{grid}{span}<circle cx="{scale.percent(value)}%" cy="{middle}" r="4.5"/></svg>'
    )


def axis(scale: Scale) -> Markup:
    """The tick labels of `scale`, for the foot of a column of intervals."""
    marks = "".join(
        f'<text x="{scale.percent(tick)}%" y="13" text-anchor="{_anchor(scale.percent(tick))}">'
        f"{number(tick, scale.places)}</text>"
        for tick in scale.ticks
    )
    return Markup(f'<svg class="axis" aria-hidden="true" width="100%" height="18">{marks}</svg>')


def _anchor(percent: float) -> str:
    return "start" if percent < 4 else "end" if percent > 96 else "middle"


def bar(share: float, *, kind: str, label: str) -> Markup:
    """A bar of `share` (0..1) of its cell, drawn from the reading side (the style sheet turns it in Arabic)."""
    width = round(100 * min(1.0, max(0.0, share)), 2)
    return Markup(
        f'<svg class="bar {escape(kind)}" role="img" aria-label="{escape(label)}" width="100%" height="10">'
        f'<rect class="ground" width="100%" height="10"/><rect class="fill" width="{width}%" height="10"/></svg>'
    )


def stack(parts: Sequence[tuple[float, str]], *, label: str) -> Markup:
    """One bar cut into parts (amount, kind), in order; nothing to cut gives an empty bar."""
    whole = sum(amount for amount, _ in parts) or 1
    pieces, start = [], 0.0
    for amount, kind in parts:
        width = 100 * amount / whole
        if width:
            pieces.append(f'<rect class="{escape(kind)}" x="{start:.2f}%" width="{width:.2f}%" height="14"/>')
        start += width
    return Markup(
        f'<svg class="stack" role="img" aria-label="{escape(label)}" width="100%" height="14">{"".join(pieces)}</svg>'
    )


HEAT = ("absent", "none", "part", "most", "full")  # nothing wanted; nothing, under half, half or more, all of it there


def heat(kept: Sequence[int], wanted: Sequence[int], *, label: str) -> Markup:
    """One line of a heat map: a cell for each pair, coloured by the share that is there; equal neighbours are one."""
    kinds = [
        "absent" if not w else "full" if k >= w else "none" if not k else "most" if 2 * k >= w else "part"
        for k, w in zip(kept, wanted, strict=True)
    ]
    pieces, start = [], 0
    for kind, run in groupby(kinds):
        length = len(list(run))
        x, width = 100 * start / len(kinds), 100 * length / len(kinds)
        pieces.append(f'<rect class="{kind}" x="{x:.2f}%" width="{width:.2f}%" height="10"/>')
        start += length
    return Markup(
        f'<svg class="heat" role="img" aria-label="{escape(label)}" width="100%" height="10">{"".join(pieces)}</svg>'
    )


@dataclass(frozen=True)
class Series:
    """One line of a curve: points in order of x, and the class that colours it."""

    kind: str
    points: tuple[tuple[float, float], ...]
    dots: bool = False  # draw the points themselves, for few of them

    def thinned(self) -> Series:
        """At most `MOST_POINTS` points: each the mean of an equal run of its neighbours."""
        if len(self.points) <= MOST_POINTS:
            return self
        run = math.ceil(len(self.points) / MOST_POINTS)
        runs = [self.points[start : start + run] for start in range(0, len(self.points), run)]
        means = tuple((sum(x for x, _ in some) / len(some), sum(y for _, y in some) / len(some)) for some in runs)
        return Series(self.kind, means, self.dots)


@dataclass(frozen=True)
class Upright:
    """The upright axis of a curve: places on it, and the picture around what is drawn."""

    scale: Scale

    def height(self, value: float) -> float:
        """Pixels from the top."""
        return round(BOTTOM - (BOTTOM - TOP) * self.scale.percent(value) / 100, 1)

    def framed(self, drawn: str, label: str) -> Markup:
        """Inline SVG: ticks and their lines, and before them what was drawn with `height`."""
        at = {tick: self.height(tick) for tick in self.scale.ticks}
        left = "".join(
            f'<text x="38" y="{y + 4}" text-anchor="end">{number(tick, self.scale.places)}</text>'
            for tick, y in at.items()
        )
        grid = "".join(f'<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/>' for y in at.values())
        return Markup(
            '<div class="curve" dir="ltr">'
            f'<svg class="left" aria-hidden="true" width="44" height="{CURVE_HEIGHT}">{left}</svg>'
            f'<svg role="img" aria-label="{escape(label)}" width="100%" height="{CURVE_HEIGHT}">{grid}{drawn}'
            "</svg></div>"
        )


def curve(series: Sequence[Series], *, label: str) -> Markup:
    """Lines over one pair of axes; values that are not finite are left out (the caller says how many)."""
    lines = [
        Series(one.kind, tuple((x, y) for x, y in one.points if math.isfinite(y)), one.dots).thinned() for one in series
    ]
    across = scale_over((x for one in lines for x, _ in one.points), wanted=6, air_share=0.0)
    up = scale_over((y for one in lines for _, y in one.points), wanted=5)
    upright = Upright(up)
    marks = "".join(
        f'<text x="{across.percent(tick)}%" y="{LABELS_AT}" text-anchor="{_anchor(across.percent(tick))}">'
        f"{number(tick, across.places)}</text>"
        for tick in across.ticks
        if tick >= 0
    )
    drawn = "".join(_line(one, across, upright.height) for one in lines)
    return upright.framed(marks + drawn, label)


def _line(one: Series, across: Scale, height: Callable[[float], float]) -> str:
    """A line as segments in percent: SVG has no polyline in percent, and scaling one would scale its stroke."""
    places = [(across.percent(x), height(y)) for x, y in one.points]
    segments = "".join(f'<line x1="{x1}%" y1="{y1}" x2="{x2}%" y2="{y2}"/>' for (x1, y1), (x2, y2) in pairwise(places))
    dots = "".join(f'<circle cx="{x}%" cy="{y}" r="3.5"/>' for x, y in places) if one.dots or len(places) == 1 else ""
    return f'<g class="{escape(one.kind)}">{segments}{dots}</g>'
