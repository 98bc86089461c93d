"""Which stage trained a system's model, also behind a choice among several."""

from types import SimpleNamespace
from typing import Any

from retkd.reporting.lineage import stage_of_system


def evidence(model: str, place: int) -> Any:
    """An evaluation of one student, which is a choice between two trained ones."""
    manifests = {
        "first": {"kind": "train", "digest": "1", "key_inputs": {"params": {}}},
        "second": {"kind": "train", "digest": "2", "key_inputs": {"params": {}}},
        "chosen": {
            "kind": "choose",
            "digest": "3",
            "key_inputs": {"params": {"models": ["stage:1", "stage:2", "model:9"]}},
            "metrics": {"place": place},
        },
        "evaluate": {
            "kind": "evaluate",
            "digest": "4",
            "key_inputs": {"params": {"systems": {"student": {"model": model}}}},
        },
    }
    return SimpleNamespace(manifests=manifests, evaluation=SimpleNamespace(name="evaluate"))


def test_the_stage_behind_a_system() -> None:
    assert stage_of_system(evidence("stage:1", 1), "student") == "first"
    assert stage_of_system(evidence("stage:3", 1), "student") == "first"
    assert stage_of_system(evidence("stage:3", 2), "student") == "second"
    assert stage_of_system(evidence("stage:3", 3), "student") is None
    assert stage_of_system(evidence("model:7", 1), "student") is None
