"""Index the documents' vectors by an index recipe.

Writes ``vectors.npy``, ``doc_ids.txt``, ``index.json`` and, for FAISS, ``index.faiss``; an inverted index has ``postings/``
in the place of vectors, one of token vectors ``starts.npy`` beside them.
"""

import time
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from retkd.encoders import FITTING, WHAT
from retkd.indexing import AnyIndex
from retkd.indexing.base import EncodedIndex
from retkd.parts import ModelInput, Retriever
from retkd.stage import Inputs, Metrics, StageConfig

NAME = "index"
VERSION = 1
SEEDED = True
VOLATILE: tuple[str, ...] = ()
OUTPUTS = ("index", "sparse_index", "late_interaction_index")
RECALL_QUERIES = 256


class Config(StageConfig):
    """Whose vectors, in which index."""

    LATER: ClassVar[tuple[str, ...]] = ("dim",)

    kind: Literal["index"] = "index"
    model: Retriever
    recipe: AnyIndex = Field(description="a name under indexes/, a path to such a file, or its content written here")
    dim: int | None = Field(
        default=None, ge=1, description="only the first coordinates of each vector, made a unit vector again; null: all"
    )

    @model_validator(mode="after")
    def _cuts_dense_vectors(self) -> "Config":
        if self.dim is not None and isinstance(self.recipe, EncodedIndex):
            held = WHAT[self.recipe.READS]
            raise ValueError(f"`dim` cuts dense vectors, and an index recipe of kind {self.recipe.kind} holds {held}")
        return self

    @property
    def gives(self) -> tuple[str, ...]:
        """An index of what the recipe holds."""
        return (self.recipe.GIVES,)

    @property
    def wants(self) -> dict[str, ModelInput]:
        """The kind of encoder that the recipe reads."""
        reads = self.recipe.READS
        held = (
            f"an index recipe of kind {self.recipe.kind} holds {WHAT[reads]}: choose another `recipe` (inverted for a sparse "
            "student, maxsim for a late-interaction one), or another model"
        )
        return {"model": ModelInput(FITTING[reads], held)}


def run(config: Config, inputs: Inputs, out: Path) -> Metrics:
    """Encode the corpus, or take its vectors from the store; build the index; measure it against exact search."""
    import numpy as np

    from retkd.encoders.encoder import Encoder as LoadedEncoder
    from retkd.encoders.vectors import corpus_vectors
    from retkd.indexing.artifact import cut_vectors, take_vectors, write_description
    from retkd.indexing.base import Site
    from retkd.resources import device

    runtime, model = inputs.runtime, inputs.models[config.model]
    where = device(runtime.device, runtime.threads)
    if isinstance(config.recipe, EncodedIndex):
        return config.recipe.index(model, inputs, where, out)
    began = time.perf_counter()
    corpus = corpus_vectors(LoadedEncoder.load(model.path, where), model, inputs.collection, inputs.store, runtime)
    encoded = time.perf_counter()
    if config.dim is None:
        take_vectors(corpus, out)
    else:
        cut_vectors(corpus, config.dim, out)
    vectors = np.load(out / "vectors.npy", mmap_mode="r")
    resolved = config.recipe.resolved(*vectors.shape)
    site = Site(device=where, memory_mib=runtime.memory_mib, threads=runtime.threads, seed=inputs.seed)
    config.recipe.build(resolved, vectors, out, site)
    built = time.perf_counter()
    write_description(out, _told(config, resolved, vectors.shape, corpus.vectors.shape[1], model.digest))
    metrics = _measured(out, inputs, where)
    metrics.truncation_rate["documents"] = corpus.truncation_rate
    metrics.timings |= {"encode_seconds": encoded - began, "build_seconds": built - encoded}
    return metrics


def _told(config: Config, resolved: dict[str, Any], shape: tuple[int, ...], full: int, digest: str) -> dict[str, Any]:
    return {
        "recipe": config.recipe.model_dump(),
        "resolved": resolved,
        "similarity": "inner_product",
        "num_vectors": shape[0],
        "dim": shape[1],
        "full_dim": full,
        "model_digest": digest,
    }


def _measured(out: Path, inputs: Inputs, where: str) -> Metrics:
    """Row counts, bytes, recall@10 and the time of a search, from the published files."""
    from retkd.indexing.recall import recall_at
    from retkd.indexing.search import open_index

    memory = inputs.runtime.memory_mib
    index = open_index(out, where, memory)
    num_vectors = len(index.vectors)
    sizes = {name: (out / name).stat().st_size for name in ("index.faiss", "vectors.npy") if (out / name).exists()}
    began = time.perf_counter()
    recall = recall_at(index, 10, RECALL_QUERIES, inputs.seed, memory_mib=memory, device=where)
    return Metrics(
        rows_in=num_vectors,
        rows_out=num_vectors,
        values={
            "index": index.told["resolved"].get("factory", "exact"),
            "trained_on": index.told["resolved"].get("train_size"),
            "dim": index.told["dim"],
            "bytes_per_vector": round(next(iter(sizes.values())) / num_vectors, 1),
            "recall@10": round(recall, 6),
            "sizes": {f"{name.split('.')[0]}_bytes": size for name, size in sizes.items()},
        },
        timings={"recall_seconds": time.perf_counter() - began},
    )
