"""LEAD: a layer's scores of queries and documents, learned from a layer of the teacher; which layers is drawn anew."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from retkd.errors import ModelError
from retkd.layers import StackShape
from retkd.objectives.base import Training
from retkd.objectives.layered import LayerObjective

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch
    from retkd.training.layer_term import LayerTerm, Pass
    from retkd.training.states import Reads, States


class LEAD(LayerObjective):
    """Sum over layer pairs of weight x KL(teacher's layer || student's layer), in nats. Sun et al. 2024.

    A layer's score is the inner product of the query's and the document's state: that of [CLS], or the mean of the tokens.
    Widths and depths may differ: there is no projector. ``num_layers`` layers of each are drawn without replacement from
    all but the last (0, the embeddings' output, among them), sorted and paired, anew every ``redraw_every`` steps; the last
    is for `in_batch_kl`. Weights: :func:`retkd.losses.layers.layer_weights` of the teacher's loss on the judged positives,
    or 1 each without ``adaptive``.

    The authors' code trains the teacher along (``model: partner``) and lets the target's gradient through (``detach: false``).
    Lower layers have large inner products, whose softmax saturates: ``normalize`` makes cosines of them, with temperatures
    of that size.
    """

    LATER: ClassVar[tuple[str, ...]] = ("detach",)

    kind: Literal["lead"] = "lead"
    num_layers: int = Field(default=1, ge=1)
    redraw_every: int = Field(default=10, ge=1, description="optimiser steps")
    pooling: Literal["cls", "mean"] = "cls"
    normalize: bool = Field(default=False, description="cosines for inner products")
    in_batch: bool = Field(default=True, description="all documents of the batch, or a query's own candidates")
    student_temperature: float = Field(default=1.0, gt=0.0)
    teacher_temperature: float = Field(default=1.0, gt=0.0)
    adaptive: bool = Field(default=True, description="weigh layers by how well the teacher's finds the positives")
    layer_temperature: float = Field(default=10.0, gt=0.0, description="of the weights; large: all alike")
    detach: bool = Field(
        default=True,
        description="false, of `model: partner`: the term also moves the partner's layers towards the student's",
    )

    @model_validator(mode="after")
    def _moves_what_is_trained(self) -> "LEAD":
        if not self.detach and not self.reads_partner:
            raise ValueError(
                "`detach: false` lets a term move a partner, and this model is fixed: set `model: partner`"
            )
        return self

    @property
    def detached(self) -> bool:
        """As told."""
        return self.detach

    @property
    def needs_positives(self) -> bool:
        """Adaptive weights go by judged positives."""
        return self.adaptive

    @property
    def needs_lists(self) -> bool:
        """Own candidates alone: a list of one has no gradient."""
        return not self.in_batch

    def misfits(self, student: StackShape | None, teacher: StackShape | None) -> Iterator[tuple[str, ModelError]]:
        """Fewer layers than are drawn."""
        for who, stack in self.sides(student, teacher):
            if stack is not None and self.num_layers > stack.layers:
                yield (
                    "num_layers",
                    ModelError(
                        "lead cannot draw so many layers",
                        where=who,
                        seen=f"num_layers {self.num_layers}, and {stack.layers} layers of {who}",
                        allowed=f"1 to {stack.layers}: the embeddings' output and all layers but the last",
                    ),
                )

    def pairs(self, training: Training, step: int) -> list[tuple[int, int]]:
        """(student layer, teacher layer) at this step: the same whenever and wherever it is asked."""
        import numpy as np

        assert training.student_stack is not None
        rng = np.random.default_rng([training.seed, step // self.redraw_every])
        depths = (training.student_stack.layers, training.teacher_stacks[self.model].layers)
        one, other = (sorted(rng.choice(depth, self.num_layers, replace=False).tolist()) for depth in depths)
        return list(zip(one, other, strict=True))

    def reads(self, training: Training, step: int, progress: float) -> "tuple[Reads, Reads]":
        """The drawn layers."""
        from retkd.training.states import Reads

        pairs = self.pairs(training, step)
        return Reads(frozenset(s for s, _ in pairs)), Reads(frozenset(t for _, t in pairs))

    def of_pass(self, seen: "Pass", term: "LayerTerm") -> Any:
        """[(student's, teacher's)] pooled states ``[text, width]`` of each pair."""
        pairs = self.pairs(term.about, seen.step)
        return [(self._pooled(seen.student, one), self._pooled(seen.teacher, other)) for one, other in pairs]

    def _pooled(self, states: "States", layer: int) -> "Tensor":
        import torch

        from retkd.losses.layers import mean_over_tokens

        hidden = states.hidden[layer]
        pooled = hidden[:, 0] if self.pooling == "cls" else mean_over_tokens(hidden, states.mask)
        return torch.nn.functional.normalize(pooled, dim=-1) if self.normalize else pooled

    def value(self, parts: list[Any], scored: "ScoredBatch", term: "LayerTerm") -> "Tensor":
        """Sum over the pairs of weight x KL, mean over queries."""
        import torch

        from retkd.losses.layers import gold_nll, layer_weights
        from retkd.losses.listwise import kl

        batch = scored.batch
        mask = torch.ones_like(scored.in_batch, dtype=torch.bool) if self.in_batch else batch.mask
        positive = batch.relevant if self.in_batch else batch.positive
        losses, nlls = [], []
        for pair in range(self.num_layers):
            own, other = (self._scores(parts, pair, who, scored) for who in (0, 1))
            losses.append(
                kl(
                    own,
                    other,
                    mask,
                    student_temperature=self.student_temperature,
                    teacher_temperature=self.teacher_temperature,
                    detach=self.detach,
                )
            )
            nlls.append(gold_nll(other / self.teacher_temperature, positive, mask))
        weights = layer_weights(torch.stack(nlls), self.layer_temperature) if self.adaptive else 1.0
        return (weights * torch.stack(losses)).sum()

    def _scores(self, parts: list[Any], pair: int, who: int, scored: "ScoredBatch") -> "Tensor":
        import torch

        queries, documents = parts[0][pair][who], torch.cat([part[pair][who] for part in parts[1:]])
        scores: Tensor = queries @ documents.T
        return scores if self.in_batch else scores.gather(1, scored.batch.candidates)
