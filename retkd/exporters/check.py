"""Compare each export with the model, keep what was found, refuse what ranks differently."""

import json
from pathlib import Path
from typing import Any

from retkd.exporters.base import Encodes, Exporter
from retkd.exporters.parity import Measure, Vectors, compared, require, vectors_of
from retkd.exporters.sample import Sample
from retkd.progress import say
from retkd.shards import atomic


class ParityCheck:
    """One model, one sample, several exports. ``found`` is what stands in ``parity.json``: kind -> comparison."""

    def __init__(
        self, model: Encodes, sample: Sample, measure: Measure, tokens_per_batch: int | None, report: Path
    ) -> None:
        self.model, self.sample, self.measure = model, sample, measure
        self.tokens_per_batch = tokens_per_batch
        self.report = report
        self.found: dict[str, dict[str, Any]] = {}
        self._by_model: dict[int | None, Vectors] = {}

    def of(self, kind: str, target: Exporter, served: Encodes) -> None:
        """Compare, write the report, then raise :class:`ParityError` when a limit is broken."""
        num = target.num_compared
        taken = self.sample.first(num)
        if num not in self._by_model:
            self._by_model[num] = vectors_of(self.model, taken, self.tokens_per_batch)
        export = vectors_of(served, taken, self.tokens_per_batch)
        self.found[kind] = compared(self._by_model[num], export, taken, self.measure)
        with atomic(self.report) as temporary:
            temporary.write_text(json.dumps(self.found, indent=2) + "\n", encoding="utf-8")
        require(self.found[kind], target.parity, kind, self.report)
        say(f"export: {kind} ranks as the model does, by {len(taken.queries):,} queries")
