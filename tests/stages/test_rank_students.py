"""The ranking of untrained students."""

import gc
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from retkd.stages.rank_students import Config, run, sampled_texts
from retkd.students.dense import Dense
from retkd.students.space import Search
from retkd.students.width import Width
from tests.conftest import MakeInputs, files

CONFIG = Config(
    teacher="teacher",
    students={
        "narrow": Dense(base="base", initialisation=[Width(hidden=16)]),
        "whole": Dense(base="base"),
        "one": Dense(base="base", layers=[1]),
    },
    num_texts=12,
    draws=2,
)


def ranked(config: Config, inputs: Any, out: Path) -> list[dict[str, Any]]:
    metrics = run(config, inputs, out)
    rows: list[dict[str, Any]] = json.loads((out / "students.json").read_text())
    assert metrics.values["first"] == rows[0]["name"]
    return rows


def test_the_teacher_itself_comes_first(inputs: MakeInputs, encoder_folder: Path, tmp_path: Path) -> None:
    given = inputs(models={"teacher": encoder_folder, "base": encoder_folder})
    rows = ranked(CONFIG, given, tmp_path / "first")
    assert rows[0]["name"] == "whole"
    assert abs(rows[0]["score"]) < 1e-9
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    told = {row["name"]: row for row in rows}
    assert told["narrow"]["flops"] < told["one"]["flops"] < told["whole"]["flops"]
    assert Dense(**told["one"]["student"]) == CONFIG.students["one"]
    run(CONFIG, given, tmp_path / "second")
    assert files(tmp_path / "second") == files(tmp_path / "first")


def test_with_random_weights_the_ranking_is_another(inputs: MakeInputs, encoder_folder: Path, tmp_path: Path) -> None:
    given = inputs(models={"teacher": encoder_folder, "base": encoder_folder})
    rows = ranked(Config(**{**dict(CONFIG), "weights": "random"}), given, tmp_path)
    assert all(row["score"] == -sum(row["random"].values()) < 0 for row in rows)


def test_the_texts_are_those_of_the_smallest_hashes(inputs: MakeInputs) -> None:
    collection = inputs().collection
    few, more = sampled_texts(collection, 5), sampled_texts(collection, 9)
    assert more[:5] == few
    assert len(set(more)) == 9


def test_a_search_ranks_everything_that_it_tried(inputs: MakeInputs, encoder_folder: Path, tmp_path: Path) -> None:
    """Of two layers and two widths it tries all six students; the base is over no budget here, and wins."""
    given = inputs(models={"teacher": encoder_folder, "base": encoder_folder})
    search = Search(student=Dense(base="base"), widths=[16], max_parameters=10**9, generations=2)
    config = Config(teacher="teacher", search=search, num_texts=6, draws=1)
    metrics = run(config, given, tmp_path / "first")
    rows = json.loads((tmp_path / "first" / "students.json").read_text())
    assert rows[0]["name"] == metrics.values["first"] == "layers-0-1"
    assert {row["name"] for row in rows} == {
        f"layers-{layers}{width}" for layers in ("0", "1", "0-1") for width in ("", "-hidden-16")
    }
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    assert metrics.values["search"]["tried"] == metrics.rows_out == 6
    assert metrics.values["search"]["best_score_by_generation"][-1] == pytest.approx(rows[0]["score"], abs=1e-6)
    run(config, given, tmp_path / "second")
    assert files(tmp_path / "second") == files(tmp_path / "first")


def test_a_searched_student_is_scored_as_a_listed_one(inputs: MakeInputs, encoder_folder: Path, tmp_path: Path) -> None:
    """And the budget holds: without the base and without both layers at once the narrow ones are left, and the single ones."""
    given = inputs(models={"teacher": encoder_folder, "base": encoder_folder})
    listed = {"one": Dense(base="base", layers=[1]), "base": Dense(base="base")}
    most = next(row for row in ranked(CONFIG, given, tmp_path / "list") if row["name"] == "one")["flops"]
    search = Search(student=Dense(base="base"), widths=[16], max_flops=most)
    config = Config(teacher="teacher", students=listed, search=search, num_texts=6, draws=1)
    rows = {row["name"]: row for row in ranked(config, given, tmp_path / "both")}
    assert set(rows) == {
        *listed,
        *("layers-0", "layers-1", "layers-0-hidden-16", "layers-1-hidden-16", "layers-0-1-hidden-16"),
    }
    assert rows["layers-1"] == {**rows["one"], "name": "layers-1"}
    narrow = Dense(base="base", layers=[0, 1], initialisation=[Width(hidden=16)])
    assert Dense(**rows["layers-0-1-hidden-16"]["student"]) == narrow
    assert all(row["flops"] <= most for name, row in rows.items() if name != "base")


def test_no_more_than_one_student_is_in_memory(
    inputs: MakeInputs, encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import SentenceTransformer

    alive, given = [], inputs(models={"teacher": encoder_folder, "base": encoder_folder})
    make = Dense.made

    def counted(self: Dense, *told: Any) -> Any:
        alive.append(sum(isinstance(each, SentenceTransformer) for each in gc.get_objects()))
        return make(self, *told)

    gc.collect()
    before = sum(isinstance(each, SentenceTransformer) for each in gc.get_objects())
    monkeypatch.setattr(Dense, "made", counted)
    gc.disable()
    try:
        run(CONFIG, given, tmp_path)
    finally:
        gc.enable()
    assert max(alive) <= before + 1
    assert len(alive) == len(CONFIG.students)


def test_nothing_to_rank_and_names_of_the_search_are_refused() -> None:
    with pytest.raises(ValidationError, match="there is nothing to rank: give `students`, a `search`, or both"):
        Config(teacher="teacher")
    search = Search(student=Dense(base="base"), max_flops=1)
    with pytest.raises(ValidationError, match="none may begin with layers-"):
        Config(teacher="teacher", students={"layers-1": Dense(base="base")}, search=search)
