"""The student that retkd trains beside the one of sentence-transformers' trainer: `python benchmarks/parity.py`.

The same student, lists, order, teacher scores, steps, rates and seed; for each loss of the peer retkd's term of the same value.
Told: nDCG@10 over the BM25 candidates of the dev queries, before and after, (query, document) pairs trained per second, and
the largest difference of a loss in any step. Exit code 1 where retkd's student is worse by more than the tolerance. Without
dropout, whose draws cannot be the same: so what differs is rounding, and with it the order of a few documents.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from rich.table import Table

from benchmarks import machine
from benchmarks.measure import Outcome
from benchmarks.setting import DATA, MODEL, SMALL, Setting, Sizes
from benchmarks.table import console
from benchmarks.training import KL_DIVERGENCE, TEACHER, Lesson, Loss, prepared, run_peer, run_retkd, student_of
from retkd.digests import FileDigests
from retkd.encoders.encoder import Encoder
from retkd.evaluation.dev_reranking import Reranking
from retkd.models import resolve
from retkd.shards import atomic
from retkd.training.optimisation import Optimisation

if TYPE_CHECKING:
    from retkd.objectives.base import Objective

MEASURE = "nDCG@10"
TOLERANCE = 0.005
OURS, PEER = "retkd", "SentenceTransformerTrainer"
RUNS: dict[str, Callable[[Lesson, Encoder, Loss], Outcome]] = {OURS: run_retkd, PEER: run_peer}


def _margin_term() -> "Objective":
    from retkd.objectives import MarginMSE

    return MarginMSE(teacher=TEACHER, student_scale=1.0)


def _margin_peer(model: Any) -> Any:
    from sentence_transformers.sentence_transformer.losses import MarginMSELoss

    return MarginMSELoss(model)


LOSSES = (KL_DIVERGENCE, Loss("MarginMSELoss", _margin_term, _margin_peer))


def main(arguments: list[str] | None = None) -> int:
    """Train, print, write; exit code 1 where retkd's student is worse than the peer's by more than the tolerance."""
    import transformers

    asked = _parser().parse_args(arguments)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        model = resolve(asked.model, FileDigests(Path(folder) / "digests.json")).path
        sizes = SMALL if asked.small else Sizes()
        setting = Setting(asked.data, model, Path(folder), sizes, seed=asked.seed)
        results = measure(setting, 6 if asked.small else asked.steps)
    show(results)
    with atomic(asked.out) as temporary:
        temporary.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return int(any(not rows["met"] for rows in results["losses"].values()))


def measure(setting: Setting, steps: int, lists_of: str = "dev") -> dict[str, Any]:
    """Each loss under both trainers. ``lists_of``: the split whose candidates are re-ranked."""
    lesson, looked_at = lesson_of(setting, steps), lists(setting, lists_of)
    sizes = setting.sizes
    facts = {
        "seed": setting.seed,
        "steps": steps,
        "queries_per_step": sizes.batch_queries,
        "documents_per_query": sizes.documents_per_query,
        "training_queries": len(lesson.examples),
        "dev_queries": len(looked_at.queries),
        "student_layers": list(sizes.student_layers),
        "tolerance": TOLERANCE,
        "before": ndcg(student_of(setting), looked_at),
    }
    found = {loss.name: _compared(lesson, loss, looked_at) for loss in LOSSES}
    return {"machine": machine.describe(), "versions": machine.versions(), **facts, "losses": found}


def lesson_of(setting: Setting, steps: int) -> Lesson:
    """The lists of the training benchmark that have one positive and the full length, over as many passes as it takes."""
    lesson = prepared(replace(setting, sizes=replace(setting.sizes, steps=10_000 // setting.sizes.batch_queries)))
    width = setting.sizes.documents_per_query
    kept = [each for each in lesson.examples if len(each.doc_ids) == width and sum(each.relevance) == 1]
    optimisation = Optimisation(steps=steps, warmup_steps=max(steps // 10, 1), save_every=10_000)
    return Lesson(setting, kept, optimisation)


def lists(setting: Setting, split: str) -> Reranking:
    """The judged queries of a split with their BM25 candidates."""
    qrels = setting.collection.qrels(split)
    texts = {query.query_id: query.text for query in setting.collection.queries(split)}
    doc_ids = {query_id: ids for query_id, ids in setting.bm25().items() if query_id in texts and query_id in qrels}
    documents = {doc_id: doc_id for ids in doc_ids.values() for doc_id in ids}
    documents = dict(zip(documents, setting.texts(list(documents)), strict=True))
    rows = [(query_id, doc_id) for query_id, ids in doc_ids.items() for doc_id in ids]
    return Reranking({query_id: texts[query_id] for query_id in doc_ids}, documents, rows, qrels)


def ndcg(student: Encoder, looked_at: Reranking) -> float:
    """Of the student's order of the candidates."""
    student.model.eval()
    return looked_at.measure_of(student, MEASURE, None)


def _compared(lesson: Lesson, loss: Loss, looked_at: Reranking) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    traces = {}
    sizes = lesson.setting.sizes
    for name, run in RUNS.items():
        print(f"{loss.name}: {name}", file=sys.stderr, flush=True)
        student = student_of(lesson.setting)
        told = run(lesson, student, loss)
        traces[name] = told.result
        pairs = sizes.batch_queries * sizes.documents_per_query / told.seconds
        rows[name] = {MEASURE: ndcg(student, looked_at), "pairs_per_second": pairs, "last_loss": float(told.result[-1])}
    rows["first_loss"] = float(traces[OURS][0])
    rows["largest_difference_of_a_loss"] = float(np.abs(traces[OURS] - traces[PEER]).max())
    rows["met"] = bool(rows[OURS][MEASURE] >= rows[PEER][MEASURE] - TOLERANCE)
    return rows


def show(results: dict[str, Any]) -> None:
    """One row per loss and trainer."""
    screen = console()
    screen.print(", ".join(f"{name} {value}" for name, value in results["machine"].items()))
    title = f"{results['steps']} steps of {results['queries_per_step']} x {results['documents_per_query']}, "
    title += f"{results['dev_queries']} dev queries; before: {MEASURE} {results['before']:.4f}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for position, column in enumerate(["", f"dev {MEASURE}", "pairs / s", "last loss", "losses differ by"]):
        table.add_column(column, justify="right" if position else "left", no_wrap=True)
    for loss, rows in results["losses"].items():
        for name in RUNS:
            row = rows[name]
            table.add_row(
                f"{loss}: {name}",
                f"{row[MEASURE]:.4f}",
                f"{row['pairs_per_second']:.1f}",
                f"{row['last_loss']:.5f}",
                f"{rows['largest_difference_of_a_loss']:.1e}" if name == OURS else "",
            )
    screen.print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="six small steps, to see that it works")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=DATA, help="a BEIR folder that also holds bm25.candidates.tsv")
    parser.add_argument("--model", default=MODEL, help="a text encoder: folder, package:NAME/FOLDER or hub id")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("parity.json"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
