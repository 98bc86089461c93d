"""Published scores as a teacher: matched by id or text, and everything that does not fit is told with file and line."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from retkd.errors import DataError
from retkd.formats import FORMATS
from retkd.formats.lists import training_lists
from retkd.teachers.base import Rows
from retkd.teachers.imported import Imported
from tests.conftest import MakeInputs
from tests.tables import rows_of, scored, teacher_scores
from tests.teachers.rows import everything

TABLE = scored(
    rows_of({"q0": [("d0", 3.0, 1), ("d1", 2.0, None), ("d2", 1.0, None)], "q1": [("d1", 2.0, 1), ("d2", 1.0, None)]}),
    "ce",
    [0.5, -1.25, 3.0, 2.0, 0.1],
)
DEV = rows_of({"q18": [("d18", 2.0, 1), ("d19", 1.0, None)]})


@pytest.fixture
def copied(inputs: MakeInputs, tmp_path: Path) -> Any:
    """Write the table in a format; the path to give to the teacher."""

    def write(name: str, table: Any = TABLE, **more: Any) -> Path:
        form = FORMATS[name]
        path = tmp_path / f"{name}{form.suffix}"
        if not form.suffix:
            path.mkdir()
        given = {"num_negatives": None, **more}
        form.write(training_lists(table, inputs().collection, "train", "ce", form, dropped=Counter(), **given), path)
        return {"pylate": path / "train.parquet", "nemo": path / "train.json"}.get(name, path)

    return write


def judged(inputs: MakeInputs, file: Path, rows: list[Rows] | None = None, **told: Any) -> Any:
    teacher = Imported(**{"file": str(file), "format": "flagembedding", "scale": "logit", **told})
    return teacher.judge("them", rows or [everything("train", TABLE)], inputs(), Path("unused"))


@pytest.mark.parametrize("name", ["flagembedding", "tevatron", "pylate", "nemo"])
def test_a_table_written_and_imported_by_id_has_its_scores_again(name: str, copied: Any, inputs: MakeInputs) -> None:
    found = judged(inputs, copied(name), format=name)
    assert np.array_equal(found.scores["train"], teacher_scores(TABLE, "ce"))
    assert found.scale == "logit"
    assert found.told == {"pairs_beyond_the_rows": 0}


@pytest.mark.parametrize("name", ["sentence_transformers", "flagembedding", "tevatron"])
def test_and_by_text(name: str, copied: Any, inputs: MakeInputs) -> None:
    even = TABLE.slice(0, 3)
    found = judged(inputs, copied(name, even), [everything("train", even)], format=name, match="text")
    assert np.array_equal(found.scores["train"], teacher_scores(even, "ce"))


def test_pairs_beyond_the_rows_are_counted(copied: Any, inputs: MakeInputs) -> None:
    found = judged(inputs, copied("flagembedding"), [Rows("train", TABLE, np.array([1, 3]))])
    assert found.scores["train"].tolist() == [-1.25, 2.0]
    assert found.told == {"pairs_beyond_the_rows": 3}


def test_a_split_that_the_file_does_not_cover_is_left_alone(copied: Any, inputs: MakeInputs) -> None:
    splits = [everything("train", TABLE), everything("dev", DEV)]
    assert set(judged(inputs, copied("tevatron"), splits, format="tevatron", splits=["train"]).scores) == {"train"}


def test_a_split_that_is_not_there_is_refused(copied: Any, inputs: MakeInputs) -> None:
    with pytest.raises(DataError, match=r"no split 'trian'(.*\n)*  next step: did you mean 'train'\?"):
        judged(inputs, copied("tevatron"), format="tevatron", splits=["trian"])


def test_a_missing_pair_is_refused(copied: Any, inputs: MakeInputs) -> None:
    splits = [everything("train", TABLE), everything("dev", DEV)]
    with pytest.raises(DataError) as error:
        judged(inputs, copied("flagembedding"), splits)
    assert "no score for 2 of the 7 candidates of teacher 'them'" in str(error.value)
    assert "'q18' with 'd18'" in str(error.value)


def wrong(path: Path, changed: dict[str, Any]) -> Path:
    """The file with its second line changed."""
    first, second = map(json.loads, path.read_text().splitlines())
    path.write_text(json.dumps(first) + "\n" + json.dumps({**second, **changed}) + "\n")
    return path


def test_an_unknown_id_is_told_with_its_line(copied: Any, inputs: MakeInputs) -> None:
    path = wrong(copied("flagembedding"), {"neg_ids": ["d999"]})
    with pytest.raises(DataError) as error:
        judged(inputs, path, [Rows("train", TABLE, np.array([0, 1, 2, 3]))])
    assert "the file scores a document that the collection does not have" in str(error.value)
    assert f"where: {path}, line 2" in str(error.value)
    assert "doc_id 'd999'" in str(error.value)


def test_a_nan_is_told_with_its_line(copied: Any, inputs: MakeInputs) -> None:
    path = wrong(copied("flagembedding"), {"neg_scores": [float("nan")]})
    with pytest.raises(DataError) as error:
        judged(inputs, path)
    assert "a score is not a finite number" in str(error.value)
    assert f"where: {path}, line 2" in str(error.value)


def test_two_scores_of_a_pair_are_told_with_the_second_line(copied: Any, inputs: MakeInputs) -> None:
    first = json.loads(copied("flagembedding").read_text().splitlines()[0])
    path = wrong(copied("flagembedding"), {**first, "pos_scores": [9.0]})
    with pytest.raises(DataError, match=r"a pair has two different scores\n  where: .*line 2\n.*: 0.5 and 9.0"):
        judged(inputs, path)


def test_nothing_to_match_by(copied: Any, inputs: MakeInputs) -> None:
    even = TABLE.slice(0, 3)
    with pytest.raises(DataError, match=r"the file has no ids to match by(.*\n)*.*`match: text`"):
        judged(inputs, copied("sentence_transformers", even), format="sentence_transformers")
    with pytest.raises(DataError, match=r"the file has no texts to match by(.*\n)*.*`match: id`"):
        judged(inputs, copied("pylate"), format="pylate", match="text")


def test_a_file_without_scores_is_refused(copied: Any, inputs: MakeInputs) -> None:
    path = copied("flagembedding")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [{key: value for key, value in record.items() if "scores" not in key} for record in records]
    path.write_text("".join(json.dumps(record) + "\n" for record in kept))
    with pytest.raises(DataError, match=r"a document of the file has no score\n  where: .*line 1"):
        judged(inputs, path)


def test_the_scale_must_be_named_and_the_format_known() -> None:
    with pytest.raises(ValidationError, match="Field required"):
        Imported(file="f", format="pylate")  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="did you mean 'tevatron'"):
        Imported(file="f", format="tevatrom", scale="logit")
