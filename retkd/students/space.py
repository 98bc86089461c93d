"""The students that a search chooses from: some layers of one base, at its own width or a smaller one, within a budget."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from retkd.collections.base import Collection
from retkd.errors import ModelError
from retkd.students.dense import Dense
from retkd.students.search import Evolution, Found, Genome, Space
from retkd.students.width import Width

if TYPE_CHECKING:
    from retkd.stage import Model


class Search(Evolution):
    """Students that are tried until the search ends; the budget is the most that one may cost. With ``weights: random`` only
    depth and width count: which layers they are makes no difference to weights that nobody inherits."""

    student: Dense = Field(description="what all of them are, but for `layers` and the step `width`")
    widths: list[PositiveInt] = Field(default=[], description="hidden dimensions, besides those of the base")
    keep: list[NonNegativeInt] = Field(
        default=[], description="layers that all have; [0] where the first is unlike others"
    )
    max_parameters: PositiveInt | None = None
    max_flops: PositiveInt | None = Field(default=None, description="operations of one text, as the table has them")

    @model_validator(mode="after")
    def _searchable(self) -> "Search":
        if self.max_parameters is None and self.max_flops is None:
            raise ValueError("a search needs a budget, or the base itself would win: `max_parameters` or `max_flops`")
        if self.student.layers is not None or any(isinstance(step, Width) for step in self.student.initialisation):
            raise ValueError("which `layers` and which `width` a student has is searched: leave both out of `student`")
        return self

    def of(self, genome: Genome) -> Dense:
        """The student of a genome, as a train stage has it."""
        narrower = [] if genome.width is None else [Width(hidden=genome.width)]
        layers = {"layers": list(genome.layers), "initialisation": [*narrower, *self.student.initialisation]}
        return self.student.model_copy(update=layers)

    def space(self, models: "Mapping[str, Model]", collection: Collection | None, num_tokens: int) -> Space:
        """The space of this base. Raises :class:`ModelError` where ``keep`` names a layer that it does not have."""
        whole = Price.of(self.student, models, collection)
        prices: dict[int | None, Price] = {None: whole}
        for width in self.widths:
            if width != whole.hidden:
                prices[width] = Price.of(self.of(Genome(tuple(range(len(whole.layers))), width)), models, collection)
        self._require_keepable(len(whole.layers), models, collection)
        return Space(
            len(whole.layers), list(prices), lambda g: self._fits(prices[g.width], g, num_tokens), frozenset(self.keep)
        )

    def _require_keepable(self, num_layers: int, models: "Mapping[str, Model]", collection: Collection | None) -> None:
        if self.keep and max(self.keep) >= num_layers:
            raise ModelError(
                "the search is to keep a layer that the base does not have",
                where="search.keep",
                seen=self.keep,
                allowed=f"0 to {num_layers - 1}",
            )
        if 0 not in self.keep and num_layers > 1:
            try:
                self.of(Genome((1,), None)).made(models, "cpu", collection)
            except ModelError as error:
                raise ModelError(
                    error.what, where="search.keep", seen=self.keep, next_step="write `keep: [0]` into the search"
                ) from error

    def _fits(self, price: "Price", genome: Genome, num_tokens: int) -> bool:
        told = price.costs(genome.layers, num_tokens)
        budget = {"parameters": self.max_parameters, "flops": self.max_flops}
        return all(most is None or told[name] <= most for name, most in budget.items())

    def require_found(self, found: Found, space: Space) -> None:
        """Raise :class:`ModelError` where no student was within the budget."""
        if not found.scores:
            raise ModelError(
                "no student that the search may try is within its budget",
                where="search.max_parameters, search.max_flops",
                seen=f"{self.max_parameters}, {self.max_flops}; {space.num_layers} layers, widths {space.widths}",
                next_step="raise the budget, add smaller `widths`, or trim the vocabulary by a step of `student`",
            )


@dataclass(frozen=True)
class Price:
    """What a student with all layers of its base costs: parameters of each layer, of the rest, and its hidden dimensions."""

    layers: tuple[int, ...]
    rest: int
    hidden: int

    @classmethod
    def of(cls, student: Dense, models: "Mapping[str, Model]", collection: Collection | None) -> "Price":
        """Of a student that is made for it."""
        from retkd.layers import stack, stack_shape

        encoder = student.made(models, "cpu", collection)
        transformer = encoder.model[0].auto_model
        layers = tuple(sum(p.numel() for p in layer.parameters()) for layer in stack(transformer))
        return cls(layers, encoder.num_parameters - sum(layers), stack_shape(transformer).width)

    def costs(self, kept: tuple[int, ...], num_tokens: int) -> dict[str, int]:
        """As :func:`retkd.students.similarity.costs` tells them of the student with these layers."""
        from retkd.students.similarity import operations

        in_layers = sum(self.layers[layer] for layer in kept)
        flops = operations(in_layers, len(kept), self.hidden, num_tokens)
        return {"parameters": self.rest + in_layers, "in_layers": in_layers, "flops": flops}
