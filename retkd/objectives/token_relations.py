"""A graph of tokens drawn from several texts: who is near whom, in the teacher and in the student."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from retkd.objectives.layered import PairedLayers

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.training.layer_term import LayerTerm, Pass


class TokenRelations(PairedLayers):
    """Weighted sum of three losses of :mod:`retkd.losses.relations` on cosines of tokens, mean over passes and layer pairs.

    Of each pass ``num_tokens`` tokens are drawn over all its texts. ``local``: the KL over a token's nearest tokens in the
    teacher; ``contrast``: a token's similarities to all tokens find the teacher's for it; ``context``: the KL over the other
    tokens of its own text. Widths may differ. After "Token-level Relationship Graph" (Zhang et al. 2023), whose abstract
    alone was read: the three terms are its own, their forms and temperatures are our reading.
    """

    kind: Literal["token_relations"] = "token_relations"
    num_tokens: int = Field(default=128, ge=4, description="drawn from each pass")
    neighbours: int = Field(default=8, ge=1)
    temperature: float = Field(default=0.1, gt=0.0)
    local: float = Field(default=1.0, ge=0.0)
    contrast: float = Field(default=1.0, ge=0.0)
    context: float = Field(default=1.0, ge=0.0)

    @model_validator(mode="after")
    def _something(self) -> "TokenRelations":
        if not self.local + self.contrast + self.context:
            raise ValueError("local, contrast and context are all 0: give one of them a weight")
        return self

    def of_pass(self, seen: "Pass", term: "LayerTerm") -> Any:
        """(sum over the pairs of layers, number of pairs)."""
        import torch

        texts, tokens = self._drawn(seen, term.about.seed)
        found = [
            self._compared(seen.student.hidden[one][texts, tokens], seen.teacher.hidden[other][texts, tokens], texts)
            for one, other in self.pairs(term.about)
        ]
        return torch.stack(found).sum(), found[0].new_tensor(float(len(found)))

    def _drawn(self, seen: "Pass", seed: int) -> "tuple[Tensor, Tensor]":
        """(text, token) of the nodes: the same for the same step and pass of a training."""
        import numpy as np
        import torch

        texts, tokens = seen.student.mask.nonzero(as_tuple=True)
        rng = np.random.default_rng([seed, seen.step, seen.number])
        drawn = np.sort(rng.permutation(len(texts))[: self.num_tokens])
        chosen = torch.from_numpy(drawn).to(texts.device)
        return texts[chosen], tokens[chosen]

    def _compared(self, student: "Tensor", teacher: "Tensor", texts: "Tensor") -> "Tensor":
        from retkd.losses.relation import gram
        from retkd.losses.relations import context_kl, neighbour_kl, profile_contrast

        own, other, total = gram(student), gram(teacher), student.new_zeros(())
        if self.local:
            near = neighbour_kl(own, other, neighbours=self.neighbours, temperature=self.temperature)
            total = total + self.local * near
        if self.contrast:
            total = total + self.contrast * profile_contrast(own, other, temperature=self.temperature)
        if self.context:
            total = total + self.context * context_kl(own, other, texts, temperature=self.temperature)
        return total
