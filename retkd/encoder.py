"""A sentence-transformers encoder, run in batches by tokens: texts in, float32 vectors out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from retkd.batching import default_tokens_per_batch, pad_values, padded, token_batches
from retkd.errors import ModelError

Side = Literal["query", "document"]
STATIC_TEXTS = 1024


class Encoder:
    """Wraps a loaded :class:`SentenceTransformer`; the same vectors as its ``encode_query`` and ``encode_document``."""

    def __init__(self, model: Any) -> None:
        self.model = model

    @classmethod
    def load(cls, path: Path, device: str = "cpu", max_length: int | None = None) -> Self:
        """Load a sentence-transformers folder; ``max_length`` tokens cut it shorter than it was made for.

        Raises :class:`ModelError` when the folder is none.
        """
        if not (path / "modules.json").is_file() and not (path / "config.json").is_file():
            raise ModelError(
                "this folder holds no encoder",
                where=path,
                allowed="a folder with modules.json (sentence-transformers) or config.json (transformers)",
                next_step="name the folder that save_pretrained wrote",
            )
        model = cls._loaded(path, device).eval()
        if max_length is not None:
            model.max_seq_length = min(max_length, model.max_seq_length or max_length)
        return cls(model)

    @staticmethod
    def _loaded(path: Path, device: str) -> Any:
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(str(path), device=device)

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return int(self.model.get_embedding_dimension())

    def prompt(self, side: Side) -> str:
        """The text put before a query or a document; empty when the model has none."""
        return (self.model.prompts or {}).get(side) or ""

    def tokenize(self, texts: Sequence[str], side: Side) -> dict[str, list[list[int]]]:
        """Ragged token columns of the texts, prompt included, cut at the model's maximum length."""
        return self._tokenized(texts, side)[0]

    def _tokenized(self, texts: Sequence[str], side: Side) -> tuple[dict[str, list[list[int]]], np.ndarray]:
        prompt = self.prompt(side)
        encoded = self.model.tokenizer(
            [prompt + text for text in texts], truncation=True, max_length=self.model.max_seq_length, padding=False
        )
        cut = np.array([bool(e.overflowing) for e in encoded.encodings or []], dtype=bool)
        return {name: encoded[name] for name in encoded if isinstance(encoded[name], list)}, cut

    def encode(self, texts: Sequence[str], side: Side, tokens_per_batch: int | None = None) -> np.ndarray:
        """Vectors ``[text, dim]`` in float32, in the order of ``texts``. Budget: by default, what suits the device."""
        return self.encode_with_cuts(texts, side, tokens_per_batch)[0]

    def encode_with_cuts(
        self, texts: Sequence[str], side: Side, tokens_per_batch: int | None = None
    ) -> tuple[np.ndarray, int]:
        """As :meth:`encode`, and how many texts were cut at the maximum length (0 where the model cannot tell)."""
        import torch

        if not len(texts):
            return np.zeros((0, self.dim), dtype=np.float32), 0
        if not self.reads_tokens:
            encode = self.model.encode_query if side == "query" else self.model.encode_document
            vectors = encode(
                list(texts), batch_size=self._texts_per_batch, convert_to_numpy=True, show_progress_bar=False
            )
            return np.asarray(vectors, dtype=np.float32), 0
        columns, cut = self._tokenized(texts, side)
        lengths = [len(row) for row in columns["input_ids"]]
        budget = tokens_per_batch or default_tokens_per_batch(self.model.device.type)
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        with torch.inference_mode():
            for batch in token_batches(lengths, budget):
                rows = {name: [column[i] for i in batch] for name, column in columns.items()}
                vectors[batch] = self.forward(rows, side).float().cpu().numpy()
        return vectors, int(cut.sum())

    def forward(self, columns: dict[str, list[list[int]]], side: Side) -> Any:
        """The ``[text, dim]`` tensor of already tokenised texts, on the model's device, with gradient if it is on."""
        return self.model(self.features(columns, side))["sentence_embedding"]

    def features(self, columns: dict[str, list[list[int]]], side: Side) -> dict[str, Any]:
        """What the model's first module reads: padded tensors on its device."""
        features = {n: t.to(self.model.device) for n, t in padded(columns, pad_values(self.model.tokenizer)).items()}
        if self.prompt(side) and not self._pools_prompt:
            features["prompt_length"] = self.model[0]._get_prompt_length(self.prompt(side))
        return features

    @property
    def reads_tokens(self) -> bool:
        """Whether the first module is a transformer over padded tokens (not a static embedding, not an image tower)."""
        from sentence_transformers.base.modules import Transformer

        return isinstance(self.model[0], Transformer) and self.model.tokenizer is not None

    @property
    def _texts_per_batch(self) -> int:
        """Of a model that reads no tokens: many where a text costs a sum of rows, else sentence-transformers' own 32."""
        from sentence_transformers.sentence_transformer.modules import StaticEmbedding

        return STATIC_TEXTS if isinstance(self.model[0], StaticEmbedding) else 32

    @property
    def _pools_prompt(self) -> bool:
        return all(getattr(module, "include_prompt", True) for module in self.model)
