"""The dense student: one sentence-transformers encoder for queries and documents."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from retkd.students.base import OneTransformer

if TYPE_CHECKING:
    from retkd.encoder import Encoder


class Dense(OneTransformer):
    """An encoder taken out of a bigger one. A sentence-transformers folder gives its pooling and prompts; a bare
    transformers folder gets mean pooling."""

    kind: Literal["dense"] = "dense"
    pooling: Literal["mean", "cls", "lasttoken", "max"] | None = None
    normalize: bool = True

    def build(self, folder: Path, device: str) -> "Encoder":
        """The untrained student from the base checkpoint in ``folder``."""
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.base.modules import Normalize
        from sentence_transformers.sentence_transformer.modules import Pooling

        from retkd.encoder import Encoder

        base = SentenceTransformer(str(folder), device="cpu")
        transformer: Any = base[0]
        self.shape(transformer, folder)
        pooling = next((m for m in base if isinstance(m, Pooling)), None)
        if pooling is None or self.pooling is not None:
            pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode=self.pooling or "mean")
        modules: list[Any] = [transformer, pooling, *([Normalize()] if self.normalize else [])]
        return Encoder(SentenceTransformer(modules=modules, prompts=self.prompts_over(base), device=device))
