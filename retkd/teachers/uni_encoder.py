"""A uni-encoder as teacher: the candidates of a query together, the query read once for all of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np

from retkd.pair_scores import pair_key
from retkd.parts import Scale
from retkd.parts import UniEncoder as UniEncoderField
from retkd.stage import Inputs
from retkd.teachers.base import Judgement, PairTexts, Rows, pair_texts
from retkd.teachers.stored import Stored, pair_lengths
from retkd.teachers.taught import TaughtTeacher


class UniEncoderTeacher(TaughtTeacher):
    """A model that `teach` trained with ``head: uni``; its mask and its candidates per pass are the model's own.

    With the mask ``blocked`` a score is that of its pair, whatever else is scored. With ``arrow`` it is that of its pair in
    its pass, the rows of a query being cut into passes in the order of the table: a score stands in the store under the
    texts of the whole pass, and another depth or another selection is another pass.
    """

    kind: Literal["uni_encoder"] = "uni_encoder"
    model: UniEncoderField

    @property
    def scales(self) -> tuple[Scale, ...]:
        """A logit of each candidate."""
        return ("logit",)

    def judge(self, name: str, splits: list[Rows], inputs: Inputs, work: Path) -> Judgement:
        """Raw logits through the pair-score store."""
        from retkd.matchers.uni_scorer import UniScorer
        from retkd.resources import device

        texts = pair_texts(splits, inputs)
        model = inputs.models[self.model]
        where = device(inputs.runtime.device, inputs.runtime.threads)
        scorer = UniScorer.load(model.path, where, self.max_length, self.query_max_length, self.precision)
        address = self.address(model.digest, mask=scorer.model.mask)
        arrow = scorer.model.mask == "arrow"
        passes = Passes.of(texts, scorer.model.candidates_per_pass if arrow else None)
        stored = Stored(name, splits, inputs, work, texts, address, self.pairs_per_shard)
        return stored.judge(
            lambda positions: passes.lengths(scorer, positions),
            lambda positions: passes.score(scorer, positions, arrow, inputs.runtime.tokens_per_batch),
            "logit",
            keys=passes.keys() if arrow else None,
        )


@dataclass(frozen=True)
class Passes:
    """Which pairs are read together: positions of each pass, and the pass of each position."""

    texts: PairTexts
    members: list[np.ndarray]
    pass_of: np.ndarray

    @classmethod
    def of(cls, texts: PairTexts, size: int | None) -> "Passes":
        """The pairs of each query in their order, ``size`` at a time; None: all of them."""
        by_query: dict[str, list[int]] = {}
        for position, (query_id, _) in enumerate(texts.pairs):
            by_query.setdefault(query_id, []).append(position)
        members = [np.array(part) for own in by_query.values() for part in _parts(own, size or len(own))]
        pass_of = np.empty(len(texts.pairs), dtype=np.int64)
        for number, positions in enumerate(members):
            pass_of[positions] = number
        return cls(texts, members, pass_of)

    def pair(self, position: int) -> tuple[str, str]:
        """The two texts."""
        query_id, doc_id = self.texts.pairs[position]
        return self.texts.queries[query_id], self.texts.documents[doc_id]

    def keys(self) -> list[bytes]:
        """A pair in its pass: the digest of the pair's key and those of all pairs of the pass, in order."""
        own = [pair_key(*self.pair(position)) for position in range(len(self.texts.pairs))]
        whole = [blake2b(b"".join(own[p] for p in positions), digest_size=16).digest() for positions in self.members]
        return [blake2b(key + whole[p], digest_size=16).digest() for key, p in zip(own, self.pass_of, strict=True)]

    def lengths(self, scorer: Any, positions: np.ndarray) -> np.ndarray:
        """Sort keys that keep the pairs of a pass together, those of the longest pass first."""
        totals = np.bincount(self.pass_of[positions], pair_lengths(scorer, self.texts, positions), len(self.members))
        sizes = totals.astype(np.int64) * len(self.members) + np.arange(len(self.members))
        lengths: np.ndarray = sizes[self.pass_of[positions]]
        return lengths

    def score(
        self, scorer: Any, positions: np.ndarray, whole: bool, tokens_per_batch: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(scores, cuts) of some positions. ``whole``: their passes are read to the last candidate, as they were cut."""
        groups = [self.members[number] if whole else np.array(run) for number, run in self._runs(positions)]
        lists = [(self.pair(own[0])[0], [self.pair(position)[1] for position in own]) for own in groups]
        scores, cuts = scorer.score_lists(lists, tokens_per_batch)
        asked = np.concatenate(groups)
        place = np.full(len(self.pass_of), -1)
        place[asked] = np.arange(len(asked))
        return scores[place[positions]], cuts[place[positions]]

    def _runs(self, positions: np.ndarray) -> Iterator[tuple[int, list[int]]]:
        ordered = sorted(positions.tolist(), key=lambda position: (self.pass_of[position], position))
        for number, run in groupby(ordered, key=lambda position: int(self.pass_of[position])):
            yield number, list(run)


def _parts(positions: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(positions), size):
        yield positions[start : start + size]
