from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from retkd.encoders.sparse_encoder import SparseEncoder
from retkd.errors import ModelError
from retkd.indexing.inverted import InvertedIndex
from retkd.indexing.search import open_index
from retkd.objectives.kl import KL
from retkd.objectives.sparsity import L1
from retkd.stage import Model
from retkd.stages import train
from retkd.students.asymmetric_sparse import AsymmetricSparse, BagOfQueryTerms, EncodedQueries, SparseDocumentTower
from retkd.students.sparse import Sparse
from retkd.training.stored_terms import stored_terms
from tests.conftest import MakeInputs
from tests.tiny import WORDS, tiny_encoder, tiny_sparse_encoder

TEXTS = ["baco difun fuga", "gale", " ".join(WORDS[:40])]
DOCUMENT = SparseDocumentTower(base="splade")
TOWERS = [EncodedQueries(base="splade"), EncodedQueries(base="dense", layers=[1], head_bias=-1.0), BagOfQueryTerms()]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("towers")
    splade = tiny_sparse_encoder(folder / "splade", max_active_dims=9)
    return {"splade": splade, "dense": tiny_encoder(folder / "dense", seed=5, dim=16)}


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> dict[str, Model]:
    return {name: Model(name, path, name) for name, path in folders.items()}


def weights(encoder: SparseEncoder, side: str, texts: list[str] = TEXTS) -> np.ndarray:
    encoder.model.eval()
    return encoder.encode_sparse(texts, side)[0].toarray()  # type: ignore[arg-type,no-any-return]


@pytest.mark.parametrize("tower", TOWERS)
def test_the_folder_loads_with_sentence_transformers_and_the_documents_are_those_of_the_base(
    models: dict[str, Model], tower: Any, tmp_path: Path
) -> None:
    from sentence_transformers import SparseEncoder as Theirs

    built = AsymmetricSparse(query=tower, document=DOCUMENT).made(models, "cpu")
    queries, documents = weights(built, "query"), weights(built, "document")
    built.save(tmp_path / "student")
    theirs, again = Theirs(str(tmp_path / "student"), device="cpu"), SparseEncoder.load(tmp_path / "student")
    assert np.array_equal(weights(again, "query"), queries)
    assert np.array_equal(weights(again, "document"), documents)
    assert np.array_equal(documents, weights(SparseEncoder.load(models["splade"].path), "document"))
    assert np.allclose(theirs.encode_query(TEXTS).to_dense().numpy(), queries, atol=1e-5)
    assert np.allclose(theirs.encode_document(TEXTS).to_dense().numpy(), documents, atol=1e-5)
    assert documents.astype(bool).sum(axis=1).max() == 9


def test_a_tower_of_the_document_tower_s_base_begins_as_it(models: dict[str, Model]) -> None:
    built = AsymmetricSparse(query=TOWERS[0], document=DOCUMENT).made(models, "cpu")
    assert np.array_equal(weights(built, "query"), weights(built, "document"))
    query, document = (built.tower(side)[0].auto_model for side in ("query", "document"))
    assert not {p.data_ptr() for p in query.parameters()} & {p.data_ptr() for p in document.parameters()}


@pytest.mark.parametrize("tower", TOWERS)
def test_a_frozen_document_tower_has_no_gradient(models: dict[str, Model], tower: Any) -> None:
    built = AsymmetricSparse(query=tower, document=DOCUMENT).made(models, "cpu")
    documents = torch.from_numpy(weights(built, "document"))
    built.model.train()
    # One more term in each, or no word of the bags of query terms might stand in a document.
    (built.forward(built.tokenize(TEXTS, "query"), "query") @ (documents + 1.0).T).sum().backward()
    router = built.model[0].sub_modules
    assert all(p.grad is None and not p.requires_grad for p in router["document"].parameters())
    assert any(p.grad is not None and p.grad.any() for p in router["query"].parameters())
    free = AsymmetricSparse(query=tower, document=SparseDocumentTower(base="splade", frozen=False))
    assert free.stored_documents is None
    assert all(p.requires_grad for p in free.made(models, "cpu").model[0].sub_modules["document"].parameters())


def trained(inputs: MakeInputs, scored: Path, folders: dict[str, Path], out: Path, frozen: bool = True) -> Any:
    document = SparseDocumentTower(base="splade", frozen=frozen)
    student = AsymmetricSparse(query=EncodedQueries(base="splade"), document=document)
    terms = [KL(teacher="bm", student_temperature=1.0), L1(side="query", weight=0.01)]
    told = {"steps": 4, "batch_queries": 4, "learning_rate": 1e-2, "warmup_steps": 0}
    ready = inputs({"score": scored}, folders)
    metrics = train.run(train.Config(candidates="score", student=student, objective=terms, **told), ready, out)
    return ready, metrics


def test_training_moves_queries_and_no_byte_of_the_documents(
    inputs: MakeInputs,
    scored: Path,
    folders: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No document goes through the student in training: their weights are read from the store."""
    base = SparseEncoder.load(folders["splade"])
    read: list[str] = []
    tokenize = SparseEncoder.tokenize
    monkeypatch.setattr(
        SparseEncoder, "tokenize", lambda self, texts, side: read.append(side) or tokenize(self, texts, side)
    )
    _, metrics = trained(inputs, scored, folders, tmp_path / "out")
    assert set(read) == {"query"}
    after = SparseEncoder.load(tmp_path / "out" / "model")
    before, moved = (encoder.tower("document")[0].auto_model.state_dict() for encoder in (base, after))
    assert before.keys() == moved.keys()
    assert all(torch.equal(before[name], moved[name]) for name in before)
    assert np.array_equal(weights(after, "document"), weights(base, "document"))
    assert not np.allclose(weights(after, "query"), weights(base, "query"), atol=1e-2)
    assert 0 < metrics.values["active_terms_per_query"] <= 9

    read.clear()
    trained(inputs, scored, folders, tmp_path / "free", frozen=False)
    assert set(read) == {"query", "document"}
    assert not np.allclose(
        weights(SparseEncoder.load(tmp_path / "free" / "model"), "document"), weights(base, "document"), atol=1e-2
    )


def test_the_index_gives_the_inner_products_of_both_towers(
    inputs: MakeInputs, scored: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    """Of the base's documents as of the student's: the same store, the same postings."""
    ready, _ = trained(inputs, scored, folders, tmp_path / "out")
    student = SparseEncoder.load(tmp_path / "out" / "model")
    made = Model("train", tmp_path / "out" / "model", "of the student")
    for model, name in ((made, "mine"), (ready.models["splade"], "theirs")):
        (tmp_path / name).mkdir()
        InvertedIndex().index(model, ready, "cpu", tmp_path / name)
    assert len(list((ready.store / "sparse").iterdir())) == 1
    postings = [next((tmp_path / name / "postings").iterdir()).read_bytes() for name in ("mine", "theirs")]
    assert postings[0] == postings[1]
    documents = list(ready.collection.documents())
    queries = [query.text for query in ready.collection.queries("test")]
    products = weights(student, "query", queries) @ weights(student, "document", [d.full_text for d in documents]).T
    column = {document.doc_id: number for number, document in enumerate(documents)}
    scores, found = open_index(tmp_path / "mine").search(student.represented(queries, "query"), 20)
    for row, product in enumerate(products):
        expected = np.sort(product)[::-1][:20]
        assert [product[column[doc_id]] for doc_id in found[row]] == pytest.approx(expected[expected > 0], abs=1e-4)
        assert scores[row][: len(found[row])] == pytest.approx(expected[expected > 0], abs=1e-4)


def test_stored_terms_are_those_of_the_documents_asked_for(inputs: MakeInputs, folders: dict[str, Path]) -> None:
    ready = inputs({}, folders)
    stored = stored_terms("splade", ["d7", "d40", "d7", "d1"], ready, "cpu")
    texts = {d.doc_id: d.full_text for d in ready.collection.documents_by_id(["d1", "d7", "d40"])}
    base = SparseEncoder.load(folders["splade"])
    expected = weights(base, "document", [texts["d40"], texts["d1"]])
    assert np.allclose(stored.document_vectors(["d40", "d1"]).numpy(), expected, atol=1e-5)
    assert (stored.documents.shape, stored.dim, stored.queries) == ((3, base.dim), base.dim, None)
    with pytest.raises(KeyError):
        stored.document_vectors(["d2"])


def test_any_sparse_encoder_gives_its_documents_tower(models: dict[str, Model], tmp_path: Path) -> None:
    """One without inference for queries, an earlier student of two towers; and as a base of queries the same transformer."""
    routed = Sparse(base="splade", query="inference_free").made(models, "cpu")
    routed.save(tmp_path / "routed")
    more = {**models, "routed": Model("routed", tmp_path / "routed", "1")}
    tower = SparseDocumentTower(base="routed")
    built = AsymmetricSparse(query=EncodedQueries(base="routed"), document=tower).made(more, "cpu")
    assert np.array_equal(weights(built, "document"), weights(routed, "document"))
    assert np.array_equal(weights(built, "query"), weights(routed, "document"))
    built.save(tmp_path / "again")
    again = {**more, "again": Model("again", tmp_path / "again", "2")}
    student = AsymmetricSparse(query=BagOfQueryTerms(), document=SparseDocumentTower(base="again"))
    assert np.array_equal(weights(student.made(again, "cpu"), "document"), weights(routed, "document"))
    assert np.array_equal(weights(Sparse(base="routed").made(more, "cpu"), "query"), weights(routed, "document"))


def test_two_vocabularies_are_refused(models: dict[str, Model], tmp_path: Path) -> None:
    other = tiny_sparse_encoder(tmp_path / "other", words=WORDS[:-3])
    more = {**models, "other": Model("other", other, "3")}
    with pytest.raises(ModelError) as error:
        AsymmetricSparse(query=EncodedQueries(base="other"), document=DOCUMENT).made(more, "cpu")
    size = SparseEncoder.load(models["splade"].path).dim
    assert str(error.value) == (
        "the towers of an asymmetric_sparse student weigh the terms of two vocabularies\n"
        "  where: student.document.base: splade\n"
        f"  seen: {size - 3} terms of queries, {size} of documents, 3 word pieces stand elsewhere or on one side alone, "
        f"such as {min(WORDS[-3:])!r}\n"
        "  allowed: one vocabulary: a query and a document meet term by term\n"
        "  next step: choose a query tower with the tokeniser of the document tower, such as its own base"
    )


def test_a_dense_document_tower_is_refused(models: dict[str, Model]) -> None:
    with pytest.raises(ModelError, match="this folder holds a dense encoder, and a sparse encoder was asked for"):
        AsymmetricSparse(query=BagOfQueryTerms(), document=SparseDocumentTower(base="dense")).made(models, "cpu")
