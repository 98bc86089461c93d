"""The late-interaction student (ColBERT): one vector for each token, compared by MaxSim."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from retkd.collections.base import Collection
from retkd.encoders import kind_in
from retkd.parts import LateInteractionBase
from retkd.students.base import OneTransformer

if TYPE_CHECKING:
    from retkd.encoders.encoder import Encoder


class LateInteraction(OneTransformer):
    """Khattab and Zaharia 2020 (arXiv 2004.12832): token states, projected to ``dim`` and brought to length 1.

    The projection begins as an orthogonal one, which keeps inner products nearly as they are. A base that is a multi-vector
    encoder keeps its own, with its masks. Every token of a query counts, prompt and markers too.
    """

    GIVES: ClassVar[str] = "late_interaction_encoder"
    REPRESENTS: ClassVar[str] = "late_interaction_encoder"
    TEMPERATURE: ClassVar[float] = 1.0
    BROUGHT: ClassVar[tuple[str, ...]] = ("layers", "dim", "skip")

    kind: Literal["late_interaction"] = "late_interaction"
    base: LateInteractionBase
    dim: int | None = Field(default=128, ge=1, description="of a token's vector; null: as wide as the base's states")
    query_tokens: int | None = Field(
        default=None,
        ge=4,
        description="cut queries at so many tokens and fill them up with [MASK] (the paper: 32); null: as they are",
    )
    skip: list[str] = Field(default=[], description="words of a document that are left out, such as punctuation")

    @property
    def needs_whole_passes(self) -> str | None:
        """Always: a text has no one vector that could be handed on."""
        return "a late-interaction student"

    def build(self, folder: Path, device: str, collection: Collection | None = None) -> "Encoder":
        """The untrained student from the base checkpoint in ``folder``."""
        from sentence_transformers import MultiVectorEncoder, SentenceTransformer

        from retkd.encoders.late_interaction_encoder import LateInteractionEncoder

        whole = kind_in(folder) == self.REPRESENTS
        if whole and self.model_fields_set & {"dim", "skip"}:
            raise _own_projection(folder)
        kind: Any = MultiVectorEncoder if whole else SentenceTransformer
        base = kind(str(folder), device="cpu")
        transformer = base[0]
        self.shape(transformer, folder)
        if self.query_tokens is not None:
            transformer.query_expansion = {"strategy": "fixed", "length": self.query_tokens, "attend": False}
        modules = list(base) if whole else [transformer, *self._behind(transformer)]
        prompts = self.prompts_over(base)
        return LateInteractionEncoder(MultiVectorEncoder(modules=modules, prompts=prompts, device=device))

    def _behind(self, transformer: Any) -> list[Any]:
        """Projection, mask of what is compared, length 1."""
        import torch
        from sentence_transformers.base.modules import Dense, Normalize
        from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

        width, name = transformer.get_embedding_dimension(), "token_embeddings"
        projection = []
        if self.dim is not None:
            identity = torch.nn.Identity()
            dense = Dense(width, self.dim, bias=False, activation_function=identity, module_input_name=name)
            torch.nn.init.orthogonal_(dense.linear.weight)
            projection = [dense]
        return [*projection, MultiVectorMask(self.skip), Normalize(module_input_name=name)]


def _own_projection(folder: Path) -> Exception:
    from retkd.errors import ModelError

    return ModelError(
        "the student's base is a late-interaction encoder, which has a projection and a mask of its own",
        where=folder,
        seen="student.dim or student.skip",
        next_step="leave both out, or choose another base",
    )
