"""The run files of an evaluation: every system on every split, each made once."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retkd import candidates, trec
from retkd.collections.base import Query
from retkd.encoders import load_encoder
from retkd.evaluation.systems import Mined, Reranked, Retrieved, Sparse
from retkd.evaluation.table_runs import mined_run, reranked_run
from retkd.progress import say, track
from retkd.resources import device
from retkd.shards import atomic
from retkd.stage import Inputs

OpenIndex = Callable[[Path], Any]
"""Index folder -> an object with ``search(represented queries, k) -> (scores [query, k], document ids)``."""


@dataclass
class Ranked:
    """What the systems tell beside their runs. ``timings`` are milliseconds per query, over all queries of a split at once;
    ``truncation`` is the rate of cut queries by system; ``sparsity`` by split and sparse system how many terms it has."""

    timings: dict[str, float] = field(default_factory=dict)
    truncation: dict[str, float] = field(default_factory=dict)
    sparsity: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)


def rank(
    systems: Mapping[str, Any],
    splits: Sequence[str],
    depth: int,
    inputs: Inputs,
    out: Path,
    open_index: OpenIndex,
) -> Ranked:
    """Write ``out/runs/<split>/<system>.run.gz`` where it is missing. Only judged queries are ranked.

    The sparsity of a split that a killed attempt ranked is read from ``out/work``, where it was written before the run.
    """
    folder, told = out / "runs", Ranked()
    with track("rank with each system", total=len(systems)) as step:
        for name, system in sorted(systems.items()):
            sparse = isinstance(system, Sparse)
            missing = [
                split
                for split in splits
                if not run_path(folder, split, name).exists() or (sparse and not _note(out, split, name).exists())
            ]
            if missing and isinstance(system, Retrieved):
                found = _Retriever(system, inputs, open_index)
                for split in missing:
                    run = found.run(_judged(inputs, split), depth)
                    if sparse:
                        with atomic(_note(out, split, name)) as temporary:
                            temporary.write_text(json.dumps(found.sparsity), encoding="utf-8")
                    trec.write_run(run, run_path(folder, split, name), name)
                told.timings |= {f"{name}.{what}": value for what, value in found.timings.items()}
                told.truncation[name] = found.truncation_rate
            elif missing:
                for split in missing:
                    trec.write_run(_from_table(system, inputs, split, depth), run_path(folder, split, name), name)
            for split in splits if sparse else ():
                measured = json.loads(_note(out, split, name).read_text(encoding="utf-8"))
                told.sparsity.setdefault(split, {})[name] = measured
            say(f"evaluate: {name} has ranked {', '.join(splits)}")
            step(1)
    return told


def run_path(folder: Path, split: str, system: str) -> Path:
    """Where a system's run on a split lies."""
    return folder / split / f"{system}.run.gz"


def _note(out: Path, split: str, system: str) -> Path:
    """Where the sparsity of a system on a split is kept until the stage is whole."""
    return out / "work" / "sparsity" / split / f"{system}.json"


def _judged(inputs: Inputs, split: str) -> list[Query]:
    qrels = inputs.collection.qrels(split)
    return [query for query in inputs.collection.queries(split) if query.query_id in qrels]


def _from_table(system: Mined | Reranked, inputs: Inputs, split: str, depth: int) -> trec.Run:
    rows = candidates.read(inputs.artifacts[system.candidates] / split)
    run = reranked_run(rows, system.teacher, depth) if isinstance(system, Reranked) else mined_run(rows, depth)
    wanted = {query.query_id for query in _judged(inputs, split)}
    return {query_id: ranking for query_id, ranking in run.items() if query_id in wanted}


class _Retriever:
    """One encoder and its index, loaded once for all splits."""

    def __init__(self, system: Retrieved, inputs: Inputs, open_index: OpenIndex) -> None:
        runtime = inputs.runtime
        where = device(runtime.device, runtime.threads)
        self.encoder = load_encoder(system.READS, inputs.models[system.model].path, where)
        self.index = open_index(inputs.artifacts[system.index])
        self.tokens_per_batch = runtime.tokens_per_batch
        self.num_queries = self.num_cut = 0
        self.seconds = {"encode": 0.0, "search": 0.0}
        self.sparse = isinstance(system, Sparse)
        self.sparsity: dict[str, float] = {}
        """Of the latest run, by a sparse encoder."""

    def run(self, queries: Sequence[Query], depth: int) -> trec.Run:
        """The run of these queries."""
        texts = [query.text for query in queries]
        began = time.perf_counter()
        represented = self.encoder.represented(texts, "query", self.tokens_per_batch)
        encoded = time.perf_counter()
        scores, doc_ids = self.index.search(represented, depth)
        self.seconds["encode"] += encoded - began
        self.seconds["search"] += time.perf_counter() - encoded
        if self.sparse:
            self.sparsity = self.index.sparsity(represented)
        self.num_queries += len(queries)
        self.num_cut += self._cut(texts)
        return {
            query.query_id: [(doc_id, float(score)) for doc_id, score in zip(found, row, strict=False)]
            for query, found, row in zip(queries, doc_ids, scores, strict=True)
        }

    @property
    def timings(self) -> dict[str, float]:
        """Milliseconds per query."""
        return {f"{what}_ms_per_query": 1000 * s / max(self.num_queries, 1) for what, s in self.seconds.items()}

    @property
    def truncation_rate(self) -> float:
        """The share of queries longer than the encoder reads."""
        return self.num_cut / max(self.num_queries, 1)

    def _cut(self, texts: Sequence[str]) -> int:
        if not self.encoder.reads_tokens("query") or not texts:
            return 0
        prompt, limit = self.encoder.prompt("query"), self.encoder.max_length("query")
        whole = self.encoder.tokenizer("query")([prompt + text for text in texts], truncation=False, verbose=False)
        return sum(len(ids) > limit for ids in whole["input_ids"]) if limit else 0
