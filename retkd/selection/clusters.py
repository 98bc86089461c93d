"""Topics of queries: k-means over their vectors, for batches that draw from one topic (TAS-B)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from retkd.errors import DataError
from retkd.parts import Encoder as EncoderField
from retkd.parts import Part

if TYPE_CHECKING:
    from retkd.stage import Inputs


class Clusters(Part):
    """``num_clusters`` by k-means over the training queries' vectors. Hofstaetter et al. 2021 (2,000 of them)."""

    model: EncoderField
    num_clusters: int = Field(ge=1)
    iterations: int = Field(default=20, ge=1)
    max_length: int | None = Field(default=None, ge=4, description="tokens; default: the model's own")

    def topics(self, query_ids: Sequence[str], split: str, inputs: "Inputs") -> np.ndarray:
        """int32 per query. The same seed gives the same topics."""
        from retkd.encoders.encoder import Encoder
        from retkd.resources import device

        texts = {query.query_id: query.text for query in inputs.collection.queries(split)}
        where = device(inputs.runtime.device, inputs.runtime.threads)
        encoder = Encoder.load(inputs.models[self.model].path, where, self.max_length)
        vectors = encoder.encode([texts[q] for q in query_ids], "query", inputs.runtime.tokens_per_batch)
        return kmeans(vectors, self.num_clusters, self.iterations, inputs.seed)


def kmeans(vectors: np.ndarray, num_clusters: int, iterations: int, seed: int) -> np.ndarray:
    """The cluster of each row of ``[query, dim]``, int32, by FAISS. Raises :class:`DataError` with too few rows."""
    import faiss

    if len(vectors) < num_clusters:
        raise DataError(
            "there are fewer training queries than clusters",
            where="clusters.num_clusters",
            seen=f"{len(vectors):,} queries, {num_clusters:,} clusters",
            allowed=f"1 to {len(vectors):,}",
            next_step="ask for fewer clusters: a batch is drawn from one of them",
        )
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    found = faiss.Kmeans(vectors.shape[1], num_clusters, niter=iterations, seed=seed % 2**31, min_points_per_centroid=1)
    found.train(vectors)
    return np.asarray(found.index.search(vectors, 1)[1][:, 0], dtype=np.int32)
