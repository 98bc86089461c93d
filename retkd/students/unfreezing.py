"""What :class:`retkd.students.gradual.Gradual` does throughout a training."""

from torch import nn

from retkd.layers import stack
from retkd.training.companion import Companion


class Unfreezing(Companion):
    """Lets the gradient reach one more block each time. What was frozen before stays frozen."""

    def __init__(self, transformer: nn.Module, until: float) -> None:
        super().__init__()
        self.until = until
        self.blocks = [[p for p in block if p.requires_grad] for block in blocks_of(transformer)]

    def begin(self, progress: float) -> None:
        """Freeze the blocks whose time has not come."""
        count = num_trained(progress, self.until, len(self.blocks))
        for place, block in enumerate(self.blocks):
            for parameter in block:
                parameter.requires_grad_(place < count)


def num_trained(progress: float, until: float, num_blocks: int) -> int:
    """How many blocks, counted from the last layer, are trained after this share of the steps.

    >>> [num_trained(p, 0.5, 3) for p in (0.0, 0.24, 0.25, 0.5, 1.0)]
    [1, 1, 2, 3, 3]
    """
    return min(1 + int(progress / until * (num_blocks - 1)), num_blocks)


def blocks_of(transformer: nn.Module) -> list[list[nn.Parameter]]:
    """The parameters of each layer, the last first, then those of the embeddings; what else there is goes with the last."""
    blocks = [list(layer.parameters()) for layer in reversed(stack(transformer))]
    embeddings = [p for n, part in transformer.named_children() if "embed" in n for p in part.parameters()]
    held = {id(p) for block in [*blocks, embeddings] for p in block}
    blocks[0] += [p for p in transformer.parameters() if id(p) not in held]
    return [*blocks, embeddings]
