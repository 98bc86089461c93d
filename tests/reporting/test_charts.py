"""Charts put data where they belong."""

import re
from dataclasses import replace

import pytest

from retkd.reporting.distributions import Panel, axis, distribution_charts
from retkd.reporting.gap_chart import bars, meter
from retkd.reporting.histogram import histogram
from retkd.reporting.line_chart import MOST_POINTS, Series, blocks, line_chart
from retkd.reporting.results import Cell, Row
from retkd.reporting.svg import Frame, span, ticks


def test_a_frame_maps_corners_to_corners():
    frame = Frame(x=(0.0, 10.0), y=(-1.0, 1.0), width=360, height=210)
    assert (frame.px(0.0), frame.px(10.0)) == (46, 346)
    assert (frame.py(-1.0), frame.py(1.0)) == (176, 10)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.31, 0.62), (-14.2, 9.7), (1.0, 40_000.0), (1e-5, 3e-5)])
def test_ticks_are_few_and_inside(low, high):
    found = ticks(low, high, 5)
    assert 2 <= len(found) <= 8
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)


def test_long_series_are_thinned_to_means():
    points = [(float(i), float(i % 2)) for i in range(100_000)]
    thinned = blocks(points)
    assert len(thinned) <= MOST_POINTS
    assert all(y == pytest.approx(0.5, abs=0.01) for _, y in thinned)
    assert len(line_chart([Series("train", "student", points)], "loss", smooth=True)) < 12_000


def test_one_point_and_constant_series_are_drawn():
    for points in ([(1.0, 0.5)], [(0.0, 0.5), (1.0, 0.5)]):
        svg = line_chart([Series("a", "student", points)], "a <title>")
        assert "nan" not in svg
        assert "a &lt;title&gt;" in svg
    assert span([0.5, 0.5]) == (0.0, 1.0)


def test_histogram_groups_are_drawn_by_their_own_total():
    svg = histogram([0.0, 1.0, 2.0], {"few": [1, 0], "many": [0, 1000]}, "scores")
    few, many = re.findall(r'<polygon class="area \w+" points="([^"]+)"', svg)
    highest = {min(float(point.split(",")[1]) for point in points.split()) for points in (few, many)}
    assert len(highest) == 1
    assert "nan" not in histogram([0.0, 1.0], {"none": [0]}, "scores")


def panel(scale, low, high):
    """A panel of two bins."""
    return Panel("a", "b", "c: ", scale, [low, (low + high) / 2, high], {"all": [1, 1]})


def test_scores_of_one_scale_share_an_axis_while_each_has_a_quarter_of_it():
    cosines = [panel("cosine", -0.2, 0.6), panel("cosine", 0.4, 0.7)]
    logits, scores = panel("logit", -8.0, 8.0), panel("dense", 20.0, 90.0)
    panels = [*cosines, logits, scores, panel("dense", 0.2, 0.9)]
    assert [axis(each, panels) for each in panels] == [(-0.2, 0.7), (-0.2, 0.7), (-8.0, 8.0), (20.0, 90.0), (0.2, 0.9)]
    assert logits.note == "c: \N{MINUS SIGN}8 to 8"


def test_a_histogram_is_drawn_on_the_axis_that_it_is_given():
    own, shared = histogram([0.0, 1.0], {"all": [1]}, "s"), histogram([0.0, 1.0], {"all": [1]}, "s", x=(0.0, 2.0))
    rightmost = [
        max(float(point.split(",")[0]) for point in re.findall(r"[\d.]+,[\d.]+", svg)) for svg in (own, shared)
    ]
    assert rightmost == [346.0, 196.0]


def test_teachers_of_one_scale_and_systems_of_one_kind_share_an_axis(evidence):
    edges = {"wide": [-0.5, 0.0, 1.0], "narrow": [0.0, 0.2, 0.6]}
    audits = {
        stage: {"split": "train", "score_histograms": {f"{stage}: all": {"edges": each, "counts": [1, 1]}}}
        for stage, each in edges.items()
    }
    told = {"metrics": {name: {"scale": "cosine"} for name in edges} | {"rows_below_depth": 0}}
    manifests = {**evidence.manifests, "score": {**evidence.manifests["score"], **told}}
    lists, rankings = distribution_charts(replace(evidence, audits=audits, manifests=manifests)).values()
    charts = [*lists, *rankings]
    ticks = [re.findall(r'text-anchor="middle">([^<]*)<', chart["svg"]) for chart in charts]
    assert ticks[0] == ticks[1]
    assert ticks[2] == ticks[3] == ticks[4]
    assert charts[1]["note"] == "narrow, split train: 0 to 0.6"
    own = distribution_charts(replace(evidence, audits=audits))["Training lists"]
    assert re.findall(r'text-anchor="middle">([^<]*)<', own[1]["svg"]) != ticks[1]


def test_bars_start_at_zero_on_one_scale():
    rows = [Row("bm25", {"m": Cell(0.3, 0.2, 0.4, None, None)}), Row("student", {"m": Cell(0.6, 0.5, 0.7, 0.3, 0.01)})]
    drawn = bars(rows, "m")
    assert drawn.bars[1].end == pytest.approx(2 * drawn.bars[0].end)
    assert drawn.ticks[0] == (0.0, "0")
    assert max(bar.high for bar in drawn.bars) <= 100.0


def test_the_meter_keeps_order_and_is_absent_without_a_gap():
    told = {"closed": 0.5, "low": 0.2, "high": 0.9}
    found = meter(told)
    assert found is not None
    assert (found.control, found.student, found.teacher) == (0.0, 50.0, 100.0)
    assert (found.low, found.high) == (20.0, 90.0)
    assert meter({**told, "closed": None}) is None
