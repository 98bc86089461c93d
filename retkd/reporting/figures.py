"""How numbers are written, everywhere the same."""

# ruff: noqa: RUF001, RUF002

import math

ABSENT = "–"
"""What stands where there is no number."""


def number(value: float | None, digits: int = 3) -> str:
    """A measure or a score.

    >>> number(0.41249), number(None)
    ('0.412', '–')
    """
    return ABSENT if value is None else f"{value:.{digits}f}"


def with_interval(value: float, low: float, high: float) -> str:
    """A mean and its interval.

    >>> with_interval(0.412, 0.3981, 0.4269)
    '0.412 [0.398, 0.427]'
    """
    return f"{number(value)} {interval(low, high)}"


def interval(low: float, high: float) -> str:
    """An interval in brackets.

    >>> interval(0.3981, 0.4269)
    '[0.398, 0.427]'
    """
    return f"[{number(low)}, {number(high)}]"


def signed(value: float | None) -> str:
    """A difference, with a true minus.

    >>> signed(0.0312), signed(-0.0312), signed(None)
    ('+0.031', '−0.031', '–')
    """
    return ABSENT if value is None else true_minus(f"{value:+.3f}")


def p_value(p: float | None) -> str:
    """A p-value with its sign, so that ``p`` can stand before it.

    >>> p_value(0.00009), p_value(0.0314), p_value(None)
    ('< 0.001', '= 0.031', '–')
    """
    if p is None:
        return ABSENT
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def percent(share: float | None, digits: int = 0) -> str:
    """A share in percent, with a space that no line breaks at.

    >>> percent(0.6249), percent(0.0312, 1), percent(-0.05), percent(-0.003), percent(None)
    ('62\\xa0%', '3.1\\xa0%', '−5\\xa0%', '0\\xa0%', '–')
    """
    return ABSENT if share is None else true_minus(f"{100 * share:z.{digits}f}\N{NO-BREAK SPACE}%")


def true_minus(text: str) -> str:
    """A written number with a minus that is as wide as a plus.

    >>> true_minus("-3")
    '−3'
    """
    return text.replace("-", "−")


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them.

    >>> duration(0.042), duration(8.26), duration(754), duration(7384)
    ('0.04 s', '8.3 s', '12 min 34 s', '2 h 3 min')
    """
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {round(seconds % 60):d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"


def size(num_bytes: float) -> str:
    """Bytes in the binary unit that suits them.

    >>> size(512), size(45_300_000), size(3_221_225_472)
    ('512 B', '43.2 MiB', '3.00 GiB')
    """
    if num_bytes < 1024:
        return f"{num_bytes:.0f} B"
    power = min(int(math.log2(num_bytes) // 10), 4)
    value = num_bytes / 1024**power
    return f"{value:.{2 if value < 10 else 1}f} {('KiB', 'MiB', 'GiB', 'TiB')[power - 1]}"


def plain(value: object) -> str:
    """Any leaf of a manifest: thousands marked, floats to four significant places, nothing lost in between.

    >>> plain(11809), plain(0.123456), plain(True), plain(None), plain("bm25")
    ('11,809', '0.1235', 'yes', '–', 'bm25')
    """
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)
