"""Vectors of a whole collection, encoded once: shards that survive a kill, then one memory-mapped file.

The store is addressed by (encoder weights digest, maximum length, document side, collection digest), so the dense miner,
the index and an embedding teacher share one encoding of the corpus.
"""

import json
import mmap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, overload

import numpy as np

from retkd.collections.base import Collection
from retkd.encoders.encoder import Encoder
from retkd.shards import atomic, ranges, shard_map, shard_name
from retkd.stage import Model, Runtime

NEWLINE, SCANNED_BYTES = ord("\n"), 1 << 24
FILES = ("vectors.npy", "doc_ids.txt")
DOCUMENT_TOWER = "document_tower.json"
"""Of a model whose tower for documents is another encoder's, unchanged: that encoder's digest."""


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
    def doc_ids(self) -> "DocIds":
        """Document ids in the order of the vectors."""
        return DocIds(self.folder / "doc_ids.txt")

    @property
    def truncation_rate(self) -> float:
        """Share of the documents that were cut at the encoder's maximum length."""
        return float(json.loads((self.folder / "cut.json").read_text())["share"])


def documents_per_shard(num_documents: int) -> int:
    """A minute's work on a CPU for a small corpus, on a GPU for a large one: what a kill can cost."""
    return 1024 if num_documents < 100_000 else 16_384


class DocIds(Sequence[str]):
    """Ids in a file of one JSON string per line, read where they stand: eight bytes of memory a document."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            size = path.stat().st_size
            self._content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
            starts, at = [np.zeros(1, np.int64)], 0
            while block := file.read(SCANNED_BYTES):
                starts.append(np.flatnonzero(np.frombuffer(block, np.uint8) == NEWLINE) + (at + 1))
                at += len(block)
        self._starts = np.concatenate(starts)

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, row: int) -> str: ...

    @overload
    def __getitem__(self, row: slice) -> list[str]: ...

    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        row %= len(self)
        line: bytes = self._content[self._starts[row] : self._starts[row + 1] - 1]
        return str(json.loads(line)) if b"\\" in line else line[1:-1].decode("ascii")


def write_doc_ids(paths: Sequence[Path], folder: Path) -> None:
    """Join the ids of .npz shards into ``folder``/doc_ids.txt."""
    with atomic(folder / "doc_ids.txt") as temporary, temporary.open("w", encoding="ascii") as ids:
        for path in paths:
            with np.load(path) as shard:
                ids.writelines(json.dumps(doc_id) + "\n" for doc_id in json.loads(str(shard["doc_ids"])))


@dataclass(frozen=True)
class DocumentShards:
    """What an encoder makes of the documents of a collection, shard by shard, in a folder of the store."""

    folder: Path
    collection: Collection
    plan: list[tuple[int, int]]

    @classmethod
    def of(cls, kind: str, encoder: Encoder, model: Model, collection: Collection, store: Path) -> "DocumentShards":
        """Below ``store/kind``, in a folder named by the encoder, its maximum length, the collection and the plan."""
        size = documents_per_shard(collection.num_documents)
        told = f"{documents_digest(model)}|{encoder.max_length('document')} tokens|document|{collection.digest}|{size}"
        address = sha256(told.encode()).hexdigest()[:24]
        return cls(store / kind / address, collection, ranges(collection.num_documents, size))

    @property
    def paths(self) -> list[Path]:
        """The shards' files, in the order of the collection."""
        return [self.folder / "shards" / shard_name(i, len(self.plan), "npz") for i in range(len(self.plan))]

    def write(self, encoded: Callable[[list[str]], dict[str, Any]], label: str) -> None:
        """Write the shards that are missing: the arrays that ``encoded`` makes of the documents' texts, and their ids."""
        shard_map(partial(self._write, encoded), self.paths, label=label)

    def _write(self, encoded: Callable[[list[str]], dict[str, Any]], index: int, path: Path) -> None:
        documents = list(self.collection.documents(*self.plan[index]))
        arrays = encoded([d.full_text for d in documents])
        with path.open("wb") as out:
            np.savez(out, **arrays, doc_ids=np.array(json.dumps([d.doc_id for d in documents])))


def documents_digest(model: Model) -> str:
    """The digest of what encodes the documents: the model's own, or that of the encoder whose tower it took unchanged."""
    told = model.path / DOCUMENT_TOWER
    return str(json.loads(told.read_text(encoding="utf-8"))["digest"]) if told.is_file() else model.digest


def note_document_tower(source: Model, folder: Path) -> None:
    """Write into a model's folder that its documents' vectors are those of ``source``."""
    with atomic(folder / DOCUMENT_TOWER) as temporary:
        temporary.write_text(json.dumps({"digest": documents_digest(source)}) + "\n", encoding="utf-8")


def corpus_vectors(
    encoder: Encoder, model: Model, collection: Collection, store: Path, runtime: Runtime
) -> CorpusVectors:
    """The vectors of every document of ``collection`` by ``encoder``: read from the store, or encoded into it."""
    shards = DocumentShards.of("vectors", encoder, model, collection, store)
    if not (shards.folder / "vectors.npy").exists():

        def encoded(texts: list[str]) -> dict[str, Any]:
            vectors, cut = encoder.encode_with_cuts(texts, "document", runtime.tokens_per_batch)
            return {"vectors": vectors, "cut": cut}

        shards.write(encoded, f"encode {collection.num_documents:,} documents (shards)")
        join(shards, collection.num_documents, encoder.dim)
    return CorpusVectors(shards.folder)


def join(shards: DocumentShards, num_rows: int, dim: int) -> None:
    """Join the shards' ``vectors`` into vectors.npy ``[row, dim]``, which comes last, and remove the shards."""
    paths, folder, num_documents = shards.paths, shards.folder, shards.collection.num_documents
    write_doc_ids(paths, folder)
    with atomic(folder / "cut.json") as temporary:
        cut = sum(int(np.load(path)["cut"]) for path in paths)
        temporary.write_text(
            json.dumps({"documents": num_documents, "cut": cut, "share": cut / max(num_documents, 1)}) + "\n"
        )
    with atomic(folder / "vectors.npy") as temporary, temporary.open("wb") as out:
        header = {"descr": "<f4", "fortran_order": False, "shape": (num_rows, dim)}
        np.lib.format.write_array_header_1_0(out, header)
        rows = 0
        for path in paths:
            with np.load(path) as shard:
                block = np.ascontiguousarray(shard["vectors"], dtype="<f4")
            out.write(block.data)
            rows += len(block)
        assert rows == num_rows
    for path in paths:
        path.unlink()
