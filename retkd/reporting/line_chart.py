"""Training curves: raw values thin, their running mean over them."""

from collections.abc import Sequence
from dataclasses import dataclass

from retkd.reporting.svg import Frame, span

MOST_POINTS = 240
"""A longer series is shown by the means of that many blocks."""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Series:
    """One line. ``tone`` is its colour class."""

    name: str
    tone: str
    points: Points


def line_chart(series: Sequence[Series], title: str, smooth: bool = False) -> str:
    """Lines over training steps as an ``<svg>``; with ``smooth`` a running mean over each faint raw line."""
    thinned = [Series(s.name, s.tone, blocks(s.points)) for s in series if s.points]
    frame = Frame(
        x=span((x for s in thinned for x, _ in s.points), margin=0.0),
        y=span(y for s in thinned for _, y in s.points),
    )
    drawn = []
    for line in thinned:
        if smooth:
            drawn.append(path(frame, line.points, f"line faint {line.tone}"))
        drawn.append(path(frame, running_mean(line.points) if smooth else line.points, f"line {line.tone}"))
        if not smooth:
            drawn += [dot(frame, point, line.tone) for point in line.points] if len(line.points) <= 40 else []
    return frame.drawn(drawn, title, "step")


def blocks(points: Points) -> list[tuple[float, float]]:
    """At most ``MOST_POINTS`` points: means of equal blocks."""
    width = -(-len(points) // MOST_POINTS)
    cut = [points[i : i + width] for i in range(0, len(points), width or 1)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in cut]


def running_mean(points: Points, share: float = 0.08) -> list[tuple[float, float]]:
    """Centred mean over ``share`` of the points, of what there is at both ends.

    >>> running_mean([(0, 1.0), (1, 4.0), (2, 1.0), (3, 0.0)], share=0.75)
    [(0, 2.5), (1, 2.0), (2, 1.6666666666666667), (3, 0.5)]
    """
    half = int(share * len(points)) // 2
    smoothed = []
    for i, (x, _) in enumerate(points):
        window = points[max(i - half, 0) : i + half + 1]
        smoothed.append((x, sum(y for _, y in window) / len(window)))
    return smoothed


def path(frame: Frame, points: Points, classes: str) -> str:
    """A line through the points."""
    at = " ".join(f"{frame.px(x):.1f},{frame.py(y):.1f}" for x, y in points)
    return f'<polyline class="{classes}" points="{at}"/>'


def dot(frame: Frame, point: tuple[float, float], tone: str) -> str:
    """One point."""
    return f'<circle class="dot {tone}" cx="{frame.px(point[0]):.1f}" cy="{frame.py(point[1]):.1f}" r="2.6"/>'
