"""How a system's scores are spread: over the judged positives it found, and over all else it found."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from retkd.trec import Run

NUM_BINS = 40


def score_histogram(run: Run, qrels: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """``edges`` (one more than counts) and counts ``positive`` (grade > 0) and ``other`` (grade 0 or unjudged)."""
    scores: dict[str, list[float]] = {"positive": [], "other": []}
    for query_id, judged in qrels.items():
        for doc_id, score in run.get(query_id, []):
            scores["positive" if judged.get(doc_id, 0) > 0 else "other"].append(score)
    everything = np.array(scores["positive"] + scores["other"])
    if len(everything) == 0:
        return {"edges": [0.0, 1.0], "positive": [0], "other": [0]}
    edges = np.histogram_bin_edges(everything, bins=NUM_BINS)
    counts = {name: np.histogram(values, bins=edges)[0].tolist() for name, values in scores.items()}
    return {"edges": [round(float(edge), 6) for edge in edges], **counts}
