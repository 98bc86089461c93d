"""What goes along with a student through its training: adapters that are trained in its place, masks, a frozen part."""

from pathlib import Path

from torch import Tensor, nn

from retkd.batch import Batch
from retkd.encoders.encoder import Encoder


class Companion(nn.Module):
    """Its parameters are trained and checkpointed with the student; what it leaves in the student is put right at the end.

    A module with an attribute ``learning_rate`` is trained at that rate, without weight decay.
    """

    def begin(self, progress: float) -> None:
        """Before a batch is encoded. ``progress``: the share of the steps already made."""

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """What is added to the loss once the batch is encoded, under the names that the trace gives to it."""
        return {}

    def finish(self, encoder: Encoder, out: Path) -> None:
        """Make the trained student a plain one, in place. What is to be published beside it goes below ``out``."""
