"""What measures.json says: mean, interval, and the paired difference to a baseline."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from retkd.evaluation.measures import Values
from retkd.evaluation.significance import bootstrap_means, interval, paired_p_value


@dataclass(frozen=True)
class Resampling:
    """How intervals and p-values are made."""

    num_resamples: int
    confidence: float
    seed: int

    def means(self, values: Values) -> np.ndarray:
        """Bootstrap means ``[resample, system, measure]``; the same queries are drawn for every system."""
        systems, measures, queries = values.values.shape
        flat = values.values.reshape(systems * measures, queries).T
        means = bootstrap_means(flat, num_resamples=self.num_resamples, seed=self.seed)
        return means.reshape(self.num_resamples, systems, measures)

    def p_value(self, differences: np.ndarray) -> float:
        """Two-sided paired randomisation test."""
        return paired_p_value(differences, num_resamples=self.num_resamples, seed=self.seed)

    def interval(self, resampled: np.ndarray) -> tuple[float, float]:
        """Percentile interval."""
        return interval(resampled, self.confidence)


def compared(
    values: Values, means: np.ndarray, baseline: str, resampling: Resampling
) -> dict[str, dict[str, dict[str, Any]]]:
    """system -> measure -> mean, low, high, num_queries, difference, p_value.

    ``means [resample, system, measure]`` come from :meth:`Resampling.means`. ``difference`` and ``p_value`` are against
    ``baseline`` and null for the baseline itself, or when there is no such system.
    """
    told: dict[str, dict[str, dict[str, Any]]] = {}
    for row, system in enumerate(values.systems):
        told[system] = {}
        for column, measure in enumerate(values.measures):
            own = values.of(system, measure)
            low, high = resampling.interval(means[:, row, column])
            line = {"mean": float(own.mean()), "low": low, "high": high, "num_queries": len(own)}
            told[system][measure] = line | _against(values, system, measure, baseline, resampling)
    return told


def _against(values: Values, system: str, measure: str, baseline: str, resampling: Resampling) -> dict[str, Any]:
    if system == baseline or baseline not in values.systems:
        return {"difference": None, "p_value": None}
    differences = values.of(system, measure) - values.of(baseline, measure)
    return {"difference": float(differences.mean()), "p_value": resampling.p_value(differences)}
