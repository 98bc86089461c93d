"""Matryoshka: the same terms on the first coordinates of the vectors, so that a vector may be cut and still ranks."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from retkd.errors import ModelError
from retkd.objectives.base import Training
from retkd.objectives.projectors import required_dim
from retkd.objectives.wrapper import Wrapper

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch


class Matryoshka(Wrapper):
    """Sum over ``dims`` of a weight times the weighted sum of ``terms`` on vectors cut to that many coordinates, then made
    unit vectors again (Kusupati et al. 2022).

    A teacher's scores and vectors are whole at every width; a term with a projector has one for each. Cut the published
    student's vectors with ``dim`` of an index, or with sentence-transformers' ``truncate_dim``.
    """

    kind: Literal["matryoshka"] = "matryoshka"
    dims: list[PositiveInt] = Field(min_length=1, description="widths, such as [384, 192, 96, 48]")
    dim_weights: list[PositiveFloat] | None = Field(default=None, description="one for each of dims; default: 1")
    dims_per_step: int | None = Field(default=None, ge=1, description="widths drawn for each step; default: all")

    @model_validator(mode="after")
    def _fits(self) -> "Matryoshka":
        if self.dims != sorted(set(self.dims), reverse=True):
            raise ValueError(f"`dims` fall from the widest to the narrowest, each once: not {self.dims}")
        if self.dim_weights is not None and len(self.dim_weights) != len(self.dims):
            raise ValueError(f"`dim_weights` has {len(self.dim_weights)} numbers and `dims` {len(self.dims)}")
        if self.dims_per_step is not None and self.dims_per_step > len(self.dims):
            raise ValueError(f"`dims_per_step` is {self.dims_per_step}, and there are {len(self.dims)} `dims`")
        return self

    def bind(self, training: Training) -> "Callable[[ScoredBatch], Tensor]":
        """Every term bound once for each width. Raises :class:`ModelError` where the student is narrower than that."""
        from retkd.objectives.truncated import Truncated

        self.require_dims(required_dim(training.student_dim, self.kind))
        return Truncated(self, training)

    def require_dims(self, width: int) -> None:
        """Raise :class:`ModelError` where vectors of ``width`` coordinates are narrower than the widest of ``dims``."""
        if self.dims[0] > width:
            raise ModelError(
                "the student's vectors are narrower than the widest of the Matryoshka widths",
                where="objective matryoshka",
                seen=f"dims {self.dims}, vectors of {width}",
                allowed=f"widths up to {width}",
                next_step=f"begin `dims` with {width}",
            )
