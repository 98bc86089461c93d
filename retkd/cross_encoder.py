"""A cross-encoder run in batches by tokens: pairs of texts in, raw scores out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from retkd.batching import default_tokens_per_batch, pad_values, padded, pass_limits, places, token_batches
from retkd.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import Features

Pair = tuple[str, str]
CandidateList = tuple[str, Sequence[str]]
"""A query and the texts of its candidates."""


class PairScorer:
    """Wraps a loaded sequence-classification model and its tokeniser.

    A query of more than ``query_max_length`` tokens is cut first, then the document, until the pair has
    ``max_length``: so a query that alone exceeds the length is no error.
    """

    def __init__(self, model: Any, tokenizer: Any, max_length: int, query_max_length: int) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.num_special = int(tokenizer.num_special_tokens_to_add(pair=True))
        positions = getattr(model.config, "max_position_embeddings", None) or max_length
        self.max_length = min(max_length, positions)
        self.query_max_length = min(query_max_length, self.max_length - self.num_special - 1)

    @classmethod
    def load(
        cls, path: Path, device: str, max_length: int, query_max_length: int, precision: str = "fp32"
    ) -> "PairScorer":
        """Load a folder. Raises :class:`ModelError` when the model gives neither one nor two labels for a pair."""
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        from retkd.segment_head import SegmentCrossEncoder

        dtype = dtype_of(precision)
        _require_pair_model(path)
        if (path / SegmentCrossEncoder.HEAD_FILE).is_file():
            pairs: Any = SegmentCrossEncoder.load(path, dtype).to(device).eval()
            return cls(pairs, AutoTokenizer.from_pretrained(str(path)), max_length, query_max_length)
        model = AutoModelForSequenceClassification.from_pretrained(str(path), dtype=dtype).to(device).eval()
        labels = model.config.num_labels
        if labels not in (1, 2):
            raise ModelError(
                "a cross-encoder teacher gives one score, or two labels whose difference is the score",
                where=path,
                seen=f"{labels} labels",
                allowed="1 or 2",
                next_step="choose a re-ranker, or train one with a stage of kind teach",
            )
        return cls(model, AutoTokenizer.from_pretrained(str(path)), max_length, query_max_length)

    def score(self, pairs: Sequence[Pair], tokens_per_batch: int | None = None) -> np.ndarray:
        """Float32 raw scores ``[pair]``, in the order of ``pairs``."""
        return self.score_with_cuts(pairs, tokens_per_batch)[0]

    def score_with_cuts(
        self, pairs: Sequence[Pair], tokens_per_batch: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(float32 raw scores ``[pair]``, whether each pair was cut). Raises :class:`ModelError` on NaN.

        ``tokens_per_batch``: by default, what suits the device.
        """
        import torch

        columns, cut = self.tokenize(pairs)
        lengths = [len(row) for row in columns["input_ids"]]
        budget = tokens_per_batch or default_tokens_per_batch(self.model.device.type)
        scores = np.empty(len(pairs), dtype=np.float32)
        with torch.inference_mode():
            for batch in token_batches(lengths, budget):
                rows = {name: [column[i] for i in batch] for name, column in columns.items()}
                scores[batch] = self.forward(rows).float().cpu().numpy()
        require_finite(scores, pairs)
        return scores, cut

    def forward(self, columns: dict[str, list[list[int]]]) -> Any:
        """Raw scores ``[pair]`` of tokenised pairs, with gradient if it is on."""
        features = {n: t.to(self.model.device) for n, t in padded(columns, pad_values(self.tokenizer)).items()}
        return raw_scores(self.model(**features).logits)

    def inputs(self, lists: Sequence[CandidateList]) -> tuple[tuple["Features", ...], np.ndarray]:
        """Batches of similar length that :meth:`scores` reads, and where the score of each pair then stands."""
        from retkd.collator import chunks

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

        return torch.cat([raw_scores(self.model(**batch).logits) for batch in inputs])

    def tokenize(self, pairs: Sequence[Pair]) -> tuple[dict[str, list[list[int]]], np.ndarray]:
        """Ragged token columns of the pairs, and whether each was cut."""
        queries, query_cut = self._shortened([query for query, _ in pairs])
        documents = [document for _, document in pairs]
        encoded = self.tokenizer(
            queries, documents, truncation="only_second", max_length=self.max_length, return_overflowing_tokens=False
        )
        columns = {name: encoded[name] for name in encoded if isinstance(encoded[name], list)}
        if self.reads_segments:
            columns["segments"] = [[0 if s is None else s + 1 for s in e.sequence_ids] for e in encoded.encodings]
        full = np.array([len(row) for row in columns["input_ids"]]) >= self.max_length
        longer = np.zeros(len(pairs), dtype=bool)
        for i in np.flatnonzero(full):
            longer[i] = self.num_special + sum(self.counts([queries[i], documents[i]])) > self.max_length
        return columns, query_cut | longer

    @property
    def reads_segments(self) -> bool:
        """Whether the model must be told which text a token comes from."""
        from retkd.segment_head import SegmentHead

        return isinstance(self.model, SegmentHead)

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without special tokens and without a cut."""
        encoded = self.tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False)
        return [len(row) for row in encoded["input_ids"]]

    def pair_length(self, query_tokens: int, document_tokens: int) -> int:
        """Tokens of a pair as the model will read it."""
        return min(min(query_tokens, self.query_max_length) + document_tokens + self.num_special, self.max_length)

    def _shortened(self, queries: Sequence[str]) -> tuple[list[str], np.ndarray]:
        encoded = self.tokenizer(
            list(queries),
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )
        offsets = encoded["offset_mapping"]
        cut = np.array([len(row) > self.query_max_length for row in offsets], dtype=bool)
        ends = [row[self.query_max_length - 1][1] if is_cut else None for row, is_cut in zip(offsets, cut, strict=True)]
        return [query[:end] for query, end in zip(queries, ends, strict=True)], cut


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


def raw_scores(logits: Any) -> Any:
    """The one logit of each pair; of two labels, the second's minus the first's."""
    return logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]


def dtype_of(precision: str) -> Any:
    """The torch type of fp32, bf16 or fp16."""
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _require_pair_model(path: Path) -> None:
    """Raise :class:`ModelError` for a head that reads no pair: transformers would put a new one in its place."""
    from retkd.beca import Beca
    from retkd.uni_encoder import UniEncoder

    for head, kind in ((UniEncoder.HEAD_FILE, "uni_encoder"), (Beca.HEAD_FILE, "beca")):
        if (path / head).is_file():
            raise ModelError(
                "this folder holds no cross-encoder",
                where=path,
                seen=head,
                allowed="a sequence-classification model, or one that teach trained with head classifier or segments",
                next_step=f"use the teacher kind {kind}",
            )
