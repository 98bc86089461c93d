"""Students: what kind of encoder is trained, from which checkpoint, with which layers."""

from typing import Any

from retkd.parts import one_of, registry
from retkd.students.dense import Dense
from retkd.students.multi_exit import MultiExit

STUDENTS = registry("students", Dense, MultiExit)

AnyStudent: Any = one_of(STUDENTS)
