"""Lucene through Pyserini: against the embedded BM25, on real collections and on texts small enough to count by hand."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from retkd import java
from retkd.collections.base import Collection, Query
from retkd.errors import MissingExtraError, RetkdError
from retkd.miners import AnyMiner
from retkd.miners.base import Ranking
from retkd.miners.bm25 import BM25
from retkd.miners.lucene import RM3, Lucene, pyserini
from retkd.stage import Inputs
from tests.conftest import MakeInputs, opened
from tests.miners.test_bm25 import QRELS, TEXTS
from tests.tables import beir

DATA = Path(os.environ.get("RETKD_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
INSTALLED = find_spec("pyserini") is not None
MISSING = "the extra lucene is not installed" if not INSTALLED else java.problem()
needs_lucene = pytest.mark.skipif(MISSING is not None, reason=f"Lucene cannot run here: {MISSING}")


def mined(miner: Any, ready: Inputs, queries: list[Query]) -> list[Ranking]:
    return miner.mine(queries, ready, miner.prepare(ready))  # type: ignore[no-any-return]


@pytest.mark.skipif(INSTALLED, reason="Pyserini is installed")
def test_without_the_extra() -> None:
    with pytest.raises(MissingExtraError) as error:
        pyserini()
    assert str(error.value) == (
        "the miner lucene needs the package pyserini, which is not installed\n  next step: pip install 'retkd[lucene]'"
    )


@pytest.mark.skipif(not INSTALLED, reason="the extra lucene is not installed")
def test_on_an_old_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(RetkdError, match="the miner lucene cannot run on this Java\n"):
        pyserini()


def test_feedback_has_anserinis_settings_unless_others_are_given() -> None:
    parsed = TypeAdapter(AnyMiner).validate_python({"kind": "lucene", "rm3": {"fb_docs": 5}})
    assert parsed.rm3 == RM3(fb_terms=10, fb_docs=5, original_query_weight=0.5)
    assert TypeAdapter(AnyMiner).validate_python({"kind": "lucene"}).rm3 is None


@pytest.fixture
def fish(inputs: MakeInputs, tmp_path: Path) -> Inputs:
    folder = beir(tmp_path / "fish", TEXTS, {"q": "x"}, QRELS)
    return inputs(collection=opened(folder, tmp_path / "cache"))


@pytest.mark.lucene
@needs_lucene
def test_it_ranks_as_the_embedded_bm25_and_builds_its_index_once(
    fish: Inputs, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["fish", "red fish", "green fish two", "eggs", "whale", "", "the of"]
    queries = [Query(str(number), text) for number, text in enumerate(texts)]
    found = mined(Lucene(), fish, queries)
    for ours, lucenes in zip(mined(BM25(), fish, queries), found, strict=True):
        assert lucenes.doc_ids == ours.doc_ids
        assert lucenes.scores == pytest.approx(ours.scores, abs=2e-3)
        assert lucenes.sources == ["lucene"] * len(ours.doc_ids)
    assert "lucene: indexing 5 documents" in capsys.readouterr().err
    again = mined(Lucene(depth=1, k1=1.2, b=0.75, skip=1), fish, queries)
    assert "lucene: indexing" not in capsys.readouterr().err
    assert [len(ranking.doc_ids) for ranking in again] == [1, 1, 1, 1, 0, 0, 0]
    assert "OPENAI_API_KEY" not in os.environ


@pytest.mark.lucene
@needs_lucene
def test_feedback_finds_documents_without_a_term_of_the_query(inputs: MakeInputs, tmp_path: Path) -> None:
    texts = {"d0": "trout river", "d1": "trout river", "far": "river bank"}
    texts |= {f"other{number}": f"desert{number} sand{number}" for number in range(40)}
    folder = beir(tmp_path / "beir", texts, {"q": "x"}, {"train": {"q": {"d0": 1}}})
    ready, queries = inputs(collection=opened(folder, tmp_path / "cache")), [Query("q", "trout")]
    assert "far" not in mined(Lucene(), ready, queries)[0].doc_ids
    found = mined(Lucene(rm3=RM3(fb_docs=3, original_query_weight=0.4)), ready, queries)[0].doc_ids
    assert "far" in found
    assert not any(doc_id.startswith("other") for doc_id in found)


@pytest.mark.lucene
@needs_lucene
def test_a_document_without_text_is_never_found(inputs: MakeInputs, tmp_path: Path) -> None:
    folder = beir(tmp_path / "beir", {"d0": "trout", "empty": " "}, {"q": "x"}, {"train": {"q": {"d0": 1}}})
    ready = inputs(collection=opened(folder, tmp_path / "cache"))
    assert mined(Lucene(), ready, [Query("q", "trout")])[0].doc_ids == ["d0"]


def agreement(ours: list[Ranking], lucenes: list[Ranking]) -> dict[str, float]:
    """Mean over queries of the overlap at 10 and 100 and of Kendall's tau over shared documents; how far scores differ."""
    from scipy.stats import kendalltau

    overlaps: dict[int, list[float]] = {10: [], 100: []}
    taus, differences = [], [0.0]
    for one, other in zip(ours, lucenes, strict=True):
        for depth, found in overlaps.items():
            sets = set(one.doc_ids[:depth]), set(other.doc_ids[:depth])
            found.append(len(sets[0] & sets[1]) / max(len(sets[0]), len(sets[1]), 1))
        scores = dict(zip(other.doc_ids, other.scores.tolist(), strict=True))
        pairs = [(s, scores[d]) for d, s in zip(one.doc_ids, one.scores.tolist(), strict=True) if d in scores]
        taus.append(kendalltau(*zip(*pairs, strict=True)).statistic if len(pairs) > 1 else 1.0)
        differences += [abs(a - b) for a, b in pairs]
    told = {f"overlap@{depth}": float(np.mean(found)) for depth, found in overlaps.items()}
    return {**told, "kendall": float(np.mean(taus)), "largest_difference": max(differences)}


@pytest.mark.lucene
@needs_lucene
@pytest.mark.parametrize("name", ["cranfield", "vaswani-npl"])
def test_the_embedded_bm25_agrees_with_lucene_on_real_text(inputs: MakeInputs, tmp_path: Path, name: str) -> None:
    if not (DATA / name).is_dir():
        pytest.skip(f"no {name} under RETKD_DATA")
    collection: Collection = opened(DATA / name, tmp_path / "cache")
    ready, queries = inputs(collection=collection), collection.queries("test")
    told = agreement(mined(BM25(), ready, queries), mined(Lucene(), ready, queries))
    print(name, told)
    assert told["overlap@10"] > 0.975
    assert told["overlap@100"] > 0.975
    assert told["kendall"] > 0.96
