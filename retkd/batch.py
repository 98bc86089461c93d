"""A training batch: each document once, ragged candidate lists under a mask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

Features = dict[str, Tensor]
"""What a transformer reads: ``input_ids``, ``attention_mask`` and the like, each ``[text, token]``."""


@dataclass(frozen=True)
class Batch:
    """Queries, the documents they share, and who is whose candidate.

    ``documents`` are chunks of similar length; their rows, one after the other, are the ``doc`` axis. Where ``mask``
    is False the other ``[query, cand]`` tensors hold no meaning. ``relevance`` is 0 where unjudged. ``in_batch_teachers``
    holds only teachers that can score any pair; ``teacher_queries`` and ``teacher_documents`` the vectors of those whose
    vectors a term reads. Where each list is there in several languages, ``variants`` says which candidate is which
    passage in which language, and ``variant_mask`` where there is a passage.
    """

    query_ids: tuple[str, ...]
    doc_ids: tuple[str, ...]
    queries: Features
    documents: tuple[Features, ...]
    candidates: Int[Tensor, "query cand"]
    mask: Bool[Tensor, "query cand"]
    relevance: Int[Tensor, "query cand"]
    positives: Bool[Tensor, "query doc"]
    teachers: dict[str, Float[Tensor, "query cand"]]
    in_batch_teachers: dict[str, Float[Tensor, "query doc"]] = field(default_factory=dict)
    teacher_queries: dict[str, Float[Tensor, "query teacher_dim"]] = field(default_factory=dict)
    teacher_documents: dict[str, Float[Tensor, "doc teacher_dim"]] = field(default_factory=dict)
    variants: Int[Tensor, "query language passage"] | None = None
    variant_mask: Bool[Tensor, "query passage"] | None = None

    def to(self, device: str | torch.device) -> "Batch":
        """The same batch on a device."""
        return Batch(**{each.name: _moved(getattr(self, each.name), device) for each in fields(self)})

    @property
    def positive(self) -> Bool[Tensor, "query cand"]:
        """Which own candidates are judged relevant."""
        return (self.relevance > 0) & self.mask

    @property
    def own_positives(self) -> Bool[Tensor, "query doc"]:
        """The same, among all documents of the batch."""
        found = torch.zeros_like(self.positives)
        found[torch.nonzero(self.positive)[:, 0], self.candidates[self.positive]] = True
        return found

    @property
    def relevant(self) -> Bool[Tensor, "query doc"]:
        """Which documents of the batch are known to be relevant to which query: by the collection, or by the table."""
        return self.positives | self.own_positives

    def by_language(self, values: Shaped[Tensor, "query cand"]) -> Shaped[Tensor, "list passage"]:
        """The values of each query's list in each language as a list of its own, language by language within a query."""
        assert self.variants is not None
        assert self.variant_mask is not None
        found = values.gather(1, self.variants.flatten(1)).view(self.variants.shape).flatten(0, 1)
        if values.dtype != torch.bool:
            return found
        return found & self.variant_mask.repeat_interleave(self.variants.shape[1], dim=0)


def _moved(value: Any, device: str | torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {name: _moved(inner, device) for name, inner in value.items()}
    if isinstance(value, tuple) and value and isinstance(value[0], dict):
        return tuple(_moved(inner, device) for inner in value)
    return value


@dataclass(frozen=True)
class ScoredBatch:
    """A batch and the student's raw scores. Teacher losses see ``own`` alone, which the teacher scored.

    ``in_batch`` also holds documents that other queries brought: no teacher has seen those pairs. ``queries`` and
    ``documents`` are the student's vectors, None where it has none. ``progress``: the share of the steps already made.
    ``parts``: what each term that reads layers made of the passes, the queries' first. ``last_exit``: of a student with
    exits, the scores of its last one, at the others.
    """

    batch: Batch
    own: Float[Tensor, "query cand"]
    in_batch: Float[Tensor, "query doc"]
    queries: Float[Tensor, "query dim"] | None = None
    documents: Float[Tensor, "doc dim"] | None = None
    progress: float = 0.0
    parts: Mapping[Any, Sequence[Any]] = field(default_factory=dict)
    last_exit: "ScoredBatch | None" = None


@dataclass(frozen=True)
class Example:
    """One query and its candidates, still text. ``teachers`` holds one score per candidate and teacher.

    ``num_variants``: the candidates are so many blocks of the same passages, each in another language.
    """

    query_id: str
    query: str
    doc_ids: tuple[str, ...]
    documents: tuple[str, ...]
    relevance: tuple[int, ...]
    teachers: dict[str, tuple[float, ...]]
    all_positives: frozenset[str]
    num_variants: int = 1
