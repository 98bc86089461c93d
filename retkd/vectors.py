"""Vectors of a whole collection, encoded once: shards that survive a kill, then one memory-mapped file.

The store is addressed by (encoder weights digest, maximum length, document side, collection digest), so the dense miner,
the index and an embedding teacher share one encoding of the corpus.
"""

import json
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from retkd.collections.base import Collection
from retkd.encoder import Encoder
from retkd.shards import atomic, ranges, shard_map, shard_name
from retkd.stage import Model, Runtime

FILES = ("vectors.npy", "doc_ids.txt")


@dataclass(frozen=True)
class CorpusVectors:
    """``vectors`` is a read-only memory map ``[document, dim]``; ``doc_ids`` are in the same order."""

    folder: Path

    @property
    def vectors(self) -> np.ndarray:
        """Float32, memory-mapped."""
        mapped: np.ndarray = np.load(self.folder / "vectors.npy", mmap_mode="r")
        return mapped

    @property
    def doc_ids(self) -> list[str]:
        """Document ids in the order of the vectors."""
        return read_doc_ids(self.folder / "doc_ids.txt")

    @property
    def truncation_rate(self) -> float:
        """Share of the documents that were cut at the encoder's maximum length."""
        return float(json.loads((self.folder / "cut.json").read_text())["share"])


def documents_per_shard(num_documents: int) -> int:
    """A minute's work on a CPU for a small corpus, on a GPU for a large one: what a kill can cost."""
    return 1024 if num_documents < 100_000 else 16_384


def read_doc_ids(path: Path) -> list[str]:
    """One JSON string per line."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def corpus_vectors(
    encoder: Encoder, model: Model, collection: Collection, store: Path, runtime: Runtime
) -> CorpusVectors:
    """The vectors of every document of ``collection`` by ``encoder``: read from the store, or encoded into it."""
    size = documents_per_shard(collection.num_documents)
    made_of = f"{model.digest}|{encoder.model.max_seq_length} tokens|document|{collection.digest}|{size}"
    address = sha256(made_of.encode()).hexdigest()
    folder = store / "vectors" / address[:24]
    if not (folder / "vectors.npy").exists():
        plan = ranges(collection.num_documents, size)
        paths = [folder / "shards" / shard_name(i, len(plan), "npz") for i in range(len(plan))]
        write = partial(_write_shard, encoder, collection, plan, runtime.tokens_per_batch)
        shard_map(write, paths, label=f"encode {collection.num_documents:,} documents (shards)")
        _join(paths, folder, collection.num_documents, encoder.dim)
    return CorpusVectors(folder)


def _write_shard(
    encoder: Encoder,
    collection: Collection,
    plan: list[tuple[int, int]],
    tokens_per_batch: int | None,
    index: int,
    path: Path,
) -> None:
    documents = list(collection.documents(*plan[index]))
    vectors, cut = encoder.encode_with_cuts([d.full_text for d in documents], "document", tokens_per_batch)
    with path.open("wb") as out:
        np.savez(out, vectors=vectors, cut=cut, doc_ids=np.array(json.dumps([d.doc_id for d in documents])))


def _join(paths: list[Path], folder: Path, num_rows: int, dim: int) -> None:
    with atomic(folder / "doc_ids.txt") as temporary, temporary.open("w", encoding="utf-8") as ids:
        for path in paths:
            with np.load(path) as shard:
                ids.writelines(json.dumps(doc_id) + "\n" for doc_id in json.loads(str(shard["doc_ids"])))
    with atomic(folder / "cut.json") as temporary:
        cut = sum(int(np.load(path)["cut"]) for path in paths)
        temporary.write_text(json.dumps({"documents": num_rows, "cut": cut, "share": cut / max(num_rows, 1)}) + "\n")
    with atomic(folder / "vectors.npy") as temporary:
        joined = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=(num_rows, dim))
        row = 0
        for path in paths:
            with np.load(path) as shard:
                block = shard["vectors"]
            joined[row : row + len(block)] = block
            row += len(block)
        joined.flush()
    for path in paths:
        path.unlink()
