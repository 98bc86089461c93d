"""Table -> file of another tool -> lists: pairs, labels and scores come back as far as the format can hold them."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retkd.collections.base import Collection
from retkd.errors import DataError, ScaleError
from retkd.formats import FORMATS
from retkd.formats.lists import chosen_teacher, training_lists
from tests.tables import rows_of, scored

ROWS = rows_of(
    {
        "q0": [("d5", 4.0, None), ("d0", 3.0, 1), ("d6", 2.0, 0), ("d7", 1.0, 2)],
        "q1": [("d1", 3.0, 1), ("d8", 2.0, None), ("d9", 1.0, None)],
    }
)
SCORES = [float(np.float32(s)) for s in (0.1, 7.25, -3.3, 2e-7, 9.9, -1.5, 0.0)]
TABLE = scored(ROWS, "ce", SCORES)


def lists(collection: Collection, name: str, teacher: str | None = "ce", table: Any = TABLE, **more: Any) -> list[Any]:
    dropped: Counter[str] = Counter()
    given = {"num_negatives": None, **more}
    return list(training_lists(table, collection, "train", teacher, FORMATS[name], dropped=dropped, **given))


def there_and_back(name: str, given: list[Any], folder: Path) -> list[Any]:
    path = folder / f"copy{FORMATS[name].suffix}"
    if not FORMATS[name].suffix:
        path.mkdir()
    FORMATS[name].write(given, path)
    return list(FORMATS[name].read(path))


def held(found: list[Any], *, ids: bool, labels: bool) -> set[Any]:
    """What a list holds, pair by pair."""
    return {
        (
            each.query_id if ids else each.query,
            document.doc_id if ids else document.text,
            document.positive if labels else None,
            np.float32(document.score),
        )
        for each in found
        for document in each.documents
    }


@pytest.mark.parametrize("name", ["flagembedding", "tevatron", "nemo"])
def test_ids_labels_and_scores_come_back(name: str, collection: Collection, tmp_path: Path) -> None:
    given = lists(collection, name)
    found = there_and_back(name, given, tmp_path)
    assert held(found, ids=True, labels=True) == held(given, ids=True, labels=True)
    assert held(found, ids=False, labels=True) == held(given, ids=False, labels=True)
    assert len(held(given, ids=True, labels=True)) == 7


def test_sentence_transformers_keeps_texts_and_scores(collection: Collection, tmp_path: Path) -> None:
    """Two positives of q0 make two rows; the ids are gone."""
    given = lists(collection, "sentence_transformers", num_negatives=2)
    found = there_and_back("sentence_transformers", given, tmp_path)
    assert len(found) == 3
    assert held(found, ids=False, labels=True) == held(given, ids=False, labels=True)
    assert {each.query_id for each in found} == {None}


def test_pylate_keeps_everything_but_labels(collection: Collection, tmp_path: Path) -> None:
    given = lists(collection, "pylate")
    found = there_and_back("pylate", given, tmp_path)
    assert held(found, ids=True, labels=False) == held(given, ids=True, labels=False)
    assert held(found, ids=False, labels=False) == held(given, ids=False, labels=False)
    assert [document.doc_id for document in found[0].documents] == ["d0", "d7", "d5", "d6"]
    alone = list(FORMATS["pylate"].read(tmp_path / "copy" / "train.parquet"))
    assert alone[0].query is None
    assert held(alone, ids=True, labels=False) == held(given, ids=True, labels=False)


@pytest.mark.parametrize("name", ["sentence_transformers", "flagembedding", "tevatron", "nemo"])
def test_without_a_teacher_no_score_is_written(name: str, collection: Collection, tmp_path: Path) -> None:
    found = there_and_back(name, lists(collection, name, None, num_negatives=2), tmp_path)
    assert {document.score for each in found for document in each.documents} == {None}


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_the_same_lists_give_the_same_bytes(name: str, collection: Collection, tmp_path: Path) -> None:
    written = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        there_and_back(name, lists(collection, name, num_negatives=2), tmp_path / folder)
        files = sorted(path for path in (tmp_path / folder).rglob("*") if path.is_file())
        written.append([(path.relative_to(tmp_path / folder), path.read_bytes()) for path in files])
    assert written[0] == written[1]


def test_flagembedding_has_the_fields_that_its_dataset_reads(collection: Collection, tmp_path: Path) -> None:
    there_and_back("flagembedding", lists(collection, "flagembedding"), tmp_path)
    first = json.loads((tmp_path / "copy.jsonl").read_text().splitlines()[0])
    assert set(first) == {"query", "pos", "neg", "pos_scores", "neg_scores", "query_id", "pos_ids", "neg_ids"}
    assert [len(first[key]) for key in ("pos", "neg", "pos_scores", "neg_scores")] == [2, 2, 2, 2]
    assert first["pos_scores"] == [7.25, 2e-7]


def test_nemos_corpus_loads_as_its_loader_loads_it(collection: Collection, tmp_path: Path) -> None:
    import datasets

    there_and_back("nemo", lists(collection, "nemo"), tmp_path)
    corpus = datasets.load_dataset(str(tmp_path / "copy" / "corpus"), cache_dir=str(tmp_path / "cache"))["train"]
    assert sorted(corpus["id"]) == ["d0", "d1", "d5", "d6", "d7", "d8", "d9"]
    whole = json.loads((tmp_path / "copy" / "train.json").read_text())
    assert whole["corpus"] == [{"path": "corpus"}]
    assert (
        whole["data"][0]["corpus_id"]
        == json.loads((tmp_path / "copy/corpus/merlin_metadata.json").read_text())["corpus_id"]
    )


def test_sentence_transformers_rows_train_its_own_loss(
    collection: Collection, encoder_folder: Path, tmp_path: Path
) -> None:
    import datasets
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import losses

    there_and_back("sentence_transformers", lists(collection, "sentence_transformers", num_negatives=2), tmp_path)
    rows = datasets.load_dataset("json", data_files=str(tmp_path / "copy.jsonl"), cache_dir=str(tmp_path / "cache"))
    assert rows["train"].column_names == ["query", "positive", "negative_1", "negative_2", "scores"]
    import torch

    model = SentenceTransformer(str(encoder_folder), device="cpu")
    columns = rows["train"].column_names[:-1]
    features = [model.preprocess(list(rows["train"][name])) for name in columns]
    labels = torch.tensor(rows["train"]["scores"][:])
    for loss in (losses.MarginMSELoss(model), losses.DistillKLDivLoss(model)):
        assert torch.isfinite(loss(features, labels))


def test_lists_of_different_length_need_a_number(collection: Collection, tmp_path: Path) -> None:
    uneven = scored(
        rows_of(
            {"q0": [("d0", 2.0, 1), ("d5", 1.0, None)], "q1": [("d1", 3.0, 1), ("d8", 2.0, None), ("d9", 1.0, None)]}
        ),
        "ce",
        [1.0] * 5,
    )
    with pytest.raises(DataError, match=r"the lists differ in length(.*\n)*.*`--negatives N` keeps"):
        there_and_back("sentence_transformers", lists(collection, "sentence_transformers", table=uneven), tmp_path)
    kept = lists(collection, "sentence_transformers", table=uneven, num_negatives=2)
    assert [each.query_id for each in kept] == ["q1"]


def test_what_is_left_out_is_counted(collection: Collection) -> None:
    table = rows_of({"q0": [("d5", 2.0, None)], "q1": [("d1", 2.0, 1)], "q2": [("d2", 2.0, 1), ("d3", 1.0, None)]})
    dropped: Counter[str] = Counter()
    found = list(training_lists(table, collection, "train", None, FORMATS["tevatron"], None, dropped))
    assert [each.query_id for each in found] == ["q2"]
    assert dropped == {"lists without a positive": 1, "lists without a negative": 1}


def test_a_row_without_a_score_is_refused(collection: Collection) -> None:
    with pytest.raises(DataError, match=r"1 rows have no score of teacher 'ce'\n  where: query_id 'q0', doc_id 'd0'"):
        lists(collection, "pylate", table=scored(ROWS, "ce", [1.0, None, 1.0, 1.0, 1.0, 1.0, 1.0]))


def test_a_teacher_that_only_ranks_is_refused(collection: Collection) -> None:
    with pytest.raises(ScaleError, match="teacher 'ce' only ranks"):
        lists(collection, "pylate", table=scored(ROWS, "ce", SCORES, "rank"))


def test_which_teacher_must_be_clear() -> None:
    pylate, tevatron = FORMATS["pylate"], FORMATS["tevatron"]
    assert chosen_teacher(TABLE, None, pylate) == "ce"
    assert chosen_teacher(ROWS, None, tevatron) is None
    with pytest.raises(DataError, match="made of scores, and no teacher has scored"):
        chosen_teacher(ROWS, None, pylate)
    with pytest.raises(DataError, match=r"several teachers(.*\n)*.*--teacher ce"):
        chosen_teacher(scored(TABLE, "bi", SCORES), None, pylate)
    with pytest.raises(DataError, match="did you mean 'ce'"):
        chosen_teacher(TABLE, "cee", pylate)
