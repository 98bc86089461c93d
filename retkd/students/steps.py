"""The steps of an initialisation, by kind."""

from typing import Any

from retkd.parts import one_of, registry
from retkd.students.factorised import Factorised
from retkd.students.vocabulary import Vocabulary
from retkd.students.width import Width

INHERITANCES = registry("inheritances", Width, Vocabulary, Factorised)

AnyInheritance: Any = one_of(INHERITANCES)
"""One step that makes a student smaller than the kept layers of its base."""
