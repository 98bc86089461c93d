"""What `teach` trains: a model of pairs, of lists or of token states, under a weighted objective."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from retkd import processes
from retkd.batch import Batch, Example, Features, ScoredBatch
from retkd.batching import settle
from retkd.errors import ModelError, RecipeError
from retkd.layers import stack
from retkd.matchers.beca import Beca
from retkd.matchers.beca_scorer import BecaScorer
from retkd.matchers.cross_encoder import Pair, PairScorer
from retkd.matchers.segment_head import SegmentCrossEncoder
from retkd.matchers.uni_encoder import UniEncoder
from retkd.matchers.uni_scorer import UniScorer
from retkd.objectives.base import Objective, Training
from retkd.training.collator import Collator, lists
from retkd.training.dense_teacher import DenseTeacher
from retkd.training.distillation import WeightedObjective
from retkd.training.partners import CrossEncoderPartner
from retkd.training.passes import drawing_apart, gathered

if TYPE_CHECKING:
    from retkd.stages.teach import Config


class Scorer(Protocol):
    """A model with its tokeniser that scores pairs of texts."""

    model: Any
    tokenizer: Any
    max_length: int

    def score(self, pairs: Sequence[Pair], tokens_per_batch: int | None = None) -> np.ndarray: ...


@dataclass(frozen=True)
class PairBatch:
    """What a model of pairs or lists reads, where the score of each own candidate then stands, and the lists."""

    inputs: tuple[Features, ...]
    place: Int[Tensor, "query cand"]
    lists: Batch

    def to(self, device: str | torch.device) -> "PairBatch":
        """The same batch on a device."""
        inputs = tuple({name: tensor.to(device) for name, tensor in chunk.items()} for chunk in self.inputs)
        return PairBatch(inputs, self.place.to(device), self.lists.to(device))


@dataclass(frozen=True)
class PairCollator:
    """Callable for a data loader: a list of :class:`Example` to ``{"batch": PairBatch}``."""

    scorer: PairScorer

    def __call__(self, examples: Sequence[Example]) -> dict[str, PairBatch]:
        """The batch of these examples."""
        inputs, places = self.scorer.inputs([(e.query, e.documents) for e in examples])
        doc_ids = tuple(dict.fromkeys(doc_id for e in examples for doc_id in e.doc_ids))
        batch = lists(examples, doc_ids, {}, ())
        place = torch.zeros(batch.mask.shape, dtype=torch.int64)
        place[batch.mask] = torch.from_numpy(places)
        return {"batch": PairBatch(inputs, place, batch)}


@dataclass(frozen=True)
class SharedBatch:
    """The batch of the queries that one of several processes scores, and the lists of all queries."""

    own: PairBatch | Batch
    lists: Batch

    def to(self, device: str | torch.device) -> "SharedBatch":
        """The same batch on a device."""
        return SharedBatch(self.own.to(device), self.lists.to(device))


@dataclass(frozen=True)
class SharedCollator:
    """Callable for a data loader: divides the queries of each batch among the processes of a run."""

    collate: "PairCollator | Collator"

    def __call__(self, examples: Sequence[Example]) -> dict[str, SharedBatch]:
        """What this process scores of these examples, and the lists of all."""
        doc_ids = tuple(dict.fromkeys(doc_id for e in examples for doc_id in e.doc_ids))
        start, stop = _part(len(examples), processes.number())
        own: Any = self.collate(examples[start:stop])["batch"]
        return {"batch": SharedBatch(own, lists(examples, doc_ids, {}, ()))}


def _part(num_queries: int, number: int) -> tuple[int, int]:
    """(start, stop) of the queries of one process."""
    return num_queries * number // processes.count(), num_queries * (number + 1) // processes.count()


class TaughtModel(nn.Module):
    """A batch in, the weighted objective of the model's scores and its terms out."""

    def __init__(self, scorer: Scorer, objective: Sequence[Objective], training: Training | None = None) -> None:
        super().__init__()
        self.model = scorer.model
        self.scorer = scorer
        self.objective = WeightedObjective(objective, training or Training())
        self.in_batch = any(term.reads_in_batch for term in objective)

    def forward(self, batch: PairBatch | Batch | SharedBatch, progress: float = 0.0) -> dict[str, Tensor]:
        """``loss`` and, detached, each unweighted term under its label. ``progress``: the share of the steps made."""
        terms: dict[str, Tensor] = self.objective(replace(self.scored(batch), progress=progress))
        return terms

    def scored(self, batch: PairBatch | Batch | SharedBatch) -> ScoredBatch:
        """Float32 scores. Where no term reads ``in_batch`` it has no document: those pairs were not scored."""
        if isinstance(batch, SharedBatch):
            return self._scored_by_all(batch)
        if isinstance(self.scorer, BecaScorer):
            assert isinstance(batch, Batch)
            return self.scorer.scored(batch, self.in_batch)
        assert isinstance(batch, PairBatch)
        assert isinstance(self.scorer, PairScorer)
        own = self.scorer.scores(batch.inputs).float()[batch.place]
        return ScoredBatch(batch.lists, own, own.new_zeros((len(own), 0)))

    def _scored_by_all(self, batch: SharedBatch) -> ScoredBatch:
        """Each process scores its queries' candidates; the gradient is that of the whole batch (retkd/training/passes.py)."""
        with drawing_apart():
            part = self.scored(batch.own).own
        num_queries, width = batch.lists.mask.shape
        counts = [stop - start for start, stop in (_part(num_queries, n) for n in range(processes.count()))]
        own = gathered(nn.functional.pad(part, (0, width - part.shape[1])), counts)
        return ScoredBatch(batch.lists, own, own.new_zeros((num_queries, 0)))


def collator(scorer: Scorer, teachers: dict[str, DenseTeacher]) -> PairCollator | Collator | SharedCollator:
    """What makes the batches that :class:`TaughtModel` reads. Several processes share the queries of each."""
    collate: PairCollator | Collator
    if isinstance(scorer, BecaScorer):
        collate = Collator(scorer, teachers, shares=1)
    else:
        assert isinstance(scorer, PairScorer)
        collate = PairCollator(scorer)
    return collate if processes.count() == 1 else SharedCollator(collate)


def require_own_lists(objective: Sequence[Objective]) -> None:
    """Raise :class:`RecipeError` where several processes would have to score the candidates of each other's queries."""
    reading = [term.kind for term in objective if term.reads_in_batch]  # type: ignore[attr-defined]
    if reading and processes.count() > 1:
        raise RecipeError(
            f"the objective {reading[0]!r} reads scores of other queries' documents, and the processes share the queries",
            where="torchrun",
            seen=f"{processes.count()} processes",
            allowed="terms that read a query's own candidates",
            next_step="set `in_batch: false`, or train this teacher in one process",
        )


def new_scorer(folder: Path, device: str, config: "Config | CrossEncoderPartner") -> PairScorer | BecaScorer:
    """The checkpoint under the head asked for: its own where it has one of that kind, else a new one. Frozen as asked."""
    from transformers import AutoTokenizer

    load, kind = HEADS[config.head]
    model = load(folder)
    if isinstance(model, UniEncoder):
        assert not isinstance(config, CrossEncoderPartner)
        model.mask, model.candidates_per_pass = config.mask, config.candidates_per_pass
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    tokenizer.model_max_length = config.max_length
    if config.frozen_layers is not None:
        for module in [*stack(model)[: config.frozen_layers], model.base_model.get_input_embeddings()]:
            module.requires_grad_(False)
    scorer: PairScorer | BecaScorer = kind(model.to(device), tokenizer, config.max_length, config.query_max_length)
    return scorer


def _classifier(folder: Path) -> Any:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    told = AutoConfig.from_pretrained(str(folder))
    if told.num_labels != 1 and any("SequenceClassification" in name for name in told.architectures or []):
        raise ModelError(
            "teach goes on from a cross-encoder with one label",
            where=folder,
            seen=f"{told.num_labels} labels",
            allowed="one label, or an encoder, which gets a new head",
            next_step="choose another base, or use this one as it is: teacher kind cross_encoder takes two labels",
        )
    return AutoModelForSequenceClassification.from_pretrained(str(folder), num_labels=1, dtype=torch.float32)


HEADS: dict[str, tuple[Any, Any]] = {
    "classifier": (_classifier, PairScorer),
    "segments": (SegmentCrossEncoder.load, PairScorer),
    "uni": (UniEncoder.load, UniScorer),
    "beca": (Beca.load, BecaScorer),
}
"""Head -> what loads its model from a checkpoint, and what runs it on texts."""


def save_scorer(scorer: Scorer, folder: Path) -> None:
    """Save a model of pairs or lists with its tokeniser, as the teacher kind of its head loads it."""
    scorer.model.eval()
    scorer.model.save_pretrained(str(folder))
    settle(scorer.tokenizer, scorer.max_length)
    scorer.tokenizer.save_pretrained(str(folder))


def optimizer(model: nn.Module, config: "Config") -> torch.optim.Optimizer | None:
    """AdamW with a rate of its own for the head; None when the head has none."""
    if config.head_learning_rate is None:
        return None
    body = {id(p) for name, p in model.model.base_model.named_parameters() if "pooler" not in name}  # type: ignore[union-attr]
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if id(p) in body], "lr": config.learning_rate},
        {"params": [p for p in trained if id(p) not in body], "lr": config.head_learning_rate},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=config.weight_decay)
