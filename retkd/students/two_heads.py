"""The student with two heads: labels train one, the teacher the other, and what is published is both in one vector."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from retkd.collections.base import Collection
from retkd.heads import HEADS
from retkd.students.dense import Dense
from retkd.students.heads import head

if TYPE_CHECKING:
    from retkd.encoders.two_heads import TwoHeadedEncoder


class TwoHeads(Dense):
    """A dense student whose pooled vector goes through two linear heads, so that labels and teacher do not pull at one (DHO,
    Kang et al. 2025). Each term reads one head: the teacher's where it reads a teacher, else that of labels; a term of kind
    `head` says it.

    The published vector is [sqrt(share) labels; sqrt(1 - share) teacher], so that its inner products are share x labels' +
    (1 - share) x teacher's: scores are mixed, where DHO mixes probabilities. It is twice as wide; at 0 and 1 it is one head
    alone, and the other is left behind. With ``normalize`` the two share the length that makes it a unit vector
    (:func:`retkd.encoders.two_heads.views`). Both heads begin as the identity.
    """

    kind: Literal["two_heads"] = "two_heads"  # type: ignore[assignment]
    share: float = Field(ge=0.0, le=1.0, description="of the labels' head in a score; the teacher's has the rest")

    @classmethod
    def plain(cls, told: Mapping[str, Any]) -> dict[str, Any]:
        """The same student without heads."""
        return {**{name: value for name, value in told.items() if name != "share"}, "kind": "dense"}

    def build(self, folder: Path, device: str, collection: Collection | None = None) -> "TwoHeadedEncoder":
        """The untrained student."""
        from sentence_transformers import SentenceTransformer

        from retkd.encoders.two_heads import TwoHeadedEncoder, output_of

        encoder = super().build(folder, device, collection)
        transformer, pooling = list(encoder.model)[:2]
        modules: list[Any] = [transformer, pooling, *(head(encoder.dim, output_of(name)) for name in HEADS)]
        prompts = dict(encoder.model.prompts or {})
        model = SentenceTransformer(modules=modules, prompts=prompts, device=device)
        return TwoHeadedEncoder(model, self.share, self.normalize)
