"""Teachers: who judges the candidates."""

from typing import Any

from retkd.parts import one_of, registry
from retkd.teachers.bi_encoder import BiEncoder
from retkd.teachers.cross_encoder import CrossEncoderTeacher
from retkd.teachers.ensemble import Ensemble
from retkd.teachers.imported import Imported
from retkd.teachers.llm_listwise import LLMListwise
from retkd.teachers.llm_pointwise import LLMPointwise
from retkd.teachers.llm_setwise import LLMPairwise, LLMSetwise

TEACHERS = registry(
    "teachers", CrossEncoderTeacher, BiEncoder, Ensemble, Imported, LLMPointwise, LLMListwise, LLMSetwise, LLMPairwise
)

AnyTeacher: Any = one_of(TEACHERS)
