"""Exact MaxSim over the token vectors of a collection, beside brute force."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retkd.encoders import token_vectors, vectors
from retkd.encoders.late_interaction_encoder import LateInteractionEncoder, TokenRows
from retkd.encoders.token_vectors import maxsim_topk
from retkd.students.late_interaction import LateInteraction
from tests.conftest import MakeInputs, files
from tests.faults import StopError
from tests.tiny import tiny_encoder


def rows(lengths: list[int], seed: int, dim: int = 5) -> TokenRows:
    rng = np.random.default_rng(seed)
    return TokenRows.of([rng.normal(size=(length, dim)).astype(np.float32) for length in lengths], dim)


def brute(queries: TokenRows, documents: TokenRows) -> np.ndarray:
    """[query, document]; a document without a vector scores minus infinity."""
    return np.array(
        [[(q @ d.T).max(axis=1).sum() if len(d) else -np.inf for d in documents] for q in queries], dtype=np.float32
    )


@pytest.mark.parametrize("tokens_in_a_block", [1, 7, 10**6])
def test_the_best_documents_of_brute_force(monkeypatch: pytest.MonkeyPatch, tokens_in_a_block: int) -> None:
    """40 queries, more than go at once; blocks of one document, of a few, of all; some documents are empty."""
    monkeypatch.setattr(token_vectors, "_blocks", lambda starts, *_: blocks(starts, tokens_in_a_block))
    queries, documents = rows([1 + n % 4 for n in range(40)], 0), rows([n % 6 for n in range(30)], 1)
    expected = brute(queries, documents)
    scores, found = maxsim_topk(queries, documents.vectors, documents.starts, 9)
    order = np.argsort(-expected, axis=1, kind="stable")[:, :9]
    assert np.array_equal(found, order)
    assert scores == pytest.approx(np.take_along_axis(expected, order, axis=1), abs=1e-4)


def blocks(starts: np.ndarray, most: int) -> Any:
    start = 0
    while start < len(starts) - 1:
        stop = start + 1
        while stop < len(starts) - 1 and starts[stop + 1] - starts[start] <= most:
            stop += 1
        yield start, stop
        start = stop


def test_blocks_hold_whole_documents_within_the_memory() -> None:
    starts = np.array([0, 4, 4, 9, 2_000_000, 2_000_003])
    found = list(token_vectors._blocks(starts, 128, 100, 64))
    assert found[0][0] == 0
    assert found[-1][1] == 5
    assert [stop for _, stop in found[:-1]] == [start for start, _ in found[1:]]
    for start, stop in found:
        assert stop == start + 1 or (starts[stop] - starts[start]) * 4 * (2 * 128 + 2 * 100) <= 64 * 2**20


def test_equal_documents_stand_in_their_order() -> None:
    one = rows([3], 2)
    documents = TokenRows.of([one[0]] * 6, 5)
    scores, found = maxsim_topk(rows([2], 3), documents.vectors, documents.starts, 4)
    assert found.tolist() == [[0, 1, 2, 3]]
    assert len(set(scores[0].tolist())) == 1


def test_a_collection_is_encoded_once_and_a_stop_changes_nothing(
    inputs: MakeInputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "documents_per_shard", lambda num: 16)
    built = LateInteraction(base="b", dim=8).build(tiny_encoder(tmp_path / "base"), "cpu")
    built.model.save_pretrained(str(tmp_path / "colbert"), create_model_card=False)
    encoder = LateInteractionEncoder.load(tmp_path / "colbert")

    def encoded(store: Path) -> Any:
        ready = inputs(models={"colbert": tmp_path / "colbert"}, store=store)
        told = ready.models["colbert"], ready.collection, ready.store, ready.runtime
        return token_vectors.token_vectors(encoder, *told), ready.collection

    corpus, collection = encoded(tmp_path / "undisturbed")
    texts = [document.full_text for document in collection.documents()]
    expected = encoder.represented(texts, "document")
    assert np.allclose(corpus.vectors, expected.vectors, atol=1e-6)
    assert np.array_equal(corpus.starts, expected.starts)
    assert list(corpus.doc_ids) == [document.doc_id for document in collection.documents()]
    encode, calls = LateInteractionEncoder.encode_tokens, []

    def stopping(self: LateInteractionEncoder, *given: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise StopError
        return encode(self, *given)

    monkeypatch.setattr(LateInteractionEncoder, "encode_tokens", stopping)
    with pytest.raises(StopError):
        encoded(tmp_path / "killed")
    encoded(tmp_path / "killed")
    assert len(calls) == 5
    assert files(tmp_path / "killed") == files(tmp_path / "undisturbed")
    encoded(tmp_path / "killed")
    assert len(calls) == 5
