"""A small batch with vectors: the student's, and those of teachers of other widths."""

from dataclasses import replace

import torch

from retkd.batch import Batch, ScoredBatch
from retkd.objectives.base import Training
from retkd.students.scoring import in_batch_scores, own_scores

TRAINING = Training(student_dim=6, teacher_dims={"wide": 8, "same": 6, "narrow": 4}, steps=10)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.nn.functional.normalize(drawn(*shape, seed=seed), dim=1)


def scored(queries: torch.Tensor | None = None, documents: torch.Tensor | None = None) -> ScoredBatch:
    """Three queries, seven documents; each query owns its own number (relevant) and the next two, the last one fewer.

    Document 4, which the second query did not bring, is relevant to it too.
    """
    queries = unit(3, 6) if queries is None else queries
    documents = unit(7, 6, seed=1) if documents is None else documents
    positives = torch.eye(7, dtype=torch.bool)[:3]
    positives[1, 4] = True
    teacher_queries = {"wide": unit(3, 8, seed=2), "same": unit(3, 6, seed=3), "narrow": unit(3, 4, seed=4)}
    teacher_documents = {"wide": unit(7, 8, seed=5), "same": unit(7, 6, seed=6), "narrow": unit(7, 4, seed=7)}
    batch = Batch(
        query_ids=("a", "b", "c"),
        doc_ids=tuple("0123456"),
        queries={},
        documents=(),
        candidates=torch.tensor([[0, 1, 2], [1, 2, 3], [2, 3, 0]]),
        mask=torch.tensor([[True, True, True], [True, True, True], [True, True, False]]),
        relevance=torch.tensor([[1, 0, 0], [1, 0, 0], [1, 0, 0]]),
        positives=positives,
        teachers={"ce": drawn(3, 3, seed=8)},
        in_batch_teachers={name: teacher_queries[name] @ teacher_documents[name].T for name in teacher_queries},
        teacher_queries=teacher_queries,
        teacher_documents=teacher_documents,
    )
    queries, documents = queries.clone().requires_grad_(True), documents.clone().requires_grad_(True)
    in_batch = in_batch_scores(queries, documents)
    return ScoredBatch(batch, own_scores(in_batch, batch.candidates), in_batch, queries, documents)


def taught_by(made: ScoredBatch, **vectors: tuple[torch.Tensor, torch.Tensor]) -> ScoredBatch:
    """The same with these teachers: name -> vectors of queries and documents."""
    queries = {name: both[0] for name, both in vectors.items()}
    documents = {name: both[1] for name, both in vectors.items()}
    products = {name: queries[name] @ documents[name].T for name in vectors}
    batch = replace(made.batch, teacher_queries=queries, teacher_documents=documents, in_batch_teachers=products)
    return replace(made, batch=batch)
