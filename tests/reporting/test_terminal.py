"""The table on the terminal."""

from io import StringIO

from rich.console import Console

from retkd.reporting.figures import ABSENT
from retkd.reporting.terminal import gap_line, print_results


def printed(evidence, width):
    out = StringIO()
    evaluation = evidence.evaluation
    print_results(evaluation.measures, evaluation.gap, Console(file=out, width=width, color_system=None))
    return out.getvalue()


def test_a_row_per_system_and_a_gap_line_per_split(evidence):
    lines = printed(evidence, 120).splitlines()
    line = evidence.evaluation.measures["test"]["student"]["nDCG@10"]
    whole = f"{line['mean']:.3f} [{line['low']:.3f}, {line['high']:.3f}]"
    rows = [text for text in lines if text.strip().startswith("distilled student")]
    assert len(rows) == 2
    assert whole in rows[1]
    assert rows[1].rstrip().endswith("0.001")
    assert sum("baseline" in text for text in lines) == 2
    assert [text for text in lines if text.startswith("gap closed: ")] == [
        gap_line(evidence.evaluation.gap[split]) for split in ("dev", "test")
    ]


def test_a_narrow_terminal_breaks_between_mean_and_interval_only(evidence):
    lines = printed(evidence, 80).splitlines()
    line = evidence.evaluation.measures["test"]["student"]["nDCG@10"]
    assert all(len(text) <= 80 for text in lines if not text.startswith("gap"))
    assert any(f"[{line['low']:.3f}, {line['high']:.3f}]" in text for text in lines)


def test_a_gap_that_cannot_be_told_says_why():
    told = {"measure": "nDCG@10", "control": 0.5, "student": 0.6, "teacher": None, "closed": None, "p_value": 0.2}
    assert gap_line({**told, "reason": "not evaluated here: teacher"}) == (
        f"gap closed: not told by nDCG@10 (control 0.500, student 0.600, teacher {ABSENT}; "
        "student against control p = 0.200): "
        "not evaluated here: teacher"
    )
