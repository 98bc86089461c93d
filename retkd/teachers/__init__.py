"""Teachers: who judges the candidates."""

from typing import Any

from retkd.parts import one_of, registry
from retkd.teachers.bi_encoder import BiEncoder
from retkd.teachers.cross_encoder import CrossEncoderTeacher
from retkd.teachers.ensemble import Ensemble

TEACHERS = registry("teachers", CrossEncoderTeacher, BiEncoder, Ensemble)

AnyTeacher: Any = one_of(TEACHERS)
