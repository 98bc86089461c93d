"""The contract of an exporter, and how far an export may rank from the model that was evaluated."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from pydantic import Field

from retkd.parts import Part
from retkd.stage import Inputs, Model

Side = Literal["query", "document"]


class Encodes(Protocol):
    """Anything that turns texts into what is compared: the loaded model, or an export of it."""

    def represented(self, texts: Sequence[str], side: Side, tokens_per_batch: int | None = None) -> Any:
        """Vectors ``[text, dim]``, term weights (a scipy CSR matrix) or vectors of tokens, in float32."""
        ...


class Limits(Part):
    """What must hold between the rankings of a model and of its export, on the same queries and documents."""

    min_top10_overlap: float = Field(default=0.999, ge=0, le=1, description="mean share of the top 10 that both have")
    max_measure_difference: float = Field(default=0.001, ge=0, le=1, description="of each measure's mean, either way")
    min_cosine: float = Field(default=0.9999, ge=-1, le=1, description="lowest between the two vectors of one text")
    max_difference: float = Field(default=1e-3, gt=0, description="largest difference of one number of a vector")


class Exporter(Part):
    """Writes a model into a folder named after its ``kind`` and opens it as a search stack would.

    ``WRITES``: what a stage may give that this exporter can write.
    """

    WRITES: ClassVar[tuple[str, ...]] = ("encoder",)

    parity: Limits = Limits()
    num_compared: int | None = Field(default=None, ge=1, description="queries, and documents, compared; default: all")

    def write(self, model: Model, out: Path, inputs: Inputs) -> Encodes:
        """Write every file atomically, the same bytes each time; what encodes texts with nothing but those files."""
        raise NotImplementedError


def describe(encoder: Any) -> dict[str, Any]:
    """What a person must know to serve an encoder, whatever its towers: width, prompts, similarity."""
    return {
        "dim": encoder.dim,
        "prompts": {side: encoder.prompt(side) for side in ("query", "document")},
        "similarity": "inner product; equal to the cosine when `normalised`",
    }


def describe_tower(encoder: Any, side: Side) -> dict[str, Any]:
    """What a person must know of the modules that texts of this side go through: pooling, normalisation, their names."""
    modules = encoder.tower(side)
    names = [type(module).__name__ for module in modules]
    pooling = [module.get_config_dict()["pooling_mode"] for module in modules if type(module).__name__ == "Pooling"]
    table = ["mean"] if "StaticEmbedding" in names else []
    return {"pooling": (pooling or table or [None])[0], "normalised": "Normalize" in names, "modules": names}
