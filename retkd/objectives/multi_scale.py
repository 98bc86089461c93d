"""Multi-scale: what a teacher makes of a text, of its halves and of its quarters."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveInt, field_validator

from retkd.errors import ModelError
from retkd.layers import StackShape
from retkd.objectives.base import Training
from retkd.objectives.layer_mse import unequal_widths, widths
from retkd.objectives.layered import PairedLayers

if TYPE_CHECKING:
    from torch import Tensor, nn

    from retkd.batch import ScoredBatch
    from retkd.training.layer_term import LayerTerm, Pass


class MultiScale(PairedLayers):
    """:func:`retkd.losses.spans.span_cosine` at each of ``spans``, a mean over spans, texts and pairs of layers, and then over
    the scales, which so count alike.

    Scale 1 is the mean of the whole text. Wei et al. 2024 (Scale Decoupled Distillation) pool an image's logits over the cells
    of such grids; a text has one dimension, and an encoder vectors for logits.
    """

    kind: Literal["multi_scale"] = "multi_scale"
    spans: list[PositiveInt] = Field(default=[1, 2, 4], min_length=1, description="of a text, at each scale")
    projection: bool = Field(default=False, description="a linear map of the student's states, where widths differ")

    @field_validator("spans")
    @classmethod
    def _different(cls, spans: list[int]) -> list[int]:
        if spans != sorted(set(spans)):
            raise ValueError(f"`spans` rise, each once: not {spans}")
        return spans

    def misfits(self, student: StackShape | None, teacher: StackShape | None) -> Iterator[tuple[str, ModelError]]:
        """Layers beyond the last, and widths that differ where nothing is between them."""
        yield from super().misfits(student, teacher)
        if not self.projection:
            yield from unequal_widths(self, student, teacher, ("projection", "set `projection: true`"))

    def trained_parts(self, training: Training) -> "nn.Module | None":
        """One map, for all pairs."""
        from torch import nn

        return nn.Linear(*widths(self, training), bias=False) if self.projection else None

    def of_pass(self, seen: "Pass", term: "LayerTerm") -> Any:
        """``[scale, 2]``: (sum, count) over the spans of each scale."""
        import torch

        from retkd.losses.spans import span_cosine

        found = []
        for num_spans in self.spans:
            told = []
            for one, other in self.pairs(term.about):
                states = seen.student.hidden[one]
                states = states if term.trained is None else term.trained(states)
                told.append(torch.stack(span_cosine(states, seen.teacher.hidden[other], seen.student.mask, num_spans)))
            found.append(torch.stack(told).sum(dim=0))
        return torch.stack(found)

    def value(self, parts: "list[Any]", scored: "ScoredBatch", term: "LayerTerm") -> "Tensor":
        """Mean over the scales of the mean over all spans of the batch."""
        import torch

        sums, counts = torch.stack(parts).sum(dim=0).unbind(dim=1)
        return (sums / counts.clamp(min=1)).mean()
