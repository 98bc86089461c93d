"""The student's unpruned self as the teacher of its layers."""

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from retkd.batch import Batch
from retkd.students.hard_concrete import aligned
from retkd.students.initialisation import kept
from retkd.training.states import Reads, recorded

if TYPE_CHECKING:
    from retkd.students.pruning import LayerDistillation

READ = ("input_ids", "attention_mask", "token_type_ids")


class LayerTeacher(nn.Module):
    """A frozen copy of the transformer, and the linear map, at first the identity, from the student's states to its own.

    The copy is no part of the checkpoints: it is what the student begins as.
    """

    def __init__(self, transformer: Any, part: "LayerDistillation", base: str) -> None:
        super().__init__()
        num_layers, dim = transformer.config.num_hidden_layers, transformer.config.hidden_size
        self.layers = kept(part.layers, num_layers, base)
        self.num_layers, self.weight = num_layers, part.weight
        self.frozen = (copy.deepcopy(transformer).eval().requires_grad_(False),)
        self.map = nn.Linear(dim, dim, bias=False, device=transformer.device)
        nn.init.eye_(self.map.weight)
        self.states: dict[int, list[Tensor]] = {}

    def begin(self) -> None:
        """Forget the states of the last batch."""
        self.states = {}

    def see(self, layer: int, state: Tensor) -> None:
        """``[text, token, dim]``: what the student's layer gave for the next chunk of texts."""
        self.states.setdefault(layer, []).append(state)

    def loss(self, batch: Batch, alive: list[int]) -> Tensor:
        """The weighted mean squared error between each chosen layer and the nearest living one of the student."""
        chunks = [batch.queries, *batch.documents]
        real = [chunk["attention_mask"].bool() for chunk in chunks]
        taught = [self._taught(chunk, each) for chunk, each in zip(chunks, real, strict=True)]
        teacher = [torch.cat([chunk[i] for chunk in taught]) for i in range(len(self.layers))]
        student = {
            layer: torch.cat([state[each] for state, each in zip(self.states[layer], real, strict=True)]).float()
            for layer in alive
        }
        pairs = aligned(self._distances(teacher, student), alive)
        errors = [(self.map(student[s]) - t).square().mean() for s, t in zip(pairs, teacher, strict=True)]
        return self.weight * torch.stack(errors).mean()

    def _taught(self, chunk: dict[str, Tensor], real: Tensor) -> list[Tensor]:
        reads = Reads(hidden=frozenset(layer + 1 for layer in self.layers))
        with torch.no_grad(), recorded(self.frozen[0], reads, chunk["attention_mask"]) as seen:
            self.frozen[0](**{n: t for n, t in chunk.items() if n in READ})
        return [seen.hidden[layer + 1][real] for layer in self.layers]

    @torch.no_grad()
    def _distances(self, teacher: list[Tensor], student: dict[int, Tensor]) -> Tensor:
        """``[teacher, layer]``; infinite where the student's layer is gone."""
        found = torch.full((len(teacher), self.num_layers), torch.inf)
        for layer, state in student.items():
            mapped = self.map(state)
            for row, each in enumerate(teacher):
                found[row, layer] = (mapped - each).square().mean()
        return found
