"""A teacher of pairs: its raw scores through the pair-score store, each pair scored once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retkd.matchers.cross_encoder import Pair, require_finite
from retkd.pair_scores import PairScores, ScoreShard, pair_key, require_count
from retkd.parts import Scale
from retkd.stage import Inputs
from retkd.teachers.base import Judgement, PairTexts, Rows, by_split


@dataclass(frozen=True)
class Stored:
    """One judgement on its way through the store; ``address`` says where this teacher's scores lie in it."""

    name: str
    splits: list[Rows]
    inputs: Inputs
    work: Path
    texts: PairTexts
    address: str
    pairs_per_shard: int

    def judge(
        self,
        lengths: Callable[[np.ndarray], np.ndarray],
        score: ScoreShard,
        scale: Scale,
        keys: Sequence[bytes] | None = None,
    ) -> Judgement:
        """The scores of all pairs; ``keys`` are those of the pairs' texts unless a score depends on more.

        Raises :class:`ModelError`, before anything of the shard is stored, on a score that is not finite or not there.
        """
        texts = self.texts

        def whole(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            values, cut = score(positions)
            require_count(values, len(positions), f"teacher {self.name}")
            require_finite(values, pairs_of(texts, positions))
            return values, cut

        found = PairScores(self.inputs.store / "scores" / self.address).get(
            keys or [pair_key(texts.queries[q], texts.documents[d]) for q, d in texts.pairs],
            lengths,
            whole,
            plan_file=self.work / f"{self.name}-plan.npz",
            pairs_per_shard=self.pairs_per_shard,
            label=f"score {self.name}: {len(texts.pairs):,} pairs (shards)",
        )
        rate = float(found.truncated.mean()) if len(found.truncated) else 0.0
        return Judgement(by_split(self.splits, found.values), scale, found.num_new, rate)


def pairs_of(texts: PairTexts, positions: np.ndarray) -> list[Pair]:
    """The texts of some pairs."""
    chosen = (texts.pairs[position] for position in positions)
    return [(texts.queries[query_id], texts.documents[doc_id]) for query_id, doc_id in chosen]


def pair_lengths(scorer: Any, texts: PairTexts, positions: np.ndarray) -> np.ndarray:
    """Token counts of pairs, from one count per distinct text."""
    pairs = [texts.pairs[position] for position in positions]
    query_ids, doc_ids = list({q: None for q, _ in pairs}), list({d: None for _, d in pairs})
    queries = dict(zip(query_ids, scorer.counts([texts.queries[q] for q in query_ids]), strict=True))
    documents = dict(zip(doc_ids, scorer.counts([texts.documents[d] for d in doc_ids]), strict=True))
    return np.array([scorer.pair_length(queries[q], documents[d]) for q, d in pairs], dtype=np.int64)


def by_document(counts: Callable[[Sequence[str]], list[int]], texts: PairTexts, positions: np.ndarray) -> np.ndarray:
    """Sort keys that put all pairs of a document together, those of the longest first.

    So a document that is encoded apart from its queries is encoded once, and twice only where a shard ends inside it.
    """
    doc_ids = list({texts.pairs[position][1]: None for position in positions})
    lengths = dict(zip(doc_ids, counts([texts.documents[doc_id] for doc_id in doc_ids]), strict=True))
    place = {doc_id: number for number, doc_id in enumerate(doc_ids)}
    own = (texts.pairs[position][1] for position in positions)
    return np.array([lengths[doc_id] * len(doc_ids) + place[doc_id] for doc_id in own], dtype=np.int64)
