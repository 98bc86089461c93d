"""Teachers: who judges the candidates."""

from typing import Any

from retkd.parts import one_of, registry
from retkd.teachers.beca import BecaTeacher
from retkd.teachers.bi_encoder import BiEncoder
from retkd.teachers.cross_encoder import CrossEncoderTeacher
from retkd.teachers.ensemble import Ensemble
from retkd.teachers.imported import Imported
from retkd.teachers.late_interaction import LateInteraction
from retkd.teachers.llm_listwise import LLMListwise
from retkd.teachers.llm_pointwise import LLMPointwise
from retkd.teachers.llm_setwise import LLMPairwise, LLMSetwise
from retkd.teachers.sparse import SparseTeacher
from retkd.teachers.uni_encoder import UniEncoderTeacher

TEACHERS = registry(
    "teachers",
    CrossEncoderTeacher,
    UniEncoderTeacher,
    BecaTeacher,
    LateInteraction,
    BiEncoder,
    SparseTeacher,
    Ensemble,
    Imported,
    LLMPointwise,
    LLMListwise,
    LLMSetwise,
    LLMPairwise,
)

AnyTeacher: Any = one_of(TEACHERS)
