"""Selection: which mined documents may serve as negatives, and which of them do."""

from typing import Any

from retkd.parts import one_of, registry
from retkd.selection.filters import Absolute, Margin, Percentage
from retkd.selection.samplers import Mixed, Random, TopK

FILTERS = registry("filters", Absolute, Margin, Percentage)
SAMPLERS = registry("samplers", TopK, Random, Mixed)

AnyFilter: Any = one_of(FILTERS)
AnySampler: Any = one_of(SAMPLERS)
