"""The dense student: one sentence-transformers encoder for queries and documents."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from retkd.collections.base import Collection
from retkd.students.adaptations import AnyAdaptation
from retkd.students.base import OneTransformer
from retkd.students.inheritance import texts_of
from retkd.students.steps import AnyInheritance

if TYPE_CHECKING:
    from retkd.encoders.encoder import Encoder
    from retkd.training.companion import Companion


class Dense(OneTransformer):
    """An encoder taken out of a bigger one. A sentence-transformers folder gives its pooling and prompts; a bare
    transformers folder gets mean pooling."""

    LATER: ClassVar[tuple[str, ...]] = ("initialisation", "adaptation")
    BROUGHT: ClassVar[tuple[str, ...]] = ("layers", "initialisation")

    kind: Literal["dense"] = "dense"
    initialisation: list[AnyInheritance] = Field(
        default=[], description="what else makes it smaller than its base, after `layers`, in this order"
    )
    pooling: Literal["mean", "cls", "lasttoken", "max"] | None = None
    normalize: bool = True
    adaptation: AnyAdaptation | None = Field(
        default=None, description="which weights are trained, and when; default: all, throughout"
    )

    @model_validator(mode="after")
    def _adapter_fits_the_base(self) -> "Dense":
        if getattr(self.adaptation, "keep_adapter", False) and (self.layers is not None or self.initialisation):
            raise ValueError(
                "`keep_adapter` needs the whole base: an adapter of fewer layers or dimensions fits no model"
            )
        return self

    @property
    def needs_whole_passes(self) -> str | None:
        """Some adaptations."""
        told = self.adaptation
        return f"the adaptation {told.kind!r}" if told is not None and told.READS_PASSES else None

    def companion(self, encoder: "Encoder") -> "Companion | None":
        """That of its adaptation."""
        found: Companion | None = self.adaptation and self.adaptation.companion(encoder, self.base)
        return found

    def build(self, folder: Path, device: str, collection: Collection | None = None) -> "Encoder":
        """The untrained student from the base checkpoint in ``folder``, made for ``collection`` where a step asks for one."""
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.base.modules import Normalize

        from retkd.encoders.encoder import Encoder

        base = SentenceTransformer(str(folder), device="cpu")
        prompts = self.prompts_over(base)
        transformer: Any = base[0]
        self.keep(transformer, folder)
        for step in self.initialisation:
            transformer = step.inherit(transformer, texts_of(collection, prompts, self.base), self.base)
        self.settle(transformer, folder)
        pooling = self._pooling(base, transformer.get_embedding_dimension())
        modules: list[Any] = [transformer, pooling, *([Normalize()] if self.normalize else [])]
        return Encoder(SentenceTransformer(modules=modules, prompts=prompts, device=device))

    def _pooling(self, base: Any, dim: int) -> Any:
        """The base's own pooling, brought to the student's width; where it has none, or another is asked for, a new one."""
        from sentence_transformers.sentence_transformer.modules import Pooling

        own = next((module for module in base if isinstance(module, Pooling)), None)
        if own is None or self.pooling is not None:
            return Pooling(dim, pooling_mode=self.pooling or "mean")
        return Pooling(dim, pooling_mode=own.pooling_mode, include_prompt=own.include_prompt)
