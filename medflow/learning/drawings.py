"""Charts as SVG text: the same numbers give the same bytes, nothing is fetched, and no chart needs its colours.

Series differ by dash and by marker as well as by colour (Okabe and Ito's palette, which colour-blind people can tell
apart).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
DASHES = ("", "7 3", "2 3", "9 3 2 3", "12 4", "4 4", "1 2")
MARKS = ("circle", "square", "triangle", "diamond")
GRID = "#d9d9d9"
INK = "#1a1a1a"
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 12, 44
"""Pixels around the plot."""
ROUNDING = 1e-9
LINE = 18
"""Pixels from one line of a legend or a forest plot to the next."""
Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Points to be joined, and what they are."""

    name: str
    points: Sequence[Point]
    marks: bool = False
    """Draw a mark at each point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whisker:
    """One line of a forest plot: a value with its interval, and what stands beside it."""

    name: str
    n: int
    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""
    heading: bool = False
    """A line that only names what follows."""


@dataclass(slots=True, kw_only=True)
class Plot:
    """A plot under way: axes over `x` and `y`, and what was drawn so far."""

    title: str
    x: tuple[float, float] = (0.0, 1.0)
    y: tuple[float, float] = (0.0, 1.0)
    across: str = ""
    up: str = ""
    wide: int = 380
    tall: int = 330
    parts: list[str] = field(default_factory=list)
    legend: int = 0

    def at(self, point: Point) -> Point:
        """Place a point of the axes on the picture."""
        (low, high), (bottom, top) = self.x, self.y
        inner, height = self.wide - LEFT - RIGHT, self.tall - TOP - BOTTOM
        across = LEFT + (point[0] - low) / ((high - low) or 1.0) * inner
        return across, self.tall - BOTTOM - (point[1] - bottom) / ((top - bottom) or 1.0) * height

    def axes(self) -> None:
        """Draw grid lines with their numbers, and name the axes."""
        for over in ticks(*self.x):
            self.line([(over, self.y[0]), (over, self.y[1])], colour=GRID)
            left, bottom = self.at((over, self.y[0]))
            self.text(left, bottom + 16, _short(over), anchor="middle")
        for aloft in ticks(*self.y):
            self.line([(self.x[0], aloft), (self.x[1], aloft)], colour=GRID)
            left, bottom = self.at((self.x[0], aloft))
            self.text(left - 6, bottom + 4, _short(aloft), anchor="end")
        self.text((self.wide + LEFT - RIGHT) / 2, self.tall - 8, self.across, anchor="middle")
        middle = (self.tall + TOP - BOTTOM) / 2
        self.text(14, middle, self.up, anchor="middle", turned=True)

    def line(self, points: Iterable[Point], *, colour: str = INK, dash: str = "", width: float = 1.0) -> None:
        """Join points of the axes."""
        placed = " ".join(f"{_number(x)},{_number(y)}" for x, y in map(self.at, points))
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<polyline points="{placed}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dashed}/>'
        )

    def curve(self, curve: Curve, place: int) -> None:
        """Draw a curve in the `place`-th of the styles, and name it in the legend."""
        colour, dash = COLOURS[place % len(COLOURS)], DASHES[place % len(DASHES)]
        self.line(curve.points, colour=colour, dash=dash, width=2.0)
        for point in curve.points if curve.marks else ():
            self.parts.append(mark(self.at(point), MARKS[place % len(MARKS)], colour))
        self.named(curve.name, colour, dash)

    def named(self, name: str, colour: str, dash: str) -> None:
        """Add a line to the legend, which grows below the plot."""
        aloft = self.tall + LINE * self.legend + 6
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<line x1="{LEFT}" y1="{aloft}" x2="{LEFT + 34}" y2="{aloft}" stroke="{colour}" stroke-width="2"{dashed}/>'
        )
        self.text(LEFT + 42, aloft + 4, name)
        self.legend += 1

    def text(self, x: float, y: float, words: str, *, anchor: str = "start", turned: bool = False) -> None:
        """Write words at a place of the picture."""
        turn = f' transform="rotate(-90 {_number(x)} {_number(y)})"' if turned else ""
        self.parts.append(
            f'<text x="{_number(x)}" y="{_number(y)}" text-anchor="{anchor}"{turn}>{escape(words)}</text>'
        )

    def svg(self) -> str:
        """Give the picture."""
        return picture(self.title, self.wide, self.tall + LINE * self.legend, self.parts)


def ticks(low: float, high: float) -> list[float]:
    """Choose round numbers between two, about five of them: steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / 5 or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(one * power for one in (1, 2, 5, 10) if one * power >= rough * (1 - ROUNDING))
    first = math.ceil(low / step - ROUNDING)
    return [place * step for place in range(first, math.floor(high / step + ROUNDING) + 1)]


def picture(title: str, wide: int, tall: int, parts: Iterable[str]) -> str:
    """Put parts into an SVG element; its title is what a screen reader says."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {tall}" width="{wide}" height="{tall}" '
        f'role="img" font-family="sans-serif" font-size="12" fill="{INK}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def curves(plot: Plot, drawn: Sequence[Curve], *, chance: Sequence[Point] = ()) -> str:
    """Draw curves over axes, and a thin grey line of what chance would give."""
    plot.axes()
    if chance:
        plot.line(chance, colour="#777777", dash="3 3")
    for place, curve in enumerate(drawn):
        plot.curve(curve, place)
    return plot.svg()


def confusion(title: str, names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Draw a table of truth (rows) against answer (columns): darker is more, by share of the row."""
    cell, side, head = 68, 150, 62
    parts = [
        _text(side + cell * len(names) / 2, 16, "answer of the model", "middle"),
        _text(6, head + cell * len(names) / 2, "truth", "start"),
    ]
    for column, name in enumerate(names):
        parts.append(_text(side + cell * (column + 0.5), head - 12, _fitted(name, 10), "middle"))
    for row, (name, line) in enumerate(zip(names, counts, strict=True)):
        parts.append(_text(side - 8, head + cell * (row + 0.5) + 4, _fitted(name, 14), "end"))
        total = sum(line)
        for column, count in enumerate(line):
            share = count / total if total else 0.0
            left, top = side + cell * column, head + cell * row
            ink = "#ffffff" if share > 0.55 else INK  # noqa: PLR2004  (white reads better on what is so dark)
            parts.append(
                f'<rect x="{left}" y="{top}" width="{cell}" height="{cell}" fill="#08306b" '
                f'fill-opacity="{share:.3f}" stroke="{INK}" stroke-width="{2 if row == column else 0.5}"/>'
            )
            parts.append(_text(left + cell / 2, top + cell / 2, str(count), "middle", ink, bold=True))
            parts.append(_text(left + cell / 2, top + cell / 2 + 18, f"{share:.0%}", "middle", ink))
    return picture(title, side + cell * len(names) + 12, head + cell * len(names) + 12, parts)


def forest(title: str, rows: Sequence[Whisker], *, across: str, whole: float | None) -> str:
    """Draw a value with its interval for each subgroup; a dashed line stands at the value of all together."""
    plot = Plot(title=title, wide=720, tall=LINE * (len(rows) + 1) + TOP + BOTTOM)
    left, right = 230, 480
    scale = right - left
    for step in range(6):
        over = left + scale * step / 5
        plot.parts.append(f'<line x1="{over:g}" y1="{TOP}" x2="{over:g}" y2="{plot.tall - BOTTOM}" stroke="{GRID}"/>')
        plot.text(over, plot.tall - BOTTOM + 16, f"{step / 5:.1f}", anchor="middle")
    plot.text((left + right) / 2, plot.tall - 8, across, anchor="middle")
    if whole is not None:
        middle = _number(left + scale * whole)
        plot.parts.append(
            f'<line x1="{middle}" y1="{TOP}" x2="{middle}" y2="{plot.tall - BOTTOM}" '
            f'stroke="{COLOURS[0]}" stroke-dasharray="5 3"/>'
        )
    for place, row in enumerate(rows):
        _whisker(plot, row, TOP + LINE * (place + 1), left, scale)
    return plot.svg()


def mark(at: Point, shape: str, colour: str) -> str:
    """Draw a mark at a place of the picture."""
    x, y = map(_number, at)
    if shape == "circle":
        return f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/>'
    if shape == "square":
        return f'<rect x="{_number(at[0] - 4)}" y="{_number(at[1] - 4)}" width="8" height="8" fill="{colour}"/>'
    corners = [(0, -5), (5, 4), (-5, 4)] if shape == "triangle" else [(0, -5), (5, 0), (0, 5), (-5, 0)]
    placed = " ".join(f"{_number(at[0] + dx)},{_number(at[1] + dy)}" for dx, dy in corners)
    return f'<polygon points="{placed}" fill="{colour}"/>'


def _whisker(plot: Plot, row: Whisker, middle: float, left: float, scale: float) -> None:
    if row.heading:
        plot.parts.append(_text(8, middle + 4, row.name, "start", bold=True))
        return
    plot.text(20, middle + 4, _fitted(row.name, 24))
    plot.text(left - 12, middle + 4, f"n = {row.n}", anchor="end")
    if row.value is None:
        plot.text(left + scale + 12, middle + 4, row.note or "not measured")
        return
    if row.low is not None and row.high is not None:
        ends = (left + scale * min(max(end, 0.0), 1.0) for end in (row.low, row.high))
        first, last = map(_number, ends)
        plot.parts.append(
            f'<line x1="{first}" y1="{middle}" x2="{last}" y2="{middle}" stroke="{INK}" stroke-width="2"/>'
        )
    plot.parts.append(mark((left + scale * row.value, middle), "square" if not row.note else "diamond", COLOURS[0]))
    bounds = "" if row.low is None or row.high is None else f" ({row.low:.2f} to {row.high:.2f})"
    plot.text(left + scale + 12, middle + 4, f"{row.value:.2f}{bounds}{'  ' * bool(row.note)}{row.note}")


def _text(x: float, y: float, words: str, anchor: str, ink: str = INK, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{_number(x)}" y="{_number(y)}" text-anchor="{anchor}" fill="{ink}"{weight}>{escape(words)}</text>'


def _fitted(words: str, letters: int) -> str:
    return words if len(words) <= letters else f"{words[: letters - 1]}…"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _short(value: float) -> str:
    return f"{value:.3g}"
