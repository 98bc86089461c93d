"""What all tests share: one thread, no network, quiet libraries; a tiny encoder, collection and the inputs of a stage."""

import gc
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from retkd.collections.base import Collection
from retkd.collections.beir import Beir
from retkd.digests import FileDigests, digest_file
from retkd.stage import Inputs, Model, Runtime
from tests.tiny import tiny_collection, tiny_cross_encoder, tiny_encoder, tiny_sparse_encoder

for _name, _value in {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}.items():
    os.environ[_name] = _value


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer BERT of width 32 as a sentence-transformers folder."""
    return tiny_encoder(tmp_path_factory.mktemp("models") / "encoder")


@pytest.fixture(scope="session")
def sparse_encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The like of the same vocabulary with weights of terms, most of them 0."""
    return tiny_sparse_encoder(tmp_path_factory.mktemp("models") / "sparse-encoder")


@pytest.fixture(scope="session")
def cross_encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer BERT with one score for a pair."""
    return tiny_cross_encoder(tmp_path_factory.mktemp("models") / "cross-encoder")


@pytest.fixture(scope="session")
def collection_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BEIR folder of 60 documents; 18 train, 6 dev and 6 test queries."""
    return tiny_collection(tmp_path_factory.mktemp("collections") / "tiny")


@pytest.fixture(scope="session")
def collection(collection_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """The same, opened."""
    return opened(collection_folder, tmp_path_factory.mktemp("cache"))


def opened(folder: Path, cache: Path) -> Collection:
    """A BEIR folder as a collection."""
    return Beir(path=folder).open(cache)


def pytest_collection_finish() -> None:
    """Each training begins with a full garbage collection: over all that torch and transformers import, half its time."""
    gc.freeze()


MakeInputs = Callable[..., Inputs]


@pytest.fixture
def inputs(collection: Collection, tmp_path: Path) -> MakeInputs:
    """Make the inputs of a stage: ``inputs(artifacts={stage: folder}, models={ref: folder}, seed=1, tokens_per_batch=64)``.

    Further keywords go into ``Runtime``. ``store`` and ``collection`` can be given; else the store is this test's own.
    """

    def make(
        artifacts: Mapping[str, Path] | None = None,
        models: Mapping[str, Path] | None = None,
        *,
        collection: Collection = collection,
        store: Path = tmp_path / "store",
        seed: int = 13,
        **runtime: Any,
    ) -> Inputs:
        digests = FileDigests(tmp_path / "digests.json")
        return Inputs(
            collection=collection,
            artifacts=dict(artifacts or {}),
            models={ref: Model(ref, folder, digests.model(folder)) for ref, folder in (models or {}).items()},
            manifests={},
            seed=seed,
            runtime=Runtime(device="cpu", threads=1, **runtime),
            store=store,
            key="0" * 64,
        )

    return make


def files(folder: Path) -> dict[str, str]:
    """Path below ``folder`` -> SHA-256 of every file, the scratch in ``work`` left out."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: digest_file(path) for name, path in sorted(found.items()) if not name.startswith("work/")}


@pytest.fixture(scope="session")
def mined(collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact of a mine stage: ten documents by BM25 for each query of train, dev and test."""
    from retkd.miners.bm25 import BM25
    from retkd.stages import mine

    folder = tmp_path_factory.mktemp("mined")
    out = folder / "artifact"
    mine.run(mine.Config(miner=BM25(depth=10)), _plain_inputs(collection, folder / "store"), out)
    return out


@pytest.fixture(scope="session")
def scored(mined: Path, collection: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact of a score stage over ``mined``: the teacher ``bm``, the miner's score standardised list by list."""
    import numpy as np

    from retkd import candidates
    from retkd.teachers.score_lists import standardised_lists

    out = tmp_path_factory.mktemp("scored") / "artifact"
    for split in candidates.splits(mined):
        rows = candidates.read(mined / split)
        ids, scores = (rows[name].to_numpy(zero_copy_only=False) for name in ("query_id", "score"))
        column = standardised_lists(ids, scores.astype(np.float64)).astype(np.float32)
        (out / split).mkdir(parents=True)
        candidates.write(
            candidates.with_teacher(rows, "bm", column, "standardised"), out / split / "part-00000-of-00001.parquet"
        )
    return out


def _plain_inputs(collection: Collection, store: Path) -> Inputs:
    return Inputs(collection, {}, {}, {}, 13, Runtime(device="cpu", threads=1), store, "0" * 64)
