"""BM25 against Lucene's formula written out, on texts small enough to count by hand."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from retkd.collections.base import Query
from retkd.errors import DataError
from retkd.miners.bm25 import BM25, best_rows
from tests.conftest import MakeInputs, opened
from tests.tables import beir

TEXTS = {
    "d0": "red fish blue fish",
    "d1": "one fish two fish red fish",
    "d2": "green eggs",
    "d3": "green eggs",
    "d4": "a b c",
}
QRELS = {"train": {"q": {"d0": 1}}}
LENGTHS = {doc_id: len(text.split()) for doc_id, text in TEXTS.items()}


@pytest.fixture
def fish(inputs: MakeInputs, tmp_path: Path):  # type: ignore[no-untyped-def]
    folder = beir(tmp_path / "fish", TEXTS, {"q": "x"}, QRELS)
    return inputs(collection=opened(folder, tmp_path / "cache"))


def by_hand(query: str, k1: float, b: float) -> dict[str, float]:
    """sum over the query's terms of ln(1 + (N - n + 0.5) / (n + 0.5)) * tf / (tf + k1 (1 - b + b length / average))."""
    average = sum(LENGTHS.values()) / len(LENGTHS)
    scores: Counter[str] = Counter()
    for term in query.split():
        holders = {d: text.split().count(term) for d, text in TEXTS.items() if term in text.split()}
        idf = math.log(1 + (len(TEXTS) - len(holders) + 0.5) / (len(holders) + 0.5))
        for doc_id, count in holders.items():
            scores[doc_id] += idf * count / (count + k1 * (1 - b + b * LENGTHS[doc_id] / average))
    return scores


def mined(miner: BM25, inputs, *texts: str):  # type: ignore[no-untyped-def]
    return miner.mine([Query(str(i), text) for i, text in enumerate(texts)], inputs, miner.prepare(inputs))


@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.2, 0.75), (2.0, 0.0)])
@pytest.mark.parametrize("query", ["fish", "red fish", "green fish two", "fish fish"])
def test_lucenes_formula(fish, query: str, k1: float, b: float) -> None:  # type: ignore[no-untyped-def]
    (found,) = mined(BM25(analyzer="plain", k1=k1, b=b), fish, query)
    expected = by_hand(query, k1, b)
    assert sorted(found.doc_ids) == sorted(expected)
    assert found.scores.dtype == np.float32
    assert found.scores.tolist() == pytest.approx([expected[doc_id] for doc_id in found.doc_ids], rel=1e-5)
    assert (np.diff(found.scores) <= 0).all()
    assert found.sources == ["bm25"] * len(found.doc_ids)


def test_equal_scores_stand_in_the_collections_order_also_at_the_cut(fish) -> None:  # type: ignore[no-untyped-def]
    assert mined(BM25(analyzer="plain"), fish, "eggs")[0].doc_ids == ["d2", "d3"]
    assert mined(BM25(analyzer="plain", depth=1), fish, "eggs")[0].doc_ids == ["d2"]


def test_a_query_that_matches_nothing_gets_an_empty_ranking(fish) -> None:  # type: ignore[no-untyped-def]
    unknown, empty, some = mined(BM25(analyzer="plain"), fish, "whale", "", "eggs")
    assert unknown.doc_ids == empty.doc_ids == []
    assert len(unknown.scores) == 0
    assert len(some.doc_ids) == 2


def test_the_index_is_built_once_per_collection_and_setting(fish, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    first = mined(BM25(analyzer="plain"), fish, "red fish")[0]
    assert capsys.readouterr().err == "bm25: indexing 5 documents\n"
    again = mined(BM25(analyzer="plain", depth=7), fish, "red fish")[0]
    assert capsys.readouterr().err == ""
    assert (again.doc_ids, again.scores.tolist()) == (first.doc_ids, first.scores.tolist())
    mined(BM25(analyzer="plain", b=0.0), fish, "red fish")
    assert capsys.readouterr().err == "bm25: indexing 5 documents\n"
    assert not list(fish.store.rglob("*.tmp-*"))


def test_a_corpus_without_terms_is_refused(inputs: MakeInputs, tmp_path: Path) -> None:
    folder = beir(tmp_path / "empty", {"d0": "", "d1": "the of"}, {"q": "x"}, QRELS)
    with pytest.raises(DataError) as error:
        BM25().prepare(inputs(collection=opened(folder, tmp_path / "cache")))
    assert str(error.value) == (
        "no document has a single term to index\n"
        "  where: analyzer english\n"
        "  seen: 2 documents\n"
        "  next step: look at the corpus: are its texts empty?"
    )


@pytest.mark.parametrize("seed", range(5))
def test_best_rows_equals_a_full_stable_sort(seed: int) -> None:
    scores = np.random.default_rng(seed).integers(0, 6, 50).astype(np.float32)
    everything = [row for row in np.argsort(-scores, kind="stable") if scores[row] > 0]
    for depth in (1, 7, len(everything), len(everything) + 1, 50, 80):
        assert best_rows(scores, depth).tolist() == everything[:depth]
