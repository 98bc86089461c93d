"""A sentence-transformers multi-vector encoder (ColBERT), run in batches by tokens: texts in, one vector per token out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from retkd.encoders.encoder import Encoder, Side


@dataclass(frozen=True)
class TokenRows:
    """Vectors ``[token, dim]`` of texts one after the other; those of text i are ``vectors[starts[i]:starts[i + 1]]``."""

    vectors: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, texts: Sequence[np.ndarray], dim: int) -> "TokenRows":
        """The texts' own matrices in one."""
        starts = np.cumsum([0, *(len(each) for each in texts)], dtype=np.int64)
        return cls(np.concatenate([np.zeros((0, dim), np.float32), *texts]), starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        found: np.ndarray = self.vectors[self.starts[row] : self.starts[row + 1]]
        return found

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[row] for row in range(len(self)))

    @property
    def lengths(self) -> np.ndarray:
        """Vectors of each text."""
        return np.diff(self.starts)


class LateInteractionEncoder(Encoder):
    """Wraps a loaded ``sentence_transformers.MultiVectorEncoder``: the same vectors as its own two ``encode_...``."""

    KIND: ClassVar[str] = "MultiVectorEncoder"
    MAXSIM: ClassVar[bool] = True

    @staticmethod
    def _loaded(path: Path, device: str) -> Any:
        from sentence_transformers import MultiVectorEncoder

        return MultiVectorEncoder(str(path), device=device)

    @property
    def reads_ids(self) -> bool:
        """Whether some words are left out of the comparison, by their ids, or queries are filled up."""
        leaving = ("skiplist_words", "keep_only_token_ids", "query_expansion")
        return any(getattr(module, name, None) for module in self.model for name in leaving)

    def max_length(self, side: Side) -> int | None:
        """Tokens at which a text is cut; queries that are filled up to a width, at that width."""
        limit, expansion = super().max_length(side), self._expansion(side)
        if expansion is None:
            return limit
        return int(expansion["length"] if expansion["strategy"] == "fixed" else max(limit or 0, expansion["length"]))

    def features(self, columns: dict[str, list[list[int]]], side: Side) -> dict[str, Any]:
        """As of any encoder; queries filled up, where the model was made for it, and the filling marked."""
        features, expansion = super().features(columns, side), self._expansion(side)
        return features if expansion is None else self._filled(features, expansion)

    def _expansion(self, side: Side) -> Any:
        return getattr(self.tower(side)[0], "query_expansion", None) if side == "query" else None

    def _filled(self, features: dict[str, Any], expansion: Any) -> dict[str, Any]:
        """Places up to the width hold [MASK] or another token. They count, though the transformer need not see them."""
        import torch

        missing = max(expansion["length"] - features["input_ids"].shape[1], 0)
        wide = {name: torch.nn.functional.pad(each, (0, missing)) for name, each in features.items()}
        mask, tokenizer = wide["attention_mask"], self.tokenizer("query")
        places = torch.arange(mask.shape[1], device=mask.device) < expansion["length"]
        empty = (mask == 0) & places
        named = expansion["token"]
        filling = tokenizer.mask_token_id if named is None else tokenizer.convert_tokens_to_ids(named)
        if filling is None:
            filling = tokenizer.eos_token_id
        wide["input_ids"] = wide["input_ids"].masked_fill(empty, filling)
        wide["query_expansion_positions"] = empty
        if expansion["attend"]:
            wide["attention_mask"] = mask.masked_fill(empty, 1)
        return wide

    def encode_tokens(
        self, texts: Sequence[str], side: Side, tokens_per_batch: int | None = None
    ) -> tuple[TokenRows, int]:
        """The vectors of the tokens that are compared, in the order of ``texts``, and how many texts were cut."""
        import torch

        if not len(texts):
            return TokenRows.of([], self.dim), 0
        batches, cut = self._batches(texts, side, tokens_per_batch)
        found: list[Any] = [None] * len(texts)
        with torch.inference_mode():
            for batch, columns in batches:
                made = self.model(self.features(columns, side), task=side)
                vectors, masks = made["token_embeddings"].float().cpu(), made["attention_mask"].bool().cpu()
                for position, text in enumerate(batch.tolist()):
                    found[text] = vectors[position][masks[position]].numpy()
        return TokenRows.of(found, self.dim), cut

    def represented(self, texts: Sequence[str], side: Side, tokens_per_batch: int | None = None) -> TokenRows:
        """The vectors of the texts' tokens."""
        return self.encode_tokens(texts, side, tokens_per_batch)[0]

    def pair_scores(self, queries: Any, documents: Any, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """MaxSim of the queries at ``left`` with the documents at ``right``."""
        pairs = zip(left.tolist(), right.tolist(), strict=True)
        return np.array([(queries[q] @ documents[d].T).max(axis=1).sum() for q, d in pairs], dtype=np.float32)
