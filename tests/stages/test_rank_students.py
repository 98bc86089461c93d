"""The ranking of untrained students."""

import json
from pathlib import Path
from typing import Any

from retkd.stages.rank_students import Config, run, sampled_texts
from retkd.students.dense import Dense
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
