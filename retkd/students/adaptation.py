"""Which of a student's weights are trained, and when: by default all of them, from the first step to the last."""

from typing import TYPE_CHECKING, ClassVar

from retkd.parts import Part

if TYPE_CHECKING:
    from retkd.encoders.encoder import Encoder
    from retkd.training.companion import Companion


class Adaptation(Part):
    """Another way than training all weights of the student throughout.

    ``READS_PASSES``: it needs each pass as it is, in one process, and not one that is shared or made again.
    ``SHRINKS``: it makes the student smaller, and would again in a training that goes on from that student.
    """

    READS_PASSES: ClassVar[bool] = False
    SHRINKS: ClassVar[bool] = False

    def companion(self, encoder: "Encoder", base: str) -> "Companion":
        """What goes along with this training. ``base`` is the recipe's name of the student's base."""
        raise NotImplementedError
