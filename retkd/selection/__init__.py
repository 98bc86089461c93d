"""Selection: which mined documents may serve as negatives, which of them do, and what targets and topics they get."""

from typing import Any

from retkd.parts import one_of, registry
from retkd.selection.confidence import Confidence
from retkd.selection.consensus import Agreement, Consensus
from retkd.selection.curriculum import ClDrd
from retkd.selection.denoise import Denoise
from retkd.selection.distance_samplers import TASB, SimANS
from retkd.selection.filters import Absolute, Margin, Percentage, RankRange
from retkd.selection.samplers import LogRandom, Mixed, Random, TopAndRandom, TopK

FILTERS = registry("filters", Absolute, Margin, Percentage, RankRange, Consensus, Agreement, Confidence, Denoise)
SAMPLERS = registry("samplers", TopK, Random, Mixed, LogRandom, TopAndRandom, SimANS, TASB)
LABELS = registry("labels", ClDrd)

AnyFilter: Any = one_of(FILTERS)
AnySampler: Any = one_of(SAMPLERS)
AnyLabels: Any = one_of(LABELS)
