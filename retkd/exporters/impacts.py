"""Term weights as whole numbers, which Lucene's inverted index holds: the files that Anserini and Pyserini read."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from retkd.exporters.base import Encodes, Exporter, Limits, Side
from retkd.shards import atomic
from retkd.stage import Inputs, Model

if TYPE_CHECKING:
    from retkd.encoders.sparse_encoder import SparseEncoder


class ImpactLimits(Limits):
    """What whole numbers may cost."""

    min_top10_overlap: float = Field(default=0.9, ge=0, le=1)
    max_measure_difference: float = Field(default=0.02, ge=0, le=1)
    min_cosine: float = Field(default=0.99, ge=-1, le=1)
    max_difference: float = Field(default=0.02, gt=0)


class Impacts(Exporter):
    """``corpus.jsonl`` has ``{"id", "contents": "", "vector": {term: impact}}`` of every document, ``queries-SPLIT.tsv``
    the terms of every query, each as often as its impact; ``impacts.json`` the multiplier. An impact is the weight times
    ``quantisation``, rounded; what is rounded to 0 is left out.

    Lucene: ``python -m pyserini.index.lucene -collection JsonVectorCollection -impact -pretokenized``, then
    ``python -m pyserini.search.lucene --impact --topics queries-SPLIT.tsv``.
    """

    WRITES: ClassVar[tuple[str, ...]] = ("sparse_encoder", "asymmetric_sparse_encoder")

    kind: Literal["impacts"] = "impacts"
    parity: ImpactLimits = ImpactLimits()
    num_compared: int | None = Field(default=64, ge=1)
    quantisation: int = Field(
        default=100, ge=1, description="impacts to one unit of weight, as SPLADE's authors have it"
    )

    def write(self, model: Model, out: Path, inputs: Inputs) -> Encodes:
        """Documents come from the store; queries are encoded here."""
        from retkd.encoders.sparse_encoder import SparseEncoder
        from retkd.encoders.sparse_vectors import sparse_vectors
        from retkd.resources import device

        runtime = inputs.runtime
        encoder = SparseEncoder.load(model.path, device(runtime.device, runtime.threads))
        terms, told = encoder.terms(), {"quantisation": self.quantisation, "model_digest": model.digest}
        vectors = sparse_vectors(encoder, model, inputs.collection, inputs.store, runtime)
        ids = iter(vectors.doc_ids)
        with atomic(out / "corpus.jsonl") as temporary, temporary.open("w", encoding="utf-8") as file:
            for matrix in vectors.matrices():
                for vector in self._impacts(matrix, terms):
                    line = {"id": next(ids), "contents": "", "vector": vector}
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
        for split in inputs.collection.splits:
            self._write_queries(split, encoder, inputs, terms, out)
        with atomic(out / "impacts.json") as temporary:
            temporary.write_text(json.dumps(told | {"terms": len(terms)}, indent=2) + "\n", encoding="utf-8")
        return Served(out, inputs, terms)

    def _write_queries(
        self, split: str, encoder: "SparseEncoder", inputs: Inputs, terms: Sequence[str], out: Path
    ) -> None:
        queries = inputs.collection.queries(split)
        weights = encoder.represented([query.text for query in queries], "query", inputs.runtime.tokens_per_batch)
        with atomic(out / f"queries-{split}.tsv") as temporary, temporary.open("w", encoding="utf-8") as file:
            for query, vector in zip(queries, self._impacts(weights, terms), strict=True):
                repeated = [term for term, impact in vector.items() for _ in range(impact)]
                file.write(f"{query.query_id}\t{' '.join(repeated)}\n")

    def _impacts(self, weights: Any, terms: Sequence[str]) -> Iterator[dict[str, int]]:
        """Of each row of a CSR matrix the impacts by term."""
        for row in range(weights.shape[0]):
            places = slice(weights.indptr[row], weights.indptr[row + 1])
            found = np.rint(weights.data[places] * self.quantisation).astype(np.int64)
            pairs = zip(weights.indices[places].tolist(), found.tolist(), strict=True)
            yield {terms[column]: impact for column, impact in sorted(pairs) if impact > 0}


class Served:
    """The written files, read back as weights: texts are found by the ids that the collection gives them."""

    def __init__(self, folder: Path, inputs: Inputs, terms: Sequence[str]) -> None:
        self.folder, self.collection = folder, inputs.collection
        self.column = {term: number for number, term in enumerate(terms)}
        self.unit = json.loads((folder / "impacts.json").read_text(encoding="utf-8"))["quantisation"]

    def represented(self, texts: Sequence[str], side: Side, tokens_per_batch: int | None = None) -> Any:
        """A CSR matrix ``[text, vocab]`` of impacts over the multiplier."""
        from scipy.sparse import csr_matrix

        found = self._queries(set(texts)) if side == "query" else self._documents(set(texts))
        rows = [
            (row, self.column[term], impact) for row, text in enumerate(texts) for term, impact in found[text].items()
        ]
        places, columns, impacts = zip(*rows, strict=True) if rows else ((), (), ())
        values = np.array(impacts, dtype=np.float32) / self.unit
        return csr_matrix((values, (places, columns)), shape=(len(texts), len(self.column)), dtype=np.float32)

    def _documents(self, texts: set[str]) -> dict[str, dict[str, int]]:
        found = {}
        with (self.folder / "corpus.jsonl").open(encoding="utf-8") as lines:
            for document, line in zip(self.collection.documents(), lines, strict=True):
                if document.full_text in texts:
                    found[document.full_text] = json.loads(line)["vector"]
        return found

    def _queries(self, texts: set[str]) -> dict[str, dict[str, int]]:
        found = {}
        for split in self.collection.splits:
            lines = (self.folder / f"queries-{split}.tsv").read_text(encoding="utf-8").splitlines()
            for query, line in zip(self.collection.queries(split), lines, strict=True):
                if query.text in texts:
                    counts: dict[str, int] = defaultdict(int)
                    for term in line.partition("\t")[2].split():
                        counts[term] += 1
                    found[query.text] = dict(counts)
        return found
