"""Terms that read layers: one pass of the student and, side by side on the same tokens, of an encoder that teaches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from retkd.batch import Features, ScoredBatch
from retkd.encoders.encoder import Encoder
from retkd.parts import PARTNER
from retkd.training.states import Reads, States, recorded

if TYPE_CHECKING:
    from retkd.objectives.base import Training


@dataclass(frozen=True)
class Pass:
    """What student and teacher made of the same texts. ``number`` 0 holds the queries, the others documents.

    The teacher's states have no gradient, but of a partner for a term that is not ``detached``. They are gone after the pass
    unless a term keeps them, or a partner's own gradient needs them.
    """

    student: States
    teacher: States
    number: int
    step: int
    progress: float


class LayerTerm(nn.Module):
    """A term that reads layers, bound to a training: first a part of each pass, then the value of the whole batch.

    So no more than one pass's states of the teacher are in memory. The sums are made in float32.
    """

    def __init__(self, objective: Any, about: "Training") -> None:
        super().__init__()
        self.objective, self.about = objective, about
        self.trained = objective.trained_parts(about)

    @property
    def model(self) -> str | None:
        """The encoder whose layers it reads pass by pass, if any."""
        found: str | None = self.objective.layer_model
        return found

    def step(self, progress: float) -> int:
        """Steps already made."""
        return round(progress * self.about.steps)

    def reads(self, progress: float) -> tuple[Reads, Reads]:
        """What it reads of the student and of the teacher at this step."""
        student, teacher = self.objective.reads(self.about, self.step(progress), progress)
        return student, teacher

    def of_pass(self, seen: Pass) -> Any:
        """What is kept of one pass."""
        return self.objective.of_pass(seen, self)

    def forward(self, scored: ScoredBatch) -> Tensor:
        """The unweighted value, a scalar."""
        with torch.autocast(scored.in_batch.device.type, enabled=False):
            value: Tensor = self.objective.value(scored.parts[self], scored, self)
        return value


def reads_of(terms: Sequence[LayerTerm], model: str | None, progress: float) -> Reads:
    """What the terms read of one teacher at this step."""
    return reduce(or_, (term.reads(progress)[1] for term in terms if term.model == model), Reads())


class LayerReading:
    """The passes of one batch. ``parts``: by term, what it made of each pass, in order: the queries' first. ``partner``:
    what the layers of a model that is trained beside the student made of the same passes."""

    def __init__(
        self,
        student: nn.Module,
        teachers: Mapping[str, Encoder],
        terms: Sequence[LayerTerm],
        progress: float,
        partner: Sequence[States] = (),
    ) -> None:
        self.student, self.teachers, self.partner = student, teachers, partner
        self.terms, self.progress = terms, progress
        self.parts: dict[Any, list[Any]] = {term: [] for term in terms}
        self.own = reduce(or_, (term.reads(progress)[0] for term in terms))
        self.of_teacher = {term.model: reads_of(terms, term.model, progress) for term in terms}
        self.number = 0

    def vectors(self, encode: Callable[[Features], Tensor], features: Features, tokens: Features) -> Tensor:
        """``encode(features)``, the student's vectors; on the way each term gets its part of the pass.

        ``tokens`` are the same texts as token ids, which the teachers read.
        """
        with recorded(self.student, self.own, tokens["attention_mask"]) as seen:
            vectors = encode(features)
        for ref in self.of_teacher:
            taught = self._taught(ref, tokens)
            for term in (term for term in self.terms if term.model == ref):
                states = taught.detached() if term.objective.detached else taught
                told = Pass(seen, states, self.number, term.step(self.progress), self.progress)
                with torch.autocast(vectors.device.type, enabled=False):
                    self.parts[term].append(term.of_pass(told))
        self.number += 1
        return vectors

    @torch.no_grad()
    def _taught(self, ref: str | None, tokens: Features) -> States:
        if ref is None:
            return States(tokens["attention_mask"].bool())
        if ref == PARTNER:
            return self.partner[self.number]
        transformer = self.teachers[ref].model[0]
        with recorded(transformer.auto_model, self.of_teacher[ref], tokens["attention_mask"]) as seen:
            transformer(dict(tokens))
        return seen
