"""UNIC's ladder of projectors: a step from each block of the student and one from its vector, summed."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from retkd.objectives.projectors import perceptron

OF_A_BLOCK = 768
"""Hidden width of a block's step, as in UNIC."""


class Ladder(nn.Module):
    """From a student's vector, by a perceptron, and from all its blocks but the last, by a smaller one each, to a teacher's."""

    def __init__(self, student_dim: int, width: int, num_blocks: int, teacher_dim: int) -> None:
        super().__init__()
        self.last = perceptron(student_dim, teacher_dim)
        self.steps = nn.ModuleList([perceptron(width, teacher_dim, OF_A_BLOCK) for _ in range(num_blocks)])

    def forward(
        self, vectors: Float[Tensor, "text dim"], blocks: Sequence[Float[Tensor, "text width"]]
    ) -> Float[Tensor, "text teacher_dim"]:
        """The sum of the steps."""
        found = [step(block) for step, block in zip(self.steps, blocks, strict=True)]
        return torch.stack([self.last(vectors), *found]).sum(dim=0)
