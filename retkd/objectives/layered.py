"""What terms that read layers share: which layers are paired, and the mean over all tokens or texts of a batch."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from retkd.errors import ModelError
from retkd.layers import StackShape
from retkd.objectives.base import Objective, Training
from retkd.parts import PARTNER, LayerEncoder

if TYPE_CHECKING:
    from torch import Tensor, nn

    from retkd.batch import ScoredBatch
    from retkd.training.layer_term import LayerTerm, Pass
    from retkd.training.states import Reads


def _told_once(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """One error that gives the forms, not one per form."""
    try:
        return handler(value)
    except ValidationError:
        raise ValueError("`layers` are last, uniform, or pairs (student, teacher) such as [[1, 3], [2, 6]]") from None


LayerPairs = Annotated[
    Literal["last", "uniform"] | Annotated[list[tuple[NonNegativeInt, NonNegativeInt]], Field(min_length=1)],
    WrapValidator(_told_once),
]
"""(student layer, teacher layer); 0 is the output of the embeddings. ``last``: the last of both; ``uniform``: each layer of
the student with the one at the same share of the teacher's depth."""


def layer_pairs(pairs: LayerPairs, student: int, teacher: int) -> list[tuple[int, int]]:
    """The pairs for stacks of that many layers.

    >>> layer_pairs("last", 2, 6), layer_pairs("uniform", 2, 6), layer_pairs("uniform", 4, 6)
    ([(2, 6)], [(1, 3), (2, 6)], [(1, 2), (2, 3), (3, 5), (4, 6)])
    """
    if pairs == "last":
        return [(student, teacher)]
    if pairs == "uniform":
        return [(layer, -(-layer * teacher // student)) for layer in range(1, student + 1)]
    return [(one, other) for one, other in pairs]


class LayerObjective(Objective):
    """A term that compares layers of the student with layers of ``model``, an encoder that reads the same tokens.

    It runs online, without gradient: layers are too big to be stored. ``model: partner`` reads the encoder that `co_train`
    trains beside the student, as it is at each step, from the one pass that it makes. What :meth:`of_pass` keeps of each pass
    is what :meth:`value` gets; by default a (sum, count) whose ratio over the whole batch is the value.
    """

    model: LayerEncoder

    @property
    def reads_layers(self) -> bool:
        """Always."""
        return True

    @property
    def layer_model(self) -> str | None:
        """What it names."""
        return self.model

    @property
    def reads_partner(self) -> bool:
        """Where it is named."""
        return self.model == PARTNER

    def bind(self, training: Training) -> "LayerTerm":
        """A module, with the parameters of its own if it has any. Raises :class:`ModelError` where a stack does not fit."""
        from retkd.training.layer_term import LayerTerm

        for _, error in self.misfits(training.student_stack, training.teacher_stacks[self.model]):
            raise error
        return LayerTerm(self, training)

    def misfits(self, student: StackShape | None, teacher: StackShape | None) -> Iterator[tuple[str, ModelError]]:
        """(key, problem) of what this term asks and such stacks do not have; None: one that is not known yet."""
        yield from ()

    def sides(self, student: StackShape | None, teacher: StackShape | None) -> list[tuple[str, StackShape | None]]:
        """Whose the stacks are, as errors call it."""
        return [("the student", student), (f"the teacher {self.model}", teacher)]

    def trained_parts(self, training: Training) -> "nn.Module | None":
        """Projectors or filters of this term; None where it has none."""
        return None

    def reads(self, training: Training, step: int, progress: float) -> "tuple[Reads, Reads]":
        """What is read of the student and of the teacher at this step."""
        raise NotImplementedError

    def of_pass(self, seen: "Pass", term: "LayerTerm") -> Any:
        """What is kept of one pass."""
        raise NotImplementedError

    def value(self, parts: "list[Any]", scored: "ScoredBatch", term: "LayerTerm") -> "Tensor":
        """The unweighted value of the batch, a scalar."""
        import torch

        sums, counts = (torch.stack(each) for each in zip(*parts, strict=True))
        value: Tensor = sums.sum() / counts.sum().clamp(min=1)
        return value


class PairedLayers(LayerObjective):
    """A term over pairs of hidden states, each pair alike."""

    layers: LayerPairs = "last"

    def misfits(self, student: StackShape | None, teacher: StackShape | None) -> Iterator[tuple[str, ModelError]]:
        """Layers beyond the last."""
        if isinstance(self.layers, str):
            return
        for (who, stack), layers in zip(self.sides(student, teacher), zip(*self.layers, strict=True), strict=True):
            beyond = sorted({layer for layer in layers if stack is not None and layer > stack.layers})
            if stack is not None and beyond:
                yield (
                    "layers",
                    ModelError(
                        f"the objective {self.kind!r} reads a layer that the model does not have",  # type: ignore[attr-defined]
                        where=who,
                        seen=f"{beyond} of {who}",
                        allowed=f"0 to {stack.layers} (0: the embeddings' output)",
                    ),
                )

    def pairs(self, training: Training) -> list[tuple[int, int]]:
        """(student layer, teacher layer) of this training."""
        assert training.student_stack is not None
        return layer_pairs(self.layers, training.student_stack.layers, training.teacher_stacks[self.model].layers)

    def reads(self, training: Training, step: int, progress: float) -> "tuple[Reads, Reads]":
        """The hidden states of the pairs."""
        from retkd.training.states import Reads

        pairs = self.pairs(training)
        return Reads(frozenset(s for s, _ in pairs)), Reads(frozenset(t for _, t in pairs))
