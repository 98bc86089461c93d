"""The documents of a student whose sparse document tower is frozen: their stored term weights, row by row."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from retkd import processes
from retkd.encoders.sparse_encoder import SparseEncoder
from retkd.encoders.sparse_vectors import sparse_vectors
from retkd.stage import Inputs
from retkd.training.dense_teacher import DenseTeacher


class TermRows:
    """Rows of a CSR matrix ``[document, vocab]``, written out as they are asked for."""

    def __init__(self, weights: Any) -> None:
        self.weights = weights

    @property
    def shape(self) -> tuple[int, int]:
        """Documents and terms."""
        num_documents, num_terms = self.weights.shape
        return int(num_documents), int(num_terms)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """``[row, vocab]``, zeros and all."""
        written: np.ndarray = self.weights[rows].toarray()
        return written


def stored_terms(ref: str, doc_ids: Iterable[str], inputs: Inputs, device: str) -> DenseTeacher:
    """The weights of these documents by a model of the recipe: the corpus from the store, or encoded into it.

    In memory are the terms of these documents alone, whatever the size of the corpus.
    """
    model = inputs.models[ref]
    with processes.first_goes_ahead():
        encoder = SparseEncoder.load(model.path, device)
        vectors = sparse_vectors(encoder, model, inputs.collection, inputs.store, inputs.runtime)
    weights, row = vectors.rows(doc_ids)
    return DenseTeacher(TermRows(weights), None, row, {})
