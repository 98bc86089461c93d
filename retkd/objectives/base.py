"""What every term of an objective has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from retkd.objectives.learned import Learned
from retkd.parts import Part, Scale

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import ScoredBatch
    from retkd.layers import StackShape
    from retkd.matchers.cross_attention import CrossAttention
    from retkd.training.words import StudentWords

SCORES: tuple[Scale, ...] = ("logit", "log_probability", "cosine", "unbounded", "standardised")
"""Scales whose differences mean something."""
ORDERS: tuple[Scale, ...] = (*SCORES, "probability", "rank")
"""Scales of a whole list's scores, whose order means something."""


@dataclass(frozen=True)
class Training:
    """What a term may know of the training that it is part of. Widths are those of vectors; ``teacher_dims`` by the name
    under which the terms know an encoder, their ``model``. The stacks are told where a term reads layers, ``words`` where
    one masks words. ``pair_teachers``: the cross-encoders whose attention a term reads."""

    student_dim: int | None = None
    teacher_dims: Mapping[str, int] = field(default_factory=dict)
    steps: int = 0
    seed: int = 0
    student_stack: "StackShape | None" = None
    teacher_stacks: "Mapping[str, StackShape]" = field(default_factory=dict)
    pair_teachers: "Mapping[str, CrossAttention]" = field(default_factory=dict)
    words: "StudentWords | None" = None


class Objective(Part):
    """One weighted term. ``SCALES`` are the teacher scales it can read; empty for terms without a teacher."""

    SCALES: ClassVar[tuple[Scale, ...]] = ()
    RULE: ClassVar[str] = ""
    BESIDE: ClassVar[Literal["teacher", "any"] | None] = None
    """What must stand beside this term: one that reads a teacher query by query, any that needs no company, or nothing."""
    WHY_BESIDE: ClassVar[str] = ""
    REGULARISES: ClassVar[bool] = False
    """Whether this term restrains the student, whatever it learns from: controls without a teacher keep it."""

    weight: float = Field(default=1.0, gt=0.0)

    def loss(self, scored: "ScoredBatch") -> "Tensor":
        """The unweighted value of this term, a scalar."""
        raise NotImplementedError

    def bind(self, training: Training) -> "Callable[[ScoredBatch], Tensor]":
        """What gives this term's value throughout one training: :meth:`loss`, or a torch module with parameters or state.

        A module is trained and checkpointed with the student and never becomes part of it. Where it has a method ``told``,
        the numbers that this gives stand in the trace under the term's label. A term with a learned temperature is one.
        """
        learned = [name for name, value in self if isinstance(value, Learned)]
        if not learned:
            return self.loss
        from retkd.objectives.rescaled import Rescaled

        (name,) = learned
        return Rescaled(self, name)

    @property
    def reads_vectors(self) -> bool:
        """Whether this term reads the vectors of its ``encoders``."""
        return False

    @property
    def needs_vectors(self) -> bool:
        """Whether this term reads the student's vectors, so that a model that only scores pairs cannot learn it."""
        return self.reads_vectors

    @property
    def encoders(self) -> "tuple[str, ...]":
        """The encoders that teach whole batches of this term: what it names as ``model``."""
        model = getattr(self, "model", None)
        return (model,) if model else ()

    @property
    def leaves(self) -> "tuple[Objective, ...]":
        """The terms that read the batch: this one, or those that it wraps."""
        return (self,)

    @property
    def reads_layers(self) -> bool:
        """Whether this term reads layers of the student."""
        return False

    @property
    def layer_model(self) -> str | None:
        """The encoder whose layers this term reads, pass by pass beside the student's; None where it reads none."""
        return None

    @property
    def detached(self) -> bool:
        """Whether that encoder's states are constants to this term, so that it does not move a partner."""
        return True

    @property
    def reads_partner(self) -> bool:
        """Whether the layers that this term learns from are those of the model that is trained beside the student."""
        return False

    @property
    def reads_pairs(self) -> bool:
        """Whether the layers that this term learns from are those of a cross-encoder, which reads the batch's pairs."""
        return False

    @property
    def needs_exits(self) -> bool:
        """Whether this term learns from the last exit of a student with several."""
        return False

    @property
    def masks_words(self) -> bool:
        """Whether this term has the student guess words of the batch's texts, in a pass of its own."""
        return False

    @property
    def reads_inside(self) -> bool:
        """Whether this term reads more of a student than scores and vectors: its layers, its exits or its words."""
        return self.reads_layers or self.needs_exits or self.masks_words

    @property
    def needs_heads(self) -> bool:
        """Whether this term names a head of a student with two."""
        return False

    @property
    def students(self) -> tuple[str, ...]:
        """The kinds of encoder that can learn this: every kind has scores, only a dense one vectors like a teacher's."""
        dense = self.needs_vectors or self.reads_inside
        return ("encoder",) if dense else ("encoder", "sparse_encoder", "late_interaction_encoder")

    @property
    def needs_lists(self) -> bool:
        """Whether this term has no gradient where a query has a single candidate."""
        return bool(self.teacher_names)

    @property
    def reads_in_batch(self) -> bool:
        """Whether this term reads scores of documents that other queries brought."""
        return bool(getattr(self, "in_batch", False))

    @property
    def needs_variants(self) -> bool:
        """Whether this term compares a list's languages, so that each list must be there in several."""
        return False

    @property
    def needs_positives(self) -> bool:
        """Whether this term learns from judged positives, so that rows without any cannot train it."""
        return False

    @property
    def scales(self) -> tuple[Scale, ...]:
        """The teacher scales that this term can read as it is set up."""
        return self.SCALES

    @property
    def teacher_name(self) -> str | None:
        """The teacher column that this term reads, or None."""
        return getattr(self, "teacher", None)

    @property
    def teacher_names(self) -> tuple[str, ...]:
        """All teacher columns that this term reads."""
        return (self.teacher_name,) if self.teacher_name else ()


def leaves(objective: Sequence[Objective]) -> list[Objective]:
    """All terms that read the batch, those inside others too."""
    return [leaf for term in objective for leaf in term.leaves]


def in_company(terms: Sequence[Objective]) -> Sequence[Objective]:
    """The terms, or a ValueError where one is alone that says too little by itself."""
    others = [term for term in terms if term.BESIDE is None]
    teaching = [term for term in leaves(others) if term.teacher_names or term.encoders]
    for term in terms:
        if term.BESIDE and not (others if term.BESIDE == "any" else teaching):
            wanted = {"any": "another term, such as infonce", "teacher": "a term that reads the teacher, such as kl"}
            kind = term.kind  # type: ignore[attr-defined]
            raise ValueError(f"{kind} needs {wanted[term.BESIDE]}, beside it: {term.WHY_BESIDE}")
    return terms


class OrderObjective(Objective):
    """A term that reads the order of a teacher's list and nothing else, so that a teacher that only ranks will do."""

    SCALES: ClassVar[tuple[Scale, ...]] = ORDERS

    teacher: str


class ScoreObjective(Objective):
    """A term that reads a teacher's differences."""

    SCALES: ClassVar[tuple[Scale, ...]] = SCORES

    teacher: str
    standardise: bool = Field(default=False, description="first bring each teacher list to mean 0, deviation 1")

    def teacher_scores(self, scored: "ScoredBatch") -> "Tensor":
        """``[query, cand]``, standardised if asked for."""
        from retkd.losses.listwise import standardised

        scores = scored.batch.teachers[self.teacher]
        return standardised(scores, scored.batch.mask) if self.standardise else scores
