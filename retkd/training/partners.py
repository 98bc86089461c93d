"""What may be trained beside the student, in the same steps and on the same lists: its configuration, no torch.

A partner learns from its own objective and from the student, and the student from the partner's scores of its own lists:

    loss = student's objective + partner's objective + to_student * KL(partner || student) + to_partner * KL(student || partner)
"""

from typing import Any, Literal

from pydantic import Field, model_validator

from retkd.encoders import WHAT
from retkd.objectives import Objectives
from retkd.objectives.base import leaves
from retkd.parts import AnyModel, Part, one_of, registry
from retkd.students import AnyStudent


class Partner(Part):
    """How the partner is taught, and how much the two teach each other."""

    objective: Objectives = Field(default=[], description="the partner's own weighted terms, as in train")
    to_student: float = Field(default=1.0, ge=0.0, description="weight of KL(partner || student)")
    to_partner: float = Field(default=0.0, ge=0.0, description="weight of KL(student || partner)")
    student_temperature: float = Field(default=0.05, gt=0.0)
    partner_temperature: float = Field(default=1.0, gt=0.0)
    detach: bool = Field(default=True, description="false: both KLs also move the model that is their target (LEAD)")
    per: Literal["query", "candidate"] = Field(
        default="query", description="candidate: a list's KL divided by its length, as RocketQAv2's code does"
    )
    learning_rate: float | None = Field(default=None, gt=0.0, description="of the partner; default: as the student's")

    @model_validator(mode="after")
    def _learns(self) -> "Partner":
        if not self.objective and not self.to_partner:
            raise ValueError("the partner would learn nothing: give it an `objective`, or `to_partner` above 0")
        if any(term.needs_heads for term in self.objective):
            raise ValueError("the objective head names a head of a student with two, and a partner has none")
        unfit: list[Any] = [term for term in leaves(self.objective) if term.reads_inside]
        if unfit:
            raise ValueError(
                f"the objective {unfit[0].kind} reads layers, exits or words of the student: a partner cannot learn it"
            )
        return self


class CrossEncoderPartner(Partner):
    """A re-ranker of pairs, as `teach` trains one."""

    kind: Literal["cross_encoder"] = "cross_encoder"
    base: AnyModel
    head: Literal["classifier", "segments"] = Field(default="classifier", description="as in teach")
    max_length: int = Field(default=256, ge=8, description="tokens of query, document and special tokens together")
    query_max_length: int = Field(default=64, ge=2)
    frozen_layers: int | None = Field(
        default=None, ge=0, description="lowest layers that stay as they are, with the word embeddings; null: none"
    )

    @model_validator(mode="after")
    def _reads_own_lists(self) -> "CrossEncoderPartner":
        terms = [*self.objective, *leaves(self.objective)]
        reading = [t.kind for t in terms if t.reads_in_batch or t.needs_vectors or not set(WHAT) <= set(t.students)]
        if reading:
            raise ValueError(
                f"the objective {reading[0]} reads other queries' documents or vectors, and a cross-encoder scores a query's "
                "own candidates: set `in_batch: false`, or choose another"
            )
        return self


class EncoderPartner(Partner):
    """Another encoder, for example a larger one."""

    kind: Literal["encoder"] = "encoder"
    encoder: AnyStudent
    partner_temperature: float = Field(default=0.05, gt=0.0)

    @model_validator(mode="after")
    def _plain(self) -> "EncoderPartner":
        if self.encoder.kind != "dense" or self.encoder.adaptation is not None:
            raise ValueError("a partner is a dense encoder that is trained as it is, without an adaptation")
        unfit: list[Any] = [term for term in leaves(self.objective) if "encoder" not in term.students]
        if unfit:
            read = " or ".join(WHAT[each] for each in unfit[0].students)
            raise ValueError(f"the objective {unfit[0].kind} reads {read}, and a partner gives {WHAT['encoder']}")
        return self


PARTNERS = registry("partners", CrossEncoderPartner, EncoderPartner)
AnyPartner: Any = one_of(PARTNERS)
