"""The adaptations by kind."""

from typing import Any

from retkd.parts import one_of, registry
from retkd.students.gradual import Gradual
from retkd.students.lora import Lora
from retkd.students.pruning import Prune

ADAPTATIONS = registry("adaptations", Gradual, Lora, Prune)

AnyAdaptation: Any = one_of(ADAPTATIONS)
