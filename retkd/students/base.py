"""What every student is, and what students made of one transformer share: which layers, which length, what is frozen."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from retkd.collections.base import Collection
from retkd.parts import AnyModel, Part
from retkd.students.initialisation import Layers

if TYPE_CHECKING:
    from retkd.encoders.encoder import Encoder
    from retkd.stage import Model
    from retkd.training.companion import Companion


class Student(Part):
    """``GIVES`` is what a stage that trains this student gives, ``REPRESENTS`` the kind of encoder that it then is;
    ``TEMPERATURE`` suits InfoNCE on its scores. ``BROUGHT``: the fields that a trained one answers by itself, so that a
    student whose base it is does not ask for them again."""

    GIVES: ClassVar[str] = "encoder"
    REPRESENTS: ClassVar[str] = "encoder"
    TEMPERATURE: ClassVar[float] = 0.05
    BROUGHT: ClassVar[tuple[str, ...]] = ()

    def made(self, models: "Mapping[str, Model]", device: str, collection: Collection | None = None) -> "Encoder":
        """The untrained student. ``models`` holds those that the fields name, ``collection`` what a student may be made for."""
        raise NotImplementedError

    @property
    def stored_documents(self) -> str | None:
        """The model whose stored vectors are this student's documents, because training leaves them as they are."""
        return None

    @property
    def folders(self) -> dict[str, str]:
        """Name of each of several models that one training of this student gives -> its folder in the stage's artifact."""
        return {}

    @property
    def needs_whole_passes(self) -> str | None:
        """What of this student needs each pass as it is, in one process, and not one that is shared or made again."""
        return None

    @classmethod
    def plain(cls, told: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of the student that controls train, from those of this one as a recipe has them: the same."""
        return dict(told)

    def companion(self, encoder: "Encoder") -> "Companion | None":
        """What goes along with the training of this student."""
        return None


class OneTransformer(Student):
    """A student out of one checkpoint."""

    BROUGHT: ClassVar[tuple[str, ...]] = ("layers",)

    base: AnyModel
    layers: Layers = None
    max_length: int | None = Field(default=None, ge=4, description="tokens, prompt included; default: as the base")
    prompts: dict[Literal["query", "document"], str] | None = None
    freeze_embeddings: bool = Field(default=False, description="word embeddings stay those of the base")
    dropout: float | None = Field(
        default=None, ge=0.0, lt=1.0, description="hidden and attention; default: as the base"
    )

    def made(self, models: "Mapping[str, Model]", device: str, collection: Collection | None = None) -> "Encoder":
        """As :meth:`build`."""
        return self.build(models[self.base].path, device, collection)

    def build(self, folder: Path, device: str, collection: Collection | None = None) -> "Encoder":
        """The untrained student from the base checkpoint in ``folder``."""
        raise NotImplementedError

    def shape(self, transformer: Any, folder: Path) -> None:
        """Bring a sentence-transformers ``Transformer`` to what the fields ask for, in place.

        Raises :class:`ModelError` where it is none, or cannot be brought there.
        """
        self.keep(transformer, folder)
        self.settle(transformer, folder)

    def keep(self, transformer: Any, folder: Path) -> None:
        """Drop the other layers, in place."""
        from sentence_transformers.base.modules import Transformer

        from retkd.students.initialisation import keep_layers

        if not isinstance(transformer, Transformer):
            raise _not_a_transformer(folder, transformer)
        keep_layers(transformer.auto_model, self.layers, where=f"{self.base}")

    def settle(self, transformer: Any, folder: Path) -> None:
        """What is frozen, dropout, the maximum length, in place."""
        from retkd.students.initialisation import set_dropout

        if self.freeze_embeddings:
            transformer.auto_model.get_input_embeddings().requires_grad_(False)
        if self.dropout is not None:
            set_dropout(transformer.auto_model, self.dropout)
        if self.max_length is not None:
            self.require_positions(getattr(transformer.auto_model.config, "max_position_embeddings", None), folder)
            transformer.max_seq_length = self.max_length

    def require_positions(self, positions: int | None, where: object) -> None:
        """Raises :class:`ModelError` where the base has positions, and fewer than ``max_length``."""
        from retkd.errors import ModelError

        if positions is not None and self.max_length is not None and self.max_length > positions:
            raise ModelError(
                "the student's max_length is beyond the positions that its base knows",
                where=where,
                seen=self.max_length,
                allowed=f"4 to {positions}",
                next_step="lower student.max_length, or choose a base for longer texts",
            )

    def prompts_over(self, base: Any) -> Any:
        """The prompts of the student: its own, else those of a loaded base."""
        return self.prompts if self.prompts is not None else dict(base.prompts or {})


def _not_a_transformer(folder: Path, module: object) -> Exception:
    from retkd.errors import ModelError

    return ModelError(
        "the student's base does not begin with a transformer",
        where=folder,
        seen=type(module).__name__,
        allowed="a sentence-transformers or transformers text encoder",
        next_step="choose another base for the student",
    )
