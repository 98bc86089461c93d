"""Gradual unfreezing: the last layer is trained first."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from retkd.students.adaptation import Adaptation

if TYPE_CHECKING:
    from retkd.encoders.encoder import Encoder
    from retkd.training.companion import Companion


class Gradual(Adaptation):
    """From the last layer to the first and then the embeddings, one after the other at even distances (XtremeDistil)."""

    READS_PASSES: ClassVar[bool] = True

    kind: Literal["gradual"] = "gradual"
    until: float = Field(default=0.5, gt=0.0, le=1.0, description="the share of the steps after which all are trained")

    def companion(self, encoder: "Encoder", base: str) -> "Companion":
        """Freezes and unfreezes; has no parameters."""
        from retkd.students.unfreezing import Unfreezing

        return Unfreezing(encoder.model[0].auto_model, self.until)
