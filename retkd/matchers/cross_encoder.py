"""A cross-encoder run in batches by tokens: pairs of texts in, raw scores out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from retkd.batching import default_tokens_per_batch, pad_values, padded, pass_limits, places, token_batches
from retkd.errors import ModelError
from retkd.matchers.labels import Labels, readout
from retkd.matchers.pair_models import Attention, Precision, load_model, load_tokenizer
from retkd.matchers.passages import Passages
from retkd.matchers.templates import Affixes, PairTemplate, own_template

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import Features

Pair = tuple[str, str]
CandidateList = tuple[str, Sequence[str]]
"""A query and the texts of its candidates."""


class PairScorer:
    """Wraps a loaded sequence-classification model and its tokeniser.

    A query of more than ``query_max_length`` tokens is cut first, then the document, until the pair has
    ``max_length``: so a query that alone exceeds the length is no error. What a template writes around them is never
    cut. Scores are raw: an activation that sentence-transformers saved with the model is left out.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        max_length: int,
        query_max_length: int,
        *,
        labels: Labels = "auto",
        template: PairTemplate | None = None,
        passages: Passages | None = None,
        where: object = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.passages = passages
        self.template = template or PairTemplate()
        self.readout = readout(labels, {0: "score"} if self.reads_segments else model.config.id2label, where)
        self.num_special = int(tokenizer.num_special_tokens_to_add(pair=True)) + self._template_tokens()
        positions = getattr(model.config, "max_position_embeddings", None) or max_length
        self.max_length = min(max_length, positions)
        self.query_max_length = min(query_max_length, self.max_length - self.num_special - 1)
        self._require_room(where)

    @classmethod
    def load(
        cls,
        path: Path,
        device: str,
        max_length: int,
        query_max_length: int,
        precision: Precision = "fp32",
        attention: Attention = "auto",
        **reading: Any,
    ) -> "PairScorer":
        """Load a folder. ``reading``: labels, template and passages; without a template, the folder's own prompt."""
        model = load_model(path, device, precision, attention)
        return cls.around(path, model, max_length, query_max_length, **reading)

    @classmethod
    def around(cls, path: Path, model: Any, max_length: int, query_max_length: int, **reading: Any) -> "PairScorer":
        """A scorer around a model that was loaded from this folder, with the folder's tokeniser."""
        tokenizer = load_tokenizer(path, model)
        template = reading.pop("template", None) or own_template(path)
        return cls(model, tokenizer, max_length, query_max_length, template=template, where=path, **reading)

    def score(self, pairs: Sequence[Pair], tokens_per_batch: int | None = None) -> np.ndarray:
        """Float32 raw scores ``[pair]``, in the order of ``pairs``."""
        return self.score_with_cuts(pairs, tokens_per_batch)[0]

    def score_with_cuts(
        self, pairs: Sequence[Pair], tokens_per_batch: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(float32 raw scores ``[pair]``, whether a part of each pair was left out). Raises :class:`ModelError` on NaN.

        ``tokens_per_batch``: by default, what suits the device.
        """
        if self.passages is None:
            return self._score(pairs, tokens_per_batch)
        units, starts, uncovered = self._split(pairs, self.passages)
        scores, cut = self._score(units, tokens_per_batch)
        if len(units) == len(pairs):
            return scores, cut | uncovered
        return np.maximum.reduceat(scores, starts), np.logical_or.reduceat(cut, starts) | uncovered

    def _score(self, pairs: Sequence[Pair], tokens_per_batch: int | None) -> tuple[np.ndarray, np.ndarray]:
        import torch

        columns, cut = self.tokenize(pairs)
        lengths = [len(row) for row in columns["input_ids"]]
        budget = tokens_per_batch or default_tokens_per_batch(self.model.device.type)
        scores = np.empty(len(pairs), dtype=np.float32)
        with torch.inference_mode():
            for batch in token_batches(lengths, budget):
                rows = {name: [column[i] for i in batch] for name, column in columns.items()}
                scores[batch] = self._one_each(self.forward(rows), len(batch)).float().cpu().numpy()
        require_finite(scores, pairs)
        return scores, cut

    def forward(self, columns: dict[str, list[list[int]]]) -> Any:
        """Raw scores ``[pair]`` of tokenised pairs, with gradient if it is on."""
        features = {n: t.to(self.model.device) for n, t in padded(columns, pad_values(self.tokenizer)).items()}
        return self.readout.of(self.model(**features).logits)

    def inputs(self, lists: Sequence[CandidateList]) -> tuple[tuple["Features", ...], np.ndarray]:
        """Batches of similar length that :meth:`scores` reads, and where the score of each pair then stands."""
        from retkd.training.collator import chunks

        columns, _ = self.tokenize([(query, text) for query, texts in lists for text in texts])
        lengths = np.array([len(row) for row in columns["input_ids"]])
        order = np.argsort(-lengths, kind="stable")
        values = pad_values(self.tokenizer)
        batches = tuple(
            padded({name: [column[i] for i in order[start:stop]] for name, column in columns.items()}, values)
            for start, stop in chunks(lengths[order], *pass_limits(self.model.device.type))
        )
        return batches, places(order)

    def scores(self, inputs: tuple["Features", ...]) -> "Tensor":
        """Raw scores ``[pair]`` of the batches, with gradient if it is on."""
        import torch

        return torch.cat([self.readout.of(self.model(**batch).logits) for batch in inputs])

    def tokenize(self, pairs: Sequence[Pair]) -> tuple[dict[str, list[list[int]]], np.ndarray]:
        """Ragged token columns of the pairs, and whether each was cut."""
        queries, query_cut = self._shortened([query for query, _ in pairs], self.query_max_length)
        documents, document_cut = self._fitting(queries, [document for _, document in pairs])
        queries = _wrapped(queries, self.template.around_query())
        documents = _wrapped(documents, self.template.around_document())
        encoded = self.tokenizer(
            queries, documents, truncation="only_second", max_length=self.max_length, return_overflowing_tokens=False
        )
        columns = {name: encoded[name] for name in encoded if isinstance(encoded[name], list)}
        if self.reads_segments:
            columns["segments"] = [[0 if s is None else s + 1 for s in e.sequence_ids] for e in encoded.encodings]
        full = np.array([len(row) for row in columns["input_ids"]]) >= self.max_length
        longer = np.zeros(len(pairs), dtype=bool)
        special = self.tokenizer.num_special_tokens_to_add(pair=True)
        for i in np.flatnonzero(full):
            longer[i] = special + sum(self.counts([queries[i], documents[i]])) > self.max_length
        return columns, query_cut | document_cut | longer

    @property
    def reads_segments(self) -> bool:
        """Whether the model must be told which text a token comes from."""
        return getattr(self.model, "reads_segments", False)

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without special tokens and without a cut."""
        encoded = self.tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False)
        return [len(row) for row in encoded["input_ids"]]

    def pair_length(self, query_tokens: int, document_tokens: int) -> int:
        """Tokens of a pair as the model will read it, over all passages."""
        around = min(query_tokens, self.query_max_length) + self.num_special
        spans = self.passages.spans(document_tokens) if self.passages else [(0, document_tokens)]
        return sum(min(around + stop - start, self.max_length) for start, stop in spans)

    def _split(self, pairs: Sequence[Pair], passages: Passages) -> tuple[list[Pair], np.ndarray, np.ndarray]:
        """(passages as pairs, where each pair's first one is, whether a part of its document is in none)."""
        documents = list(dict.fromkeys(document for _, document in pairs))
        cut = {d: passages.of(d, o) for d, o in zip(documents, self._offsets(documents), strict=True)}
        units = [(query, passage) for query, document in pairs for passage in cut[document][0]]
        counts = np.array([len(cut[document][0]) for _, document in pairs], dtype=np.int64)
        uncovered = np.array([cut[document][1] for _, document in pairs], dtype=bool)
        return units, np.cumsum(counts) - counts, uncovered

    def _fitting(self, queries: Sequence[str], documents: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """Documents cut so that what the template writes after them still fits; the rest the tokeniser cuts."""
        if not self.template.around_document()[1]:
            return list(documents), np.zeros(len(documents), dtype=bool)
        room = [max(self.max_length - self.num_special - count, 1) for count in self.counts(queries)]
        return self._shortened(documents, room)

    def _shortened(self, texts: Sequence[str], most: int | Sequence[int]) -> tuple[list[str], np.ndarray]:
        """Texts of at most so many tokens, all or each, and whether each was cut."""
        limits = np.broadcast_to(most, len(texts)).tolist()
        offsets = self._offsets(texts)
        cut = [len(row) > limit for row, limit in zip(offsets, limits, strict=True)]
        ends = [row[limit - 1][1] if c else None for row, limit, c in zip(offsets, limits, cut, strict=True)]
        return [text[:end] for text, end in zip(texts, ends, strict=True)], np.array(cut, dtype=bool)

    def _offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """(start, stop) in characters of each token of each text."""
        encoded = self.tokenizer(
            list(texts),
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )
        return encoded["offset_mapping"]  # type: ignore[no-any-return]

    def _template_tokens(self) -> int:
        affixes = [*self.template.around_query(), *self.template.around_document()]
        return sum(self.counts([text for text in affixes if text])) if any(affixes) else 0

    def _require_room(self, where: object) -> None:
        passage = self.passages.tokens if self.passages else 1
        needed = max(self.query_max_length, 1) + self.num_special + passage
        if needed > self.max_length:
            raise ModelError(
                f"the query, what stands around the texts and {passage} tokens of a document do not fit into a pair",
                where=where,
                seen=f"{max(self.query_max_length, 1)} + {self.num_special} + {passage} = {needed} tokens",
                allowed=f"{self.max_length} tokens (max_length, or what the model can read)",
                next_step="raise max_length, lower query_max_length or passage_tokens, or shorten the template",
            )

    def _one_each(self, scores: Any, num_pairs: int) -> Any:
        if tuple(scores.shape) != (num_pairs,):
            raise ModelError(
                "the teacher does not give one score for each pair",
                where=type(self.model).__name__,
                seen=f"scores of shape {tuple(scores.shape)} for {num_pairs} pairs",
                allowed=f"({num_pairs},)",
                next_step="choose a model that classifies the whole pair",
            )
        return scores


def require_finite(scores: np.ndarray, pairs: Sequence[Pair]) -> None:
    """Raise :class:`ModelError` when a score is NaN or infinite."""
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise ModelError(
            f"the teacher gave {len(bad):,} scores that are not finite",
            where=f"query {pairs[bad[0]][0][:80]!r}, document {pairs[bad[0]][1][:80]!r}",
            seen=float(scores[bad[0]]),
            next_step="score in fp32 (precision: fp32), or look at the model's weights",
        )


def _wrapped(texts: Sequence[str], around: Affixes) -> list[str]:
    return [around[0] + text + around[1] for text in texts] if any(around) else list(texts)
