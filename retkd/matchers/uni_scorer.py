"""A uni-encoder run over candidate lists: texts in, raw scores out, each query read once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from retkd.batching import default_tokens_per_batch, padded, pass_limits, places, token_batches
from retkd.matchers.cross_encoder import CandidateList, Pair, PairScorer, require_finite
from retkd.matchers.pair_models import Precision, dtype_of, load_tokenizer, require_head
from retkd.training.collator import chunks

if TYPE_CHECKING:
    from torch import Tensor

    from retkd.batch import Features

Columns = dict[str, list[list[int]]]


@dataclass(frozen=True)
class Read:
    """Tokenised lists. A text's columns are ``input_ids``, ``position_ids`` and ``text`` (1: no marker).

    ``list_of`` names the list, and so the context, of each candidate; ``lengths`` counts a text's tokens.
    """

    contexts: Columns
    candidates: Columns
    list_of: np.ndarray

    def lengths(self, columns: Columns) -> np.ndarray:
        """Tokens of each text."""
        return np.array([len(row) for row in columns["input_ids"]], dtype=np.int64)


class UniScorer(PairScorer):
    """As :class:`PairScorer`, with the same cuts of query and document, over whole lists."""

    @classmethod
    def load(  # type: ignore[override]  # attention and template are its own
        cls, path: Path, device: str, max_length: int, query_max_length: int, precision: Precision = "fp32"
    ) -> "UniScorer":
        """Load a folder. Raises :class:`ModelError` when it holds no uni-encoder."""
        from retkd.matchers.uni_encoder import UniEncoder

        next_step = "train one with a stage of kind teach and `head: uni`, or use the teacher kind cross_encoder"
        require_head(path, UniEncoder.HEAD_FILE, "uni-encoder", next_step)
        model = UniEncoder.load(path, dtype_of(precision)).to(device).eval()
        return cls(model, load_tokenizer(path, model), max_length, query_max_length)

    def score_with_cuts(
        self, pairs: Sequence[Pair], tokens_per_batch: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`score_lists`; pairs that follow each other with one query are one list."""
        return self.score_lists(lists_of(pairs), tokens_per_batch)

    def score_lists(
        self, lists: Sequence[CandidateList], tokens_per_batch: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(float32 raw scores ``[pair]``, whether each pair was cut), list by list.

        With the arrow mask a list is cut into passes of ``candidates_per_pass`` in the order it has.
        """
        import torch

        read, cut = self.read(lists)
        budget = tokens_per_batch or default_tokens_per_batch(self.model.device.type)
        scores = np.empty(len(read.list_of), dtype=np.float32)
        with torch.inference_mode():
            for rows, values in (
                self._arrow(read, budget) if self.model.mask == "arrow" else self._blocked(read, budget)
            ):
                scores[rows] = values.float().cpu().numpy()
        require_finite(scores, [(query, text) for query, texts in lists for text in texts])
        return scores, cut

    def read(self, lists: Sequence[CandidateList]) -> tuple[Read, np.ndarray]:
        """Tokenised lists, and whether each pair was cut. Empty lists have no context that is ever read."""
        columns, cut = self.tokenize([(query, text) for query, texts in lists for text in texts])
        list_of = np.repeat(np.arange(len(lists)), [len(texts) for _, texts in lists])
        contexts: Columns = {name: [[]] * len(lists) for name in ("input_ids", "position_ids", "text")}
        candidates: Columns = {name: [] for name in contexts}
        for own, ids, segments in zip(list_of, columns["input_ids"], columns["segments"], strict=True):
            begin = len(ids) - segments.count(2) - 1
            told = {"input_ids": ids, "position_ids": list(range(len(ids))), "text": [int(s > 0) for s in segments]}
            for name, row in told.items():
                contexts[name][own] = row[:begin]
                candidates[name].append(row[begin:])
        return Read(contexts, candidates, list_of), cut

    def inputs(self, lists: Sequence[CandidateList]) -> tuple[tuple["Features", ...], np.ndarray]:
        """What the model reads with gradient, and where the score of each pair then stands."""
        read, _ = self.read(lists)
        cost, most = pass_limits(self.model.device.type)
        if self.model.mask == "arrow":
            passes, lengths = self._passes(read)
            order = np.argsort(-lengths, kind="stable")
            ordered = [passes[i] for i in order]
            parts = chunks(lengths[order], cost, most)
            features = tuple(self._pass_features(read, ordered[start:stop]) for start, stop in parts)
            return features, places(np.concatenate(ordered))
        lengths = read.lengths(read.candidates)
        order = np.argsort(-lengths, kind="stable")
        rows = [order[start:stop] for start, stop in chunks(lengths[order], cost, most)]
        contexts = self._padded(read.contexts, np.arange(len(lists)))
        return (contexts, *(self._candidate_features(read, part, read.list_of[part]) for part in rows)), places(order)

    def scores(self, inputs: tuple["Features", ...]) -> "Tensor":
        """Raw scores ``[pair]`` of the inputs, with gradient if it is on."""
        scores: Tensor = self.model(inputs)
        return scores

    def _blocked(self, read: Read, budget: int) -> Iterator[tuple[np.ndarray, "Tensor"]]:
        lengths = read.lengths(read.candidates)
        used = np.unique(read.list_of)
        for group in token_batches(read.lengths(read.contexts)[used], budget):
            lists = used[group]
            contexts = self.model.contexts(self._on_device(self._padded(read.contexts, lists)))
            place = np.full(len(read.contexts["text"]), -1)
            place[lists] = np.arange(len(lists))
            rows = np.flatnonzero(place[read.list_of] >= 0)
            for batch in token_batches(lengths[rows], budget):
                chosen = rows[batch]
                features = self._candidate_features(read, chosen, place[read.list_of[chosen]])
                yield chosen, self.model.candidates(contexts, self._on_device(features))

    def _arrow(self, read: Read, budget: int) -> Iterator[tuple[np.ndarray, "Tensor"]]:
        passes, lengths = self._passes(read)
        for batch in token_batches(lengths, budget):
            group = [passes[i] for i in batch]
            yield np.concatenate(group), self.model([self._on_device(self._pass_features(read, group))])

    def _passes(self, read: Read) -> tuple[list[np.ndarray], np.ndarray]:
        """(candidates of each pass, its tokens)."""
        size = self.model.candidates_per_pass
        rows = [np.flatnonzero(read.list_of == own) for own in np.unique(read.list_of)]
        passes = [own[start : start + size] for own in rows for start in range(0, len(own), size)]
        contexts, candidates = read.lengths(read.contexts), read.lengths(read.candidates)
        return passes, np.array([contexts[read.list_of[p[0]]] + candidates[p].sum() for p in passes], dtype=np.int64)

    def _pass_features(self, read: Read, passes: Sequence[np.ndarray]) -> "Features":
        import torch

        from retkd.matchers.uni_encoder import PADDING

        columns: Columns = {name: [] for name in (*read.contexts, "owner")}
        for rows in passes:
            own = read.list_of[rows[0]]
            for name, context in read.contexts.items():
                columns[name].append([*context[own], *(token for row in rows for token in read.candidates[name][row])])
            lengths = [len(read.contexts["text"][own]), *(len(read.candidates["text"][row]) for row in rows)]
            columns["owner"].append(np.repeat(np.arange(len(lengths)), lengths).tolist())
        features = self._tensors(columns, {"owner": PADDING})
        sizes = torch.tensor([len(rows) for rows in passes])
        return features | {"valid": torch.arange(int(sizes.max())) < sizes.unsqueeze(1)}

    def _candidate_features(self, read: Read, rows: np.ndarray, contexts: np.ndarray) -> "Features":
        import torch

        return self._padded(read.candidates, rows) | {"query": torch.from_numpy(contexts)}

    def _padded(self, columns: Columns, rows: np.ndarray) -> "Features":
        chosen = {name: [column[row] for row in rows] for name, column in columns.items()}
        return self._tensors(chosen | {"attention_mask": [[1] * len(row) for row in chosen["input_ids"]]}, {})

    def _tensors(self, columns: Columns, pad: dict[str, int]) -> "Features":
        features = padded(columns, {"input_ids": self.tokenizer.pad_token_id or 0, **pad})
        return features | {"text": features["text"].bool()}

    def _on_device(self, features: "Features") -> dict[str, Any]:
        return {name: tensor.to(self.model.device) for name, tensor in features.items()}


def lists_of(pairs: Sequence[Pair]) -> list[CandidateList]:
    """Runs of pairs with the same query.

    >>> lists_of([("q", "a"), ("q", "b"), ("r", "a"), ("q", "c")])
    [('q', ('a', 'b')), ('r', ('a',)), ('q', ('c',))]
    """
    from itertools import groupby

    return [(query, tuple(text for _, text in run)) for query, run in groupby(pairs, key=lambda pair: pair[0])]
