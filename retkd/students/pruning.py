"""Structured pruning while the student is trained: whole layers and intermediate dimensions go."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from retkd.parts import Part
from retkd.students.adaptation import Adaptation
from retkd.students.initialisation import Every, Layers

if TYPE_CHECKING:
    from retkd.encoders.encoder import Encoder
    from retkd.training.companion import Companion


class LayerDistillation(Part):
    """The unpruned student's layers teach those that are left (CoFi): mean squared error behind one linear map."""

    layers: Layers = Every(every=3)
    weight: float = Field(default=1.0, gt=0.0)


class Prune(Adaptation):
    """CoFi's masks over layers and intermediate dimensions, learned with the weights (Xia et al. 2022).

    A Lagrangian pulls the expected share of parameters that go, of all layers, to ``sparsity``. After the share ``until``
    of the steps the masks are settled, and what is left is trained on. All layers keep equally many dimensions, so that
    the published folder is a plain one.

    ``width`` adds CoFi's masks over the heads of each layer and over the hidden dimensions of all. A plain folder knows one
    number of heads, and a hidden size of as many times the size of a head: so every layer keeps equally many heads, each
    its own, and as many hidden dimensions stay as these heads fill. The vectors get that width. ``sublayers`` gives a
    layer's attention and feed-forward part a mask each, in the place of one for both. A plain folder holds them by turns:
    what is left is read in the order of the base, and an attention part may meet the feed-forward part of a later layer.
    Both are for BERT, RoBERTa, XLM-RoBERTa, CamemBERT, ELECTRA and DistilBERT.
    """

    LATER: ClassVar[tuple[str, ...]] = ("width", "sublayers", "two_sided")
    REVISION: ClassVar[int] = 2  # masks of whole layers settle at the sparsity asked for
    READS_PASSES: ClassVar[bool] = True
    SHRINKS: ClassVar[bool] = True

    kind: Literal["prune"] = "prune"
    sparsity: float = Field(gt=0.0, lt=1.0, description="the share of the layers' parameters that goes, at least")
    warmup: float = Field(default=0.3, ge=0.0, le=1.0, description="share of the steps until all of it is asked for")
    until: float = Field(default=0.6, gt=0.0, le=1.0, description="share of the steps until the masks are settled")
    learning_rate: float = Field(default=0.1, gt=0.0, description="of the masks and the multipliers")
    multiplier: float = Field(default=10.0, ge=0.0, description="both Lagrange multipliers in the beginning")
    distillation: LayerDistillation | None = LayerDistillation()
    width: bool = Field(default=False, description="masks over heads and hidden dimensions too")
    sublayers: bool = Field(default=False, description="masks over attention and feed-forward parts, not whole layers")
    two_sided: bool = Field(
        default=False,
        description="pull back what went beyond the sparsity: CoFi, from a `multiplier` of 0; not TinyCLIP",
    )

    @model_validator(mode="after")
    def _settles_after_the_warmup(self) -> "Prune":
        if self.warmup > self.until:
            raise ValueError(f"`warmup` {self.warmup:g} ends after the masks are settled, `until` {self.until:g}")
        return self

    def companion(self, encoder: "Encoder", base: str) -> "Companion":
        """Masks on the student's layers, and its unpruned self as the teacher of its layers."""
        from retkd.students.finer_masks import FinerMasks
        from retkd.students.masks import Masks

        return (FinerMasks if self.width or self.sublayers else Masks)(self, encoder, base)
