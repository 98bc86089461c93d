"""Numbers under `expected` that no evaluation gives are told when the recipe is read; what may be given is left to the run."""

import json
from pathlib import Path

import pytest

from retkd.errors import RecipeError
from retkd.expected import split_names
from retkd.recipe import load
from retkd.summary import expectations, summary
from tests.recipes import TEXT, line_of, written

TRANSFER = TEXT + "transfer: {other: {kind: beir, path: /data/other}}\n"


def with_lines(tmp_path: Path, text: str, *lines: str) -> Path:
    return written(tmp_path, text + "expected:\n" + "".join(f"  - {line}\n" for line in lines))


def error_of(path: Path, *overrides: str) -> str:
    with pytest.raises(RecipeError) as error:
        load(path, overrides)
    return str(error.value)


def test_misspelt_splits_systems_and_measures_all_together(tmp_path: Path) -> None:
    lines = (
        "{split: tset, system: student, measure: nDCG@10, value: 0.5}",
        "{system: studnt, value: 0.5}",
        "{measure: nDGC@10, value: 0.5}",
        "{system: gap, measure: clsed, value: 0.5}",
    )
    path = with_lines(tmp_path, TEXT, *lines)
    first = line_of("expected:", path.read_text()) + 1
    assert error_of(path) == (
        f"the recipe {path} cannot be run: 4 problems\n"
        "  - no evaluation of this recipe gives the split 'tset', so the run could only fail\n"
        f"      where: {path}:{first}, key expected.0.split\n"
        "      seen: tset\n"
        "      allowed: dev, test\n"
        "      next step: did you mean 'test'?\n"
        "  - no evaluation of this recipe gives the system 'studnt', so the run could only fail\n"
        f"      where: {path}:{first + 1}, key expected.1.system\n"
        "      seen: studnt\n"
        "      allowed: student, bm25, zero_shot, control, teacher, gap\n"
        "      next step: did you mean 'student'?\n"
        "  - no evaluation of this recipe gives the measure 'nDGC@10', so the run could only fail\n"
        f"      where: {path}:{first + 2}, key expected.2.measure\n"
        "      seen: nDGC@10\n"
        "      allowed: nDCG@10, MRR@10, R@100\n"
        "      next step: did you mean 'nDCG@10'?\n"
        "  - no evaluation of this recipe gives the measure 'clsed', so the run could only fail\n"
        f"      where: {path}:{first + 3}, key expected.3.measure\n"
        "      seen: clsed\n"
        "      allowed: closed, low, high, p_value, control, student, teacher\n"
        "      next step: did you mean 'closed'?"
    )


def test_systems_of_controls_the_gap_and_other_names_of_a_measure(tmp_path: Path) -> None:
    systems = ("student", "bm25", "zero_shot", "control", "teacher")
    lines = [f"{{system: {system}, measure: RR@10, value: 0.5}}" for system in systems]
    assert load(with_lines(tmp_path, TEXT, *lines, "{split: dev, system: gap, measure: closed, value: 0.5}"))


def test_a_measure_that_is_right_and_not_evaluated(tmp_path: Path) -> None:
    path = with_lines(tmp_path, TEXT, "{measure: P@3, value: 0.5}")
    assert error_of(path).endswith("next step: evaluate it, take this line out, or expect nothing: --set expected=[]")
    assert load(path, ["stages.evaluate.measures=[nDCG@10, P@3]"])
    assert load(path, ["expected=[]"])


def test_a_control_that_an_override_took_away(tmp_path: Path) -> None:
    path = with_lines(tmp_path, TEXT, "{system: control, value: 0.5}")
    assert load(path)
    told = error_of(path, "stages.evaluate.controls=[bm25]")
    assert "allowed: student, bm25, gap\n" in told


def test_splits_of_a_transfer_collection_have_its_name_before_them(tmp_path: Path) -> None:
    path = with_lines(tmp_path, TRANSFER, "{split: other/test, value: 0.5}", "{split: other/dev, value: 0.5}")
    assert load(path)
    path = with_lines(tmp_path, TRANSFER, "{split: othr/test, value: 0.5}")
    assert "allowed: dev, test, other/dev, other/test\n      next step: did you mean 'other/test'?" in error_of(path)


def test_a_split_that_the_collection_may_have_is_left_to_the_run(tmp_path: Path) -> None:
    path = with_lines(tmp_path, TEXT, "{split: train, value: 0.5}", "{split: test.de, value: 0.5}")
    recipe = load(path, ["stages.evaluate.splits=[train, test.de]"])
    told = {"splits": {"train": {"student": {"nDCG@10": {"mean": 0.5}}}}, "gaps": {}, "complete": True}
    (first, second) = expectations(recipe, told)
    assert (first["outcome"], second["outcome"], second["seen"]) == ("exact", "fail", None)
    assert load(with_lines(tmp_path, TEXT, "{split: train, value: 0.5}"), ["stages.evaluate.splits=all"])


SECOND = TRANSFER + "expected: [{split: chosen/test, measure: R10@1, value: 0.4}, {split: test, value: 0.5}]\n"
CHOSEN = """\
  chosen: {kind: evaluate, measures: [R10@1], primary: R10@1, systems: {student: {kind: rerank, candidates: score, teacher: ce}}}
  far: {kind: evaluate, collection: other, systems: {student: {kind: dense, model: train, index: index}}}
"""


def test_a_second_evaluation_of_a_split_hides_nothing_of_the_first(tmp_path: Path) -> None:
    """Both stand in the summary, and `expected` reaches both."""
    recipe = load(written(tmp_path, SECOND.replace("transfer:", CHOSEN + "transfer:")))
    assert split_names(recipe.stages, "evaluate") == {"dev": "dev", "test": "test"}
    assert split_names(recipe.stages, "chosen") == {"test": "chosen/test"}
    assert split_names(recipe.stages, "far") == {"test": "other/test"}
    values = {"evaluate": ("nDCG@10", 0.5), "chosen": ("R10@1", 0.4), "far": ("nDCG@10", 0.1)}
    for name, (measure, value) in values.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "measures.json").write_text(json.dumps({"test": {"student": {measure: {"mean": value}}}}))
        (tmp_path / name / "gap.json").write_text(json.dumps({"test": {"measure": measure}}))
    keys = ("key", "digest", "wall_seconds", "peak_memory_mib", "rows", "created")
    manifests = {name: dict.fromkeys(keys) for name in values}
    told = summary(recipe, {name: tmp_path / name for name in values}, manifests, tmp_path)
    assert {split: list(systems["student"]) for split, systems in told["splits"].items()} == {
        "test": ["nDCG@10"],
        "chosen/test": ["R10@1"],
        "other/test": ["nDCG@10"],
    }
    assert told["gap"]["measure"] == "nDCG@10"
    assert [line["outcome"] for line in expectations(recipe, told)] == ["exact", "exact"]


def test_a_misspelt_split_of_a_second_evaluation(tmp_path: Path) -> None:
    path = written(tmp_path, SECOND.replace("transfer:", CHOSEN + "transfer:").replace("chosen/", "chosn/"))
    assert "allowed: dev, test, chosen/test, other/test" in error_of(path)
    assert "did you mean 'chosen/test'?" in error_of(path)
