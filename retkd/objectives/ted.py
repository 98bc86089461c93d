"""TED: layers compared through filters that let pass what the task needs."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from retkd.objectives.base import Training
from retkd.objectives.layered import LayerPairs, PairedLayers

if TYPE_CHECKING:
    from torch import Tensor, nn

    from retkd.batch import ScoredBatch
    from retkd.training.layer_term import LayerTerm, Pass


class TED(PairedLayers):
    """Two stages in one training, each with a loss of its own. Liang et al. 2023 (Task-aware layer-wise distillation).

    Up to the share ``filtering`` of the steps the filters of both models are fitted: for each pair of layers, InfoNCE of the
    means over the filtered tokens. The states are detached there, so that the filters learn the task and the models do
    not bend to them. From then on the teacher's filters stay, and the value is the mean squared difference of filtered
    tokens, which trains the student and its filters. The other terms of the objective go on in both stages (the paper
    fits filters on frozen or on fine-tuned models); its task heads are here the scores of queries and documents.
    With `layer_mse` and no projection the filters are off.
    """

    kind: Literal["ted"] = "ted"
    layers: LayerPairs = "uniform"
    filtering: float = Field(default=0.3, gt=0.0, lt=1.0, description="share of the steps for fitting the filters")
    filter_dim: int | None = Field(default=None, ge=1, description="default: the teacher's width")
    nonlinear: bool = Field(default=False, description="a GELU after each linear filter")
    temperature: float = Field(default=0.05, gt=0.0, description="of the cosines that fit the filters")

    @property
    def needs_positives(self) -> bool:
        """The filters are fitted on judged positives."""
        return True

    @property
    def reads_in_batch(self) -> bool:
        """Always: the filters' scores are of all documents of the batch."""
        return True

    def trained_parts(self, training: Training) -> "nn.Module":
        """``student`` and ``teacher``: a filter for each pair of layers."""
        from torch import nn

        from retkd.objectives.layer_mse import widths

        own, other = widths(self, training)
        dim = self.filter_dim or other

        def filters(width: int) -> nn.ModuleList:
            after = nn.GELU() if self.nonlinear else nn.Identity()
            return nn.ModuleList([nn.Sequential(nn.Linear(width, dim), after) for _ in self.pairs(training)])

        return nn.ModuleDict({"student": filters(own), "teacher": filters(other)})

    def of_pass(self, seen: "Pass", term: "LayerTerm") -> Any:
        """While filters are fitted, their pooled tokens for each pair of both models; then (sum, count)."""
        from retkd.losses.layers import token_mse

        mask = seen.student.mask
        if seen.progress < self.filtering:
            return self._pooled(seen, term)
        found = []
        for number, (one, other) in enumerate(self.pairs(term.about)):
            own = term.trained["student"][number](seen.student.hidden[one])
            target = term.trained["teacher"][number](seen.teacher.hidden[other])
            found.append(token_mse(own, target, mask))
        return sum(value for value, _ in found), sum(tokens for _, tokens in found)

    def _pooled(self, seen: "Pass", term: "LayerTerm") -> "list[Tensor]":
        """Unit vectors ``[text, dim]``: the student's pairs, then the teacher's."""
        from torch.nn.functional import normalize

        from retkd.losses.layers import mean_over_tokens

        pairs, mask = self.pairs(term.about), seen.student.mask
        states = [seen.student.hidden[one] for one, _ in pairs], [seen.teacher.hidden[other] for _, other in pairs]
        return [
            normalize(mean_over_tokens(each(hidden.detach()), mask), dim=-1)
            for who, of_layers in zip(("student", "teacher"), states, strict=True)
            for each, hidden in zip(term.trained[who], of_layers, strict=True)
        ]

    def value(self, parts: list[Any], scored: "ScoredBatch", term: "LayerTerm") -> "Tensor":
        """The filters' InfoNCE, mean over filters; then the mean over tokens and pairs of layers."""
        import torch

        from retkd.losses.contrastive import infonce

        if scored.progress >= self.filtering:
            return super().value(parts, scored, term)
        target = scored.batch.relevant
        losses = []
        for number, queries in enumerate(parts[0]):
            documents = torch.cat([part[number] for part in parts[1:]])
            losses.append(infonce(queries @ documents.T, target, target, temperature=self.temperature))
        return torch.stack(losses).mean()
