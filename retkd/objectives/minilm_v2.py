"""MiniLMv2: relations among queries, among keys and among values of one layer each."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveInt

from retkd.errors import ModelError
from retkd.layers import StackShape
from retkd.objectives.base import Training
from retkd.objectives.layered import LayerObjective

if TYPE_CHECKING:
    from retkd.training.layer_term import LayerTerm, Pass
    from retkd.training.states import Reads

Relation = Literal["queries", "keys", "values"]


class MiniLMv2(LayerObjective):
    """:func:`retkd.losses.relations.relation_kl`, summed over ``relations``, mean over texts. Wang et al. 2021.

    The states are split anew into ``relation_heads``, so that neither widths nor numbers of heads have to be equal: each
    width must be divisible by it. Any layer of the teacher may teach; the paper found an upper middle one best for
    large teachers.
    """

    kind: Literal["minilm_v2"] = "minilm_v2"
    student_layer: PositiveInt | None = Field(default=None, description="default: the last")
    teacher_layer: PositiveInt | None = Field(default=None, description="default: the last")
    relation_heads: int = Field(default=12, ge=1)
    relations: list[Relation] = Field(default=["queries", "keys", "values"], min_length=1)

    def layers(self, training: Training) -> tuple[int, int]:
        """The student's and the teacher's layer."""
        assert training.student_stack is not None
        teacher = training.teacher_stacks[self.model]
        return self.student_layer or training.student_stack.layers, self.teacher_layer or teacher.layers

    def misfits(self, student: StackShape | None, teacher: StackShape | None) -> Iterator[tuple[str, ModelError]]:
        """Layers beyond the last, and widths that cannot be split into the heads."""
        keys = (("student_layer", self.student_layer), ("teacher_layer", self.teacher_layer))
        for (who, stack), (key, layer) in zip(self.sides(student, teacher), keys, strict=True):
            if stack is not None and layer is not None and layer > stack.layers:
                yield (
                    key,
                    ModelError(
                        "minilm_v2 reads a layer that the model does not have",
                        where=who,
                        seen=f"{layer} of {who}",
                        allowed=f"1 to {stack.layers}",
                    ),
                )
            if stack is not None and stack.width % self.relation_heads:
                yield "relation_heads", indivisible(stack.width, self.relation_heads, who)

    def reads(self, training: Training, step: int, progress: float) -> "tuple[Reads, Reads]":
        """Queries, keys and values of one layer each."""
        from retkd.training.states import Reads

        own, other = self.layers(training)
        return Reads(projections=frozenset([own])), Reads(projections=frozenset([other]))

    def of_pass(self, seen: "Pass", term: "LayerTerm") -> Any:
        """(sum over texts, number of texts)."""
        import torch

        from retkd.losses.relations import relation_kl

        own, other = self.layers(term.about)
        mask, total = seen.student.mask, []
        for relation in self.relations:
            student, teacher = getattr(seen.student, relation)[own], getattr(seen.teacher, relation)[other]
            for states in (student, teacher):  # keys and values may be narrower: grouped-query attention
                if states.shape[-1] % self.relation_heads:
                    raise indivisible(states.shape[-1], self.relation_heads, relation)
            total.append(relation_kl(student, teacher, mask, heads=self.relation_heads).sum())
        return torch.stack(total).sum(), total[0].new_tensor(float(len(mask)))


def indivisible(width: int, heads: int, who: str) -> ModelError:
    """What is wrong where states of that width cannot be split into so many heads."""
    return ModelError(
        "states of this width cannot be split into so many relation heads",
        where=who,
        seen=f"width {width} of {who}, relation_heads {heads}",
        allowed=", ".join(str(n) for n in range(1, min(width, 128) + 1) if width % n == 0),
        next_step="set `relation_heads` to a number that divides both widths",
    )
