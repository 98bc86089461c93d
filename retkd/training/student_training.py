"""What a train stage trains, put together: the student under its objective, its batches, and what is trained beside it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from retkd.encoders.encoder import Encoder
from retkd.encoders.exits import ExitEncoder
from retkd.encoders.two_heads import TwoHeadedEncoder
from retkd.layers import stack_shape
from retkd.objectives.base import Training, leaves
from retkd.parts import PARTNER
from retkd.stage import Inputs
from retkd.training.collator import Collator
from retkd.training.dense_teacher import DenseTeacher, dense_teachers, vectors_read
from retkd.training.distillation import DistilledEncoder
from retkd.training.examples import CandidateLists, require_lists, require_objective, teachers_of
from retkd.training.exit_distillation import DistilledExits
from retkd.training.head_distillation import DistilledHeads
from retkd.training.layer_teachers import layer_teachers, pair_teachers, require_same_passes, stack_of
from retkd.training.passes import Passes, passes
from retkd.training.stored_terms import stored_terms
from retkd.training.translated_lists import TranslatedLists
from retkd.training.words import StudentWords
from retkd.whole_passes import readers

if TYPE_CHECKING:
    from retkd.stages.train import Config


@dataclass(frozen=True)
class Assembled:
    """``model`` is what the trainer sees: ``student``, or both where a ``partner`` is trained beside it."""

    student: Any
    model: nn.Module
    collator: Any
    partner: Any = None
    companion: Any = None
    optimizer: torch.optim.Optimizer | None = None


def training_lists(config: "Config", inputs: Inputs, rows: Any) -> tuple[CandidateLists, Any]:
    """The candidate lists of ``rows``, and the examples that they are in the languages asked for.

    Raises where a term, or a partner, cannot learn from them.
    """
    written = _written(config)
    require_objective(written, rows, config.steps)
    if config.co_train is not None and config.steps:
        require_lists(rows, "`co_train`")
    lists = CandidateLists(rows, inputs.collection, "train", teachers_of(written))
    told = config.document_languages
    return lists, lists if told is None else TranslatedLists(lists, told, inputs.seed)


def assembled(
    config: "Config", inputs: Inputs, encoder: Encoder, work: Path, device: str, doc_ids: Iterable[str]
) -> Assembled:
    """Everything that is trained, on lists of these documents. Without steps no teacher is loaded and no term is bound."""
    stored = config.student.stored_documents
    teachers = _teachers(config, inputs, work, device, doc_ids) if config.steps else {}
    companion = config.student.companion(encoder) if config.steps else None
    beside = _read_partner(config, inputs, encoder, device)
    student, training = _student(
        config, inputs, encoder, companion, {ref: t.dim for ref, t in teachers.items()}, device, beside
    )
    read = vectors_read(leaves(config.objective)) | ({stored} if stored is not None else set())
    collator: Any = Collator(encoder, teachers, read, stored_documents=stored is not None)
    if config.co_train is None:
        return Assembled(student, student, collator, companion=companion)
    from retkd.training.co_training import load_partner

    partner = load_partner(
        config.co_train, inputs.models, device, training, teachers, inputs.collection, student.passes, beside
    )
    model, both, optimizer = partner.beside(student, collator, config)
    return Assembled(student, model, both, partner, companion, optimizer)


def _teachers(
    config: "Config", inputs: Inputs, work: Path, device: str, doc_ids: Iterable[str]
) -> dict[str, DenseTeacher]:
    """What teaches whole batches, and what holds the student's stored documents."""
    stored, written = config.student.stored_documents, _written(config)
    if stored is None or config.student.REPRESENTS != "sparse_encoder":
        return dense_teachers(written, "train", inputs, device, work, stored)
    return {
        **dense_teachers(written, "train", inputs, device, work),
        stored: stored_terms(stored, doc_ids, inputs, device),
    }


def _written(config: "Config") -> list[Any]:
    """The terms of the student and of its partner."""
    return leaves([*config.objective, *(config.co_train.objective if config.co_train else [])])


def _read_partner(config: "Config", inputs: Inputs, student: Encoder, device: str) -> Encoder | None:
    """The encoder that will be trained beside the student, where a term reads its layers."""
    if not config.steps or not any(term.reads_partner for term in config.objective):
        return None
    encoder: Encoder = config.co_train.encoder.made(inputs.models, device, inputs.collection)  # type: ignore[union-attr]
    require_same_passes(student, encoder)
    return encoder


def _student(
    config: "Config",
    inputs: Inputs,
    encoder: Encoder,
    companion: Any,
    teacher_dims: Mapping[str, int],
    device: str,
    partner: Encoder | None,
) -> tuple[Any, Training]:
    """The student under its objective, with the encoders whose layers teach it, and what its terms know."""
    objective = config.objective if config.steps else []
    teachers = layer_teachers(objective, inputs, encoder, device)
    read = teachers if partner is None else {**teachers, PARTNER: partner}
    stacks = {ref: stack_of(teacher, ref) for ref, teacher in read.items()}
    pairs = pair_teachers(objective, inputs, encoder, device)
    through = passes(inputs.runtime, [what for _, what in readers(config)])
    training = Training(
        encoder.dim,
        teacher_dims,
        config.steps,
        inputs.seed,
        stack_of(encoder, "the student") if any(term.reads_layers for term in objective) else None,
        {**stacks, **{ref: stack_shape(teacher.body) for ref, teacher in pairs.items()}},
        pairs,
        _words(config, inputs, encoder, through) if any(term.masks_words for term in objective) else None,
    )
    if isinstance(encoder, ExitEncoder):
        return DistilledExits(encoder, objective, config.student.weights, training), training
    if isinstance(encoder, TwoHeadedEncoder):
        return DistilledHeads(encoder, objective, training, through), training
    stored = config.student.stored_documents
    return DistilledEncoder(encoder, objective, training, teachers, through, companion, stored), training


def _words(config: "Config", inputs: Inputs, encoder: Encoder, through: Passes) -> StudentWords:
    """The student as terms that mask words know it."""
    base: str = config.student.base  # type: ignore[attr-defined]
    return StudentWords(encoder, through, inputs.models[base].path, base)
