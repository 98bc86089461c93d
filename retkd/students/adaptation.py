"""Which of a student's weights are trained, and when: by default all of them, from the first step to the last."""

from typing import TYPE_CHECKING

from retkd.parts import Part

if TYPE_CHECKING:
    from retkd.companion import Companion
    from retkd.encoder import Encoder


class Adaptation(Part):
    """Another way than training all weights of the student throughout."""

    def companion(self, encoder: "Encoder", base: str) -> "Companion":
        """What goes along with this training. ``base`` is the recipe's name of the student's base."""
        raise NotImplementedError
