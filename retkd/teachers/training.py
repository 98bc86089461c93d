"""What `teach` trains: a cross-encoder with a new head, lists of pairs, a localised contrastive loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from retkd.batch import Example, Features
from retkd.batching import pad_values, padded, pass_limits
from retkd.collator import chunks
from retkd.cross_encoder import PairScorer
from retkd.layers import layer_list
from retkd.losses.listwise import localised_contrastive
from retkd.segment_head import SegmentCrossEncoder

if TYPE_CHECKING:
    from retkd.stages.teach import Config


@dataclass(frozen=True)
class PairBatch:
    """Tokenised pairs in chunks of similar length, and which pair is whose candidate."""

    pairs: tuple[Features, ...]
    candidates: Int[Tensor, "query cand"]
    mask: Bool[Tensor, "query cand"]
    positive: Bool[Tensor, "query cand"]

    def to(self, device: str | torch.device) -> "PairBatch":
        """The same batch on a device."""
        pairs = tuple({name: tensor.to(device) for name, tensor in chunk.items()} for chunk in self.pairs)
        return PairBatch(pairs, self.candidates.to(device), self.mask.to(device), self.positive.to(device))


@dataclass(frozen=True)
class PairCollator:
    """Callable for a data loader: a list of :class:`Example` to ``{"batch": PairBatch}``."""

    scorer: PairScorer

    def __call__(self, examples: Sequence[Example]) -> dict[str, PairBatch]:
        """The batch of these examples."""
        columns, _ = self.scorer.tokenize([(e.query, text) for e in examples for text in e.documents])
        lengths = np.array([len(row) for row in columns["input_ids"]])
        order = np.argsort(-lengths, kind="stable")
        values = pad_values(self.scorer.tokenizer)
        pairs = tuple(
            padded({name: [column[i] for i in order[start:stop]] for name, column in columns.items()}, values)
            for start, stop in chunks(lengths[order], *pass_limits(self.scorer.model.device.type))
        )
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        shape = (len(examples), max(len(e.doc_ids) for e in examples))
        candidates, mask = torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.bool)
        positive = torch.zeros(shape, dtype=torch.bool)
        begin = 0
        for q, example in enumerate(examples):
            width = len(example.doc_ids)
            candidates[q, :width] = torch.from_numpy(place[begin : begin + width])
            mask[q, :width] = True
            positive[q, :width] = torch.tensor(example.relevance) > 0
            begin += width
        return {"batch": PairBatch(pairs, candidates, mask, positive)}


class CrossEncoderModel(nn.Module):
    """A batch of pairs in, the localised contrastive loss of its lists out."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: PairBatch) -> dict[str, Tensor]:
        """``loss``: mean over positives, in nats."""
        scores = torch.cat([self.model(**chunk).logits[:, 0] for chunk in batch.pairs]).float()
        lists = scores[batch.candidates]
        return {"loss": localised_contrastive(lists, batch.positive, batch.mask)}


def new_cross_encoder(folder: Path, device: str, config: "Config") -> PairScorer:
    """The checkpoint with a new head of the kind asked for, its lowest layers frozen as asked."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model: Any
    if config.head == "segments":
        model = SegmentCrossEncoder.load(folder)
    else:
        model = AutoModelForSequenceClassification.from_pretrained(str(folder), num_labels=1, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    tokenizer.model_max_length = config.max_length
    if config.frozen_layers is not None:
        holder, name = layer_list(model)
        for module in [*list(getattr(holder, name))[: config.frozen_layers], model.base_model.get_input_embeddings()]:
            module.requires_grad_(False)
    return PairScorer(model.to(device), tokenizer, config.max_length, config.query_max_length)


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
