"""Networks that look at a query's lists and say which teachers it should learn from. Trained with the student, never exported."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from retkd.batch import ScoredBatch
from retkd.losses.listwise import standardised
from retkd.losses.routing import drawn_teachers, imbalance, lead, reinforced, routed, sureness
from retkd.objectives.base import Training
from retkd.objectives.lots import Lots

if TYPE_CHECKING:
    from retkd.objectives.several_teachers import ReinforcedKL, RoutedKL, TeachersObjective

HIDDEN = 16


class TeacherNetwork(nn.Module):
    """Two layers over what the lists look like; at first all teachers are as likely.

    Of each teacher: how sure it is, the lead of its first document, and its mean squared distance from the mean of all
    teachers; of the student the first two. All of standardised lists, without gradient: no embedding is needed, so that
    any teacher that scores will do.
    """

    def __init__(self, term: "TeachersObjective", training: Training) -> None:
        super().__init__()
        self.term = term
        count = len(term.teachers)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            first, last = nn.Linear(3 * count + 2, HIDDEN), nn.Linear(HIDDEN, count)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(first, nn.Tanh(), last)

    def logits(self, scored: ScoredBatch) -> Float[Tensor, "query teacher"]:
        """One number per query and teacher."""
        found: Tensor = self.layers(features(scored, list(self.term.teachers)))
        return found


class Routed(TeacherNetwork):
    """A gate: the best few teachers of each query, and how evenly all are used. MST-Distill (2025), stage 3, on lists."""

    term: "RoutedKL"

    def forward(self, scored: ScoredBatch) -> Tensor:
        """The picked teachers' KL and the weighted imbalance, in nats."""
        gate = torch.softmax(self.logits(scored), dim=1)
        values = self.term.divergences(scored)
        found = routed(values, gate, top_k=self.term.top_k, weighted=self.term.weighted)
        return found + self.term.balance * imbalance(gate) if self.term.balance else found


class Reinforced(TeacherNetwork):
    """A policy that draws teachers for each query, taught by how well the student could follow them."""

    term: "ReinforcedKL"

    def __init__(self, term: "ReinforcedKL", training: Training) -> None:
        super().__init__(term, training)
        self.lots = Lots(training.seed)

    def forward(self, scored: ScoredBatch) -> Tensor:
        """The drawn teachers' KL and the weighted loss of the policy."""
        logits = self.logits(scored)
        with self.lots():
            numbers = torch.rand(logits.shape).to(logits.device)
        drawn, used = drawn_teachers(torch.sigmoid(logits), numbers)
        value, policy = reinforced(self.term.divergences(scored), logits, drawn, used)
        return value + self.term.policy * policy


def features(scored: ScoredBatch, teachers: Sequence[str]) -> Float[Tensor, "query feature"]:
    """``[query, 3 teachers + 2]``, without gradient."""
    mask = scored.batch.mask
    lists = torch.stack([standardised(scored.batch.teachers[name].float(), mask) for name in teachers])
    middle, count = lists.mean(dim=0), mask.sum(dim=1).clamp(min=1)
    own = standardised(scored.own.detach().float(), mask)
    columns = [sureness(own, mask), lead(own, mask)]
    for each in lists:
        apart = torch.where(mask, (each - middle) ** 2, 0.0).sum(dim=1) / count
        columns += [sureness(each, mask), lead(each, mask), apart]
    return torch.stack(columns, dim=1).detach()
