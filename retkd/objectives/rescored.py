"""A batch as other vectors of the same texts score it."""

from dataclasses import replace

import torch
from torch import Tensor

from retkd.batch import ScoredBatch
from retkd.students.scoring import in_batch_scores, own_scores


def rescored(scored: ScoredBatch, queries: Tensor, documents: Tensor) -> ScoredBatch:
    """The batch as these vectors score it. What its teachers say stays."""
    with torch.autocast(queries.device.type, enabled=False):
        in_batch = in_batch_scores(queries, documents)
    own = own_scores(in_batch, scored.batch.candidates)
    return replace(scored, own=own, in_batch=in_batch, queries=queries, documents=documents)
