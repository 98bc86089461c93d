"""TAID bound to one training: where its target stands between the student and the teacher."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from retkd.batch import ScoredBatch
    from retkd.objectives.taid import TAID


class MovingTarget(nn.Module):
    """The term at the share that it has, which each batch then raises.

    With m <- momentum x m + (1 - momentum) (previous loss - loss) / previous loss, the share rises by pace x sigmoid(m) x
    (1 - share), and to start + (end - start) x progress where that is more; the first batch only gives a loss to compare
    with. Shing et al. 2025 (code: ``taid.py``).
    """

    share: Tensor
    change: Tensor
    previous: Tensor

    def __init__(self, term: "TAID") -> None:
        super().__init__()
        self.term = term
        self.register_buffer("share", torch.tensor(term.start))
        self.register_buffer("change", torch.tensor(0.0))
        self.register_buffer("previous", torch.tensor(torch.inf))

    def forward(self, scored: "ScoredBatch") -> Tensor:
        """The term's value; afterwards the share is that of the next batch."""
        loss = self.term.at(self.share, scored)
        self._rise(loss.detach(), scored.progress)
        return loss

    @torch.no_grad()
    def _rise(self, loss: Tensor, progress: float) -> None:
        term = self.term
        if torch.isfinite(self.previous):
            change = (self.previous - loss) / (self.previous + 1e-15)
            self.change.copy_(term.momentum * self.change + (1 - term.momentum) * change)
            risen = self.share + term.pace * torch.sigmoid(self.change) * (1 - self.share)
            planned = term.start + (term.end - term.start) * progress
            self.share.copy_(risen.clamp(min=planned).clamp(max=term.end))
        self.previous.copy_(loss)

    def told(self) -> dict[str, Tensor]:
        """The teacher's share."""
        return {"share": self.share.clone()}
