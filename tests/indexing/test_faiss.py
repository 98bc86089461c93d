"""FAISS indexes: same bytes, resolved numbers, and what is refused."""

import numpy as np
import pytest

from retkd.errors import DataError
from retkd.indexing.base import Site
from retkd.indexing.factory import filled, training_size
from retkd.indexing.faiss_index import FaissIndex


def unit_vectors(num: int, dim: int = 32, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((num, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def built(kind: FaissIndex, vectors: np.ndarray, folder, **site) -> bytes:
    folder.mkdir(exist_ok=True)
    kind.build(kind.resolved(*vectors.shape), vectors, folder, Site(**site))
    return (folder / "index.faiss").read_bytes()


@pytest.mark.parametrize("factory", ["Flat", "HNSW16,Flat", "IVF{nlist},Flat", "SQ8", "IVF8,SQ8"])
def test_the_same_vectors_and_seed_give_the_same_bytes_with_any_threads_and_memory(tmp_path, factory):
    vectors = unit_vectors(2000)
    kind = FaissIndex(factory=factory)
    one = built(kind, vectors, tmp_path / "one", threads=1, memory_mib=64)
    assert one == built(kind, vectors, tmp_path / "two", threads=2, memory_mib=2048)


def test_the_training_sample_follows_the_seed(tmp_path):
    vectors, kind = unit_vectors(1000), FaissIndex(factory="IVF4,Flat", train_size=200)
    assert built(kind, vectors, tmp_path / "one", seed=1) != built(kind, vectors, tmp_path / "two", seed=2)


def test_what_a_killed_attempt_had_finished_is_kept(tmp_path):
    vectors, kind = unit_vectors(50), FaissIndex(factory="Flat")
    built(kind, vectors, tmp_path)
    before = (tmp_path / "index.faiss").stat().st_mtime_ns
    built(kind, vectors, tmp_path)
    assert (tmp_path / "index.faiss").stat().st_mtime_ns == before


def test_the_number_of_lists_follows_the_corpus():
    assert filled("IVF{nlist},Flat", 100_000, 384) == "IVF1024,Flat"
    assert filled("IVF{nlist},Flat", 10, 384) == "IVF1,Flat"
    assert filled("PQ{m}", 1000, 100) == "PQ10"
    assert FaissIndex(factory="IVF{nlist},Flat").resolved(400, 32)["factory"] == "IVF8,Flat"


def test_training_takes_64_vectors_a_centroid_or_what_is_asked():
    assert training_size("IVF1024,Flat", 10**6, 384, None) == 65_536
    assert training_size("IVF1024,Flat", 10**6, 384, 5000) == 5000
    assert training_size("IVF1024,Flat", 3000, 384, None) == 3000


def test_a_corpus_too_small_for_product_quantisation_is_refused():
    with pytest.raises(DataError) as error:
        FaissIndex(factory="IVF{nlist},PQ{m}x8np").resolved(60, 32)
    assert str(error.value) == (
        "there are too few vectors to train this index\n"
        "  where: index recipe, factory IVF1,PQ4x8np\n"
        "  seen: 60 documents, 60 of them to train on\n"
        "  allowed: at least 256 (one a centroid), better 9,984\n"
        "  next step: take the index recipe flat, hnsw or sq8, which cluster nothing"
    )


def test_a_code_that_does_not_divide_the_width_is_refused():
    with pytest.raises(DataError) as error:
        FaissIndex(factory="PQ48np").resolved(1000, 32)
    assert "FAISS cannot make this index for vectors of this width" in str(error.value)
    assert "seen: 32 dimensions; FAISS says: " in str(error.value)


def test_a_vector_that_is_not_finite_is_refused(tmp_path):
    vectors = unit_vectors(20)
    vectors[13, 2] = np.nan
    with pytest.raises(DataError, match="document number 13 of the collection"):
        built(FaissIndex(factory="Flat"), vectors, tmp_path)


def test_search_parameters_take_effect(tmp_path):
    vectors = unit_vectors(2000)
    found = {}
    for nprobe in (1, 16):
        kind = FaissIndex(factory="IVF16,Flat", search={"nprobe": nprobe})
        built(kind, vectors, tmp_path / str(nprobe))
        search = kind.open(kind.resolved(*vectors.shape), vectors, tmp_path / str(nprobe), Site())
        found[nprobe] = search(vectors[:50], 10)[1]
    exact = np.argsort(-(vectors[:50] @ vectors.T), axis=1, kind="stable")[:, :10]
    hits = {n: np.mean([len(set(a) & set(b)) for a, b in zip(exact, rows, strict=True)]) for n, rows in found.items()}
    assert hits[1] < 8
    assert hits[16] > 9.9
