"""Score distributions: each series by its own total, so that few positives can be seen beside many others."""

from collections.abc import Mapping, Sequence

from retkd.reporting.svg import Frame

TONES = ("student", "other", "teacher", "control")


def histogram(
    edges: Sequence[float],
    series: Mapping[str, Sequence[float]],
    title: str,
    tones: Sequence[str] = TONES,
    x: tuple[float, float] | None = None,
) -> str:
    """Overlaid steps as an ``<svg>``; ``series`` maps a name to one count per bin. ``x``: the axis, if not the bins'."""
    shares = {name: [count / (sum(counts) or 1) for count in counts] for name, counts in series.items()}
    highest = max((share for of in shares.values() for share in of), default=0.0) or 1.0
    low, high = x or (edges[0], edges[-1])
    frame = Frame(x=(low, high if high > low else low + 1.0), y=(0.0, 1.05 * highest), height=170)
    drawn = [_steps(frame, edges, shares[name], tone) for name, tone in zip(shares, tones, strict=False)]
    return frame.drawn(drawn, title, "score", y_ticks=False)


def tones_of(series: Mapping[str, object], tones: Sequence[str] = TONES) -> dict[str, str]:
    """name -> colour class, for the legend beside :func:`histogram`."""
    return dict(zip(series, tones, strict=False))


def _steps(frame: Frame, edges: Sequence[float], shares: Sequence[float], tone: str) -> str:
    base = frame.py(0.0)
    at = [f"{frame.px(edges[0]):.1f},{base:.1f}"]
    for left, right, share in zip(edges, edges[1:], shares, strict=False):
        y = frame.py(share)
        at += [f"{frame.px(left):.1f},{y:.1f}", f"{frame.px(right):.1f},{y:.1f}"]
    at.append(f"{frame.px(edges[-1]):.1f},{base:.1f}")
    return f'<polygon class="area {tone}" points="{" ".join(at)}"/>'
