"""The chart of a student's exits: which systems are drawn, and where."""

import re
from typing import Any

from retkd.reporting.evidence import Evaluation, Evidence
from retkd.reporting.exit_chart import exit_charts


def evidence(systems: dict[str, str], means: dict[str, float]) -> Evidence:
    """A train stage with exits after 2 and 6 layers, which are 4 and 2 ms a query, and an evaluation of these systems."""
    timings = {
        f"exit{n}.{what}": value
        for n, values in {2: (1.5, 300.0), 6: (4.0, 100.0)}.items()
        for what, value in zip(("ms_per_single_query", "documents_per_second"), values, strict=True)
    }
    params = {"systems": {name: {"kind": "dense", "model": model} for name, model in systems.items()}}
    manifests: dict[str, Any] = {
        "train": {"kind": "train", "digest": "abc", "timings": timings},
        "plain": {"kind": "train", "digest": "def", "timings": {}},
        "evaluate": {"kind": "evaluate", "key_inputs": {"params": params}},
    }
    measures = {"test": {name: {"nDCG@10": {"mean": mean}} for name, mean in means.items()}}
    evaluation = Evaluation("evaluate", measures, {}, {}, {}, {"primary": "nDCG@10"})
    return Evidence("r", evaluation, "d", {}, manifests)


def test_a_faster_and_worse_exit_is_to_the_right_and_below() -> None:
    systems = {"small": "stage:abc:exit2", "student": "stage:abc", "other": "stage:def", "zero": "model:abc"}
    (chart,) = exit_charts(evidence(systems, {"small": 0.4, "student": 0.5, "other": 0.9, "zero": 0.1}))
    assert chart["title"] == "train: nDCG@10 on test"
    assert chart["note"] == (
        "2 layers: 0.400, 1.5 ms a query, 300 documents a second; 6 layers: 0.500, 4.0 ms a query, 100 documents a second"
    )
    dots = re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', chart["svg"])
    (fast_x, fast_y), (slow_x, slow_y) = ((float(x), float(y)) for x, y in dots)
    assert fast_x > slow_x
    assert fast_y > slow_y
    assert "exit 2 · 1.5 ms" in chart["svg"]


def test_exits_that_are_not_evaluated_are_not_drawn() -> None:
    assert exit_charts(evidence({"other": "stage:def"}, {"other": 0.4})) == []
