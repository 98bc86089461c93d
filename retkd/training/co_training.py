"""Two models in one training: the student and its partner, each with its own batch of the same lists."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from retkd.batch import Batch, Example, ScoredBatch
from retkd.collections.base import Collection
from retkd.encoders.encoder import Encoder
from retkd.losses.mutual import mutual_kl
from retkd.matchers.cross_encoder import PairScorer
from retkd.objectives.base import Training, leaves
from retkd.parts import PARTNER
from retkd.stage import Model
from retkd.training.collator import Collator
from retkd.training.dense_teacher import DenseTeacher, vectors_read
from retkd.training.distillation import DistilledEncoder
from retkd.training.layer_term import reads_of
from retkd.training.optimisation import Optimisation
from retkd.training.partners import CrossEncoderPartner, Partner
from retkd.training.passes import Passes
from retkd.training.teaching import PairBatch, SharedBatch, TaughtModel, collator, new_scorer, save_scorer

Collate = Callable[[Sequence[Example]], dict[str, Any]]
"""What makes a batch of examples, as a data loader calls it."""


@dataclass(frozen=True)
class JointBatch:
    """The same lists as the student reads them and as its partner does: query q and candidate c are the same in both."""

    student: Batch
    partner: Batch | PairBatch | SharedBatch

    def to(self, device: str | torch.device) -> "JointBatch":
        """The same batch on a device."""
        return JointBatch(self.student.to(device), self.partner.to(device))


@dataclass(frozen=True)
class JointCollator:
    """Callable for a data loader: a list of :class:`Example` to ``{"batch": JointBatch}``."""

    student: Collate
    partner: Collate

    def __call__(self, examples: Sequence[Example]) -> dict[str, JointBatch]:
        """The batch of these examples."""
        return {"batch": JointBatch(self.student(examples)["batch"], self.partner(examples)["batch"])}


class JointModel(nn.Module):
    """The student, its partner, and what each learns from the other. Both are trained and checkpointed."""

    def __init__(self, student: nn.Module, partner: DistilledEncoder | TaughtModel, told: Partner) -> None:
        super().__init__()
        self.student = student
        self.partner = partner
        self.told = told

    def forward(self, batch: JointBatch, progress: float = 0.0) -> dict[str, Tensor]:
        """``loss`` and, detached, the student's terms, the partner's as ``partner_...``, ``to_student``, ``to_partner``."""
        student, partner = self._both(batch, progress)
        partner = replace(partner, progress=progress)
        terms: dict[str, Tensor] = {}
        losses = []
        for prefix, model, scored in (("", self.student, student), ("partner_", self.partner, partner)):
            if model.objective.terms:  # type: ignore[union-attr]
                own = model.objective(scored)  # type: ignore[operator]
                losses.append(own.pop("loss"))
                terms |= {f"{prefix}{name}": value for name, value in own.items()}
        for name, weight, value in self._mutual(student, partner):
            terms[name] = value.detach()
            losses += [weight * value] if weight else []
        return {"loss": torch.stack(losses).sum(), **terms}

    def _both(self, batch: JointBatch, progress: float) -> tuple[ScoredBatch, ScoredBatch]:
        """The scores of the student and of the partner, which goes first where a term reads its layers: one pass of each."""
        reading = [term for term in self.student.objective.reading if term.objective.reads_partner]  # type: ignore[union-attr]
        if not reading:
            return self.student.score(batch.student, progress), self._scored(batch.partner)  # type: ignore[operator]
        assert isinstance(self.partner, DistilledEncoder)
        assert isinstance(batch.partner, Batch)
        partner, layers = self.partner.score_with_layers(batch.partner, reads_of(reading, PARTNER, progress))
        return self.student.score(batch.student, progress, layers), partner  # type: ignore[operator]

    def _scored(self, batch: Batch | PairBatch | SharedBatch) -> ScoredBatch:
        if isinstance(self.partner, TaughtModel):
            return self.partner.scored(batch)
        assert isinstance(batch, Batch)
        return self.partner.score(batch)

    def _mutual(self, student: ScoredBatch, partner: ScoredBatch) -> list[tuple[str, float, Tensor]]:
        told, mask = self.told, student.batch.mask
        temperatures = (told.student_temperature, told.partner_temperature)
        both = mutual_kl(student.own, partner.own, mask, temperatures=temperatures, detach=told.detach)
        share = 1.0 / mask.sum(dim=1) if told.per == "candidate" else torch.ones_like(both[0])
        to_student, to_partner = ((value * share).mean() for value in both)
        return [("to_student", told.to_student, to_student), ("to_partner", told.to_partner, to_partner)]


@dataclass(frozen=True)
class LoadedPartner:
    """A partner as it begins: the model that runs on texts, the same under its objective, and what makes its batches."""

    told: Partner
    reader: Encoder | PairScorer
    model: DistilledEncoder | TaughtModel
    collator: Collate

    def beside(
        self, student: nn.Module, collator: Collate, optimisation: Optimisation
    ) -> tuple[JointModel, JointCollator, torch.optim.Optimizer | None]:
        """The student and this partner as one model, what makes their batches, and the optimiser of two rates if asked for."""
        joint = JointModel(student, self.model, self.told)
        return joint, JointCollator(collator, self.collator), two_rates(joint, optimisation, self.told.learning_rate)

    @property
    def num_parameters(self) -> int:
        """Of the partner alone."""
        return sum(p.numel() for p in self.reader.model.parameters())

    def save(self, folder: Path) -> None:
        """Save a cross-encoder as teacher kind cross_encoder loads it, an encoder as a student is saved."""
        if isinstance(self.reader, PairScorer):
            save_scorer(self.reader, folder)
        else:
            self.reader.model.eval()
            self.reader.save(folder)


def load_partner(
    told: Any,
    models: Mapping[str, Model],
    device: str,
    training: Training,
    teachers: dict[str, DenseTeacher],
    collection: Collection,
    through: Passes | None = None,
    encoder: Encoder | None = None,
) -> LoadedPartner:
    """The partner from its base checkpoint, or around the encoder that was made of it. Without steps no term is bound."""
    objective = told.objective if training.steps else []
    if isinstance(told, CrossEncoderPartner):
        scorer = new_scorer(models[told.base].path, device, told)
        model = TaughtModel(scorer, objective, replace(training, student_dim=None))
        assert isinstance(scorer, PairScorer)
        return LoadedPartner(told, scorer, model, collator(scorer, {}))
    encoder = encoder or told.encoder.made(models, device, collection)
    own = replace(training, student_dim=encoder.dim)
    distilled = DistilledEncoder(encoder, objective, own, passes=through)
    return LoadedPartner(told, encoder, distilled, Collator(encoder, teachers, vectors_read(leaves(objective))))


def two_rates(
    joint: JointModel, optimisation: Optimisation, partner_rate: float | None
) -> torch.optim.Optimizer | None:
    """AdamW with a rate of its own for the partner; None (the trainer's) where both have one rate.

    As the trainer does, it decays matrices and neither biases nor norms.
    """
    if partner_rate is None:
        return None
    groups = []
    for module, rate in ((joint.student, optimisation.learning_rate), (joint.partner, partner_rate)):
        trained = [p for p in module.parameters() if p.requires_grad]
        for decay, chosen in (
            (optimisation.weight_decay, [p for p in trained if p.ndim > 1]),
            (0.0, [p for p in trained if p.ndim <= 1]),
        ):
            groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
    return torch.optim.AdamW([group for group in groups if group["params"]])
