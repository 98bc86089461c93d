"""Means by the languages of queries and of what is relevant to them."""

import json
from pathlib import Path

import pytest

from retkd.collections.beir import Beir
from retkd.evaluation.languages import by_language, language_pairs
from retkd.evaluation.measures import measured
from retkd.stages import evaluate
from tests.conftest import MakeInputs, opened
from tests.tables import beir, rows_of, written

DOCUMENTS = {f"{lang}-{n}": "x" for lang in ("de", "en") for n in range(3)}
QUERIES = {"en-a": "a", "en-b": "b", "de-a": "c", "zz": "d"}
JUDGED = {"en-a": {"de-0": 1}, "en-b": {"de-1": 1}, "de-a": {"en-2": 1, "de-2": 1, "en-0": 0}, "zz": {"en-1": 1}}
RUN = {"en-a": ["de-0"], "en-b": ["de-0", "de-1"], "de-a": ["en-2"], "zz": ["en-0"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return beir(tmp_path / "c", DOCUMENTS, QUERIES, {"test": JUDGED})


def test_pairs_and_means_by_hand(folder: Path, tmp_path: Path) -> None:
    pairs = language_pairs(Beir(path=folder, id_language="^(..)-").open(tmp_path / "cache"), "test")
    assert pairs == {"en-a": "en-de", "en-b": "en-de", "de-a": "de-de+en", "zz": "?-en"}
    run = {query_id: [(d, -float(at)) for at, d in enumerate(ids)] for query_id, ids in RUN.items()}
    found = by_language(measured([("student", run)], JUDGED, ["MRR@10", "R@10"]), pairs)
    assert found == {
        "?-en": {"num_queries": 1, "means": {"student": {"MRR@10": 0.0, "R@10": 0.0}}},
        "de-de+en": {"num_queries": 1, "means": {"student": {"MRR@10": 1.0, "R@10": 0.5}}},
        "en-de": {"num_queries": 2, "means": {"student": {"MRR@10": 0.75, "R@10": 1.0}}},
    }


def test_without_languages_nothing_is_told(folder: Path, tmp_path: Path) -> None:
    assert language_pairs(opened(folder, tmp_path / "cache"), "test") == {}


@pytest.mark.parametrize("told", [True, False])
def test_the_artifact_has_them_where_they_are_told(
    inputs: MakeInputs, folder: Path, tmp_path: Path, told: bool
) -> None:
    collection = Beir(path=folder, id_language="^(..)-" if told else None).open(tmp_path / "cache")
    rows = rows_of({q: [(d, 9.0 - at, JUDGED[q].get(d)) for at, d in enumerate(ids)] for q, ids in RUN.items()})
    written(rows, tmp_path / "mined" / "test")
    config = evaluate.Config(systems={"student": {"kind": "candidates", "candidates": "mine"}}, num_resamples=100)
    (tmp_path / "out").mkdir()
    evaluate.run(config, inputs({"mine": tmp_path / "mined"}, collection=collection), tmp_path / "out")
    path = tmp_path / "out" / "languages.json"
    assert path.exists() == told
    if told:
        assert json.loads(path.read_text())["test"]["en-de"]["means"]["student"]["MRR@10"] == 0.75
