"""Low-rank adapters: a few trained matrices beside frozen weights, added to them in the end."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveInt

from retkd.students.adaptation import Adaptation

if TYPE_CHECKING:
    from retkd.encoders.encoder import Encoder
    from retkd.training.companion import Companion


class Lora(Adaptation):
    """LoRA (Hu et al. 2021) by the package peft. The published student is plain: its weights hold the adapters."""

    kind: Literal["lora"] = "lora"
    rank: PositiveInt = 16
    alpha: int = Field(default=32, ge=1, description="the adapters count alpha / rank times")
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0, description="of what the adapters read")
    targets: list[str] | Literal["all-linear"] = Field(
        default="all-linear", description="names of the linear modules that get one, such as [query, value]"
    )
    keep_adapter: bool = Field(default=False, description="publish `adapter/` too, for peft on top of the base")

    def companion(self, encoder: "Encoder", base: str) -> "Companion":
        """Puts the adapters in and freezes all else."""
        from retkd.students.adapters import Adapters

        return Adapters(self, encoder.model[0], base)
