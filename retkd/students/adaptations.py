"""The adaptations by kind."""

from typing import Any

from retkd.parts import one_of, registry
from retkd.students.adaptation import Adaptation
from retkd.students.gradual import Gradual
from retkd.students.lora import Lora
from retkd.students.pruning import Prune

ADAPTATIONS: dict[str, type[Adaptation]] = registry("adaptations", Gradual, Lora, Prune)  # type: ignore[assignment]

AnyAdaptation: Any = one_of(ADAPTATIONS)
