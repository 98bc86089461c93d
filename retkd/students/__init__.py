"""Students: what kind of encoder is trained, from which checkpoint, with which layers."""

from typing import Any

from retkd.parts import one_of, registry
from retkd.students.asymmetric import Asymmetric
from retkd.students.asymmetric_sparse import AsymmetricSparse
from retkd.students.base import Student
from retkd.students.dense import Dense
from retkd.students.late_interaction import LateInteraction
from retkd.students.multi_exit import MultiExit
from retkd.students.sparse import Sparse
from retkd.students.two_heads import TwoHeads

STUDENTS: dict[str, type[Student]] = registry(  # type: ignore[assignment]
    "students", Dense, MultiExit, TwoHeads, Sparse, LateInteraction, Asymmetric, AsymmetricSparse
)

AnyStudent: Any = one_of(STUDENTS)
