"""A small frame for inline SVG charts: scales, ticks, axes. Colours come from the page's style sheet by class."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from retkd.reporting.figures import true_minus

LEFT, RIGHT, TOP, BOTTOM = 46, 14, 10, 34
"""Margins in pixels."""


@dataclass(frozen=True)
class Frame:
    """A plotting area inside ``width`` x ``height`` pixels, for data in ``x`` and ``y`` (low, high)."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: int = 360
    height: int = 210

    def px(self, value: float) -> float:
        """Horizontal pixel of a datum."""
        low, high = self.x
        return LEFT + (value - low) / (high - low) * (self.width - LEFT - RIGHT)

    def py(self, value: float) -> float:
        """Vertical pixel of a datum."""
        low, high = self.y
        return self.height - BOTTOM - (value - low) / (high - low) * (self.height - TOP - BOTTOM)

    def drawn(self, inside: Iterable[str], title: str, x_label: str, y_ticks: bool = True) -> str:
        """The whole ``<svg>``. ``title`` is what a screen reader says."""
        parts = [
            f'<svg class="chart" viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(title)}">'
        ]
        parts += self._x_axis(x_label)
        parts += self._y_axis() if y_ticks else []
        return "".join([*parts, *inside, "</svg>"])

    def _x_axis(self, x_label: str) -> list[str]:
        right, bottom = self.width - RIGHT, self.height - BOTTOM
        drawn = [f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>']
        drawn += [text(self.px(value), bottom + 14, shown(value), "middle") for value in ticks(*self.x, 5)]
        return [*drawn, text(right, self.height - 4, x_label, "end")]

    def _y_axis(self) -> list[str]:
        drawn = []
        for value in ticks(*self.y, 4):
            y = self.py(value)
            drawn.append(f'<line class="grid" x1="{LEFT}" x2="{self.width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            drawn.append(text(LEFT - 6, y + 3.5, shown(value), "end"))
        return drawn


def text(x: float, y: float, words: str, anchor: str) -> str:
    """Small words at a place in pixels; ``anchor`` is start, middle or end."""
    return f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def span(values: Iterable[float], around_zero: bool = False, margin: float = 0.05) -> tuple[float, float]:
    """(low, high) with a margin, never empty; from 0 on when ``around_zero``.

    >>> span([1.0, 3.0], margin=0.0), span([2.0, 2.0], margin=0.0)
    ((1.0, 3.0), (1.5, 2.5))
    """
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    low = min(low, 0.0) if around_zero else low
    if high == low:
        return low - 0.5, high + 0.5
    space = margin * (high - low)
    return (low if around_zero and low == 0.0 else low - space), high + space


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round values between ``low`` and ``high``, about so many.

    >>> ticks(0.0, 1.0, 5)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((s * power for s in (1, 2, 2.5, 5) if s * power >= 0.75 * rough), 10 * power)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def shown(value: float) -> str:
    """A tick's text.

    >>> shown(12000.0), shown(0.25)
    ('12k', '0.25')
    """
    if abs(value) >= 10_000 and value % 100 == 0:
        return f"{value / 1000:g}k"
    return true_minus(f"{value:g}")
