"""What the teachers share that `teach` trains with a head of their own: lengths, precision, where their scores lie."""

from typing import Literal

from pydantic import Field

from retkd.pair_scores import teacher_address
from retkd.teachers.base import Teacher


class TaughtTeacher(Teacher):
    """A teacher of pairs whose model folder says its head."""

    max_length: int = Field(default=256, ge=8, description="tokens of a document; a uni-encoder counts the query's too")
    query_max_length: int = Field(default=64, ge=2, description="tokens of the query; a longer one is cut first")
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    pairs_per_shard: int = Field(default=2048, ge=1)

    def address(self, weights_digest: str, **more: object) -> str:
        """Where the scores lie: weights, lengths, precision, and ``more`` that changes a score."""
        lengths = {"max_length": self.max_length, "query_max_length": self.query_max_length}
        settings = {"kind": self.kind, **lengths, "precision": self.precision, **more}  # type: ignore[attr-defined]
        return teacher_address(weights_digest, settings)
