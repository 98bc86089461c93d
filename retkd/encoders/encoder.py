"""A sentence-transformers encoder, run in batches by tokens: texts in, float32 vectors out."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np

from retkd.batching import default_tokens_per_batch, pad_values, padded, settle, token_batches
from retkd.encoders import CLASSES, judges_pairs, told_of
from retkd.errors import ModelError

Side = Literal["query", "document"]
SIDES: tuple[Side, ...] = ("query", "document")
STATIC_TEXTS = 1024
NAMES = {
    "encoder": "a dense encoder",
    "sparse_encoder": "a sparse encoder",
    "late_interaction_encoder": "a late-interaction encoder",
}
"""A kind of encoder as errors name it."""


class Encoder:
    """Wraps a loaded :class:`SentenceTransformer`; the same vectors as its ``encode_query`` and ``encode_document``.

    ``KIND`` is sentence-transformers' name for such a model; ``MAXSIM`` whether a text is one vector per token.
    """

    KIND: ClassVar[str] = "SentenceTransformer"
    MAXSIM: ClassVar[bool] = False

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
        _require_kind(path, cls.KIND)
        encoder = cls(cls._loaded(path, device).eval())
        if max_length is not None:
            encoder.cut_at(max_length)
        return encoder

    def save(self, folder: Path) -> None:
        """Save as sentence-transformers does, without its generated model card."""
        for side in SIDES:
            settle(self.tokenizer(side), self.max_length(side))
        self.model.save_pretrained(str(folder), create_model_card=False)
        (folder / "README.md").unlink(missing_ok=True)

    @staticmethod
    def _loaded(path: Path, device: str) -> Any:
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(str(path), device=device)

    @property
    def reads_ids(self) -> bool:
        """Whether a module behind the first one reads token ids, so that word vectors cannot stand in for them."""
        return False

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return int(self.model.get_embedding_dimension())

    @property
    def num_parameters(self) -> int:
        """Of all its modules, the other side's tower too."""
        return sum(p.numel() for p in self.model.parameters())

    def prompt(self, side: Side) -> str:
        """The text put before a query or a document; empty when the model has none."""
        return (self.model.prompts or {}).get(side) or ""

    def tower(self, side: Side) -> list[Any]:
        """The modules that a text of this side goes through: all of them, but of a router only that side's."""
        from sentence_transformers.base.modules import Router

        modules: list[Any] = list(self.model)
        routed: Any = modules[0].sub_modules[side] if isinstance(modules[0], Router) else modules[:1]
        return [*routed, *modules[1:]]

    def tokenizer(self, side: Side) -> Any:
        """That of the side's tower; None where it reads no text."""
        return getattr(self.tower(side)[0], "tokenizer", None)

    def max_length(self, side: Side) -> int | None:
        """Tokens at which a text is cut, prompt and markers included; None where no text is."""
        first = self.tower(side)[0]
        limit = getattr(first, f"{side}_length", None) or getattr(first, "max_seq_length", None)
        return None if limit is None or not math.isfinite(limit) else int(limit)

    def cut_at(self, max_length: int) -> None:
        """Cut texts of both sides at ``max_length`` tokens, or where the model itself cuts them shorter."""
        for side in SIDES:
            if self.reads_tokens(side):
                self.tower(side)[0].max_seq_length = min(max_length, self.max_length(side) or max_length)

    def tokenize(self, texts: Sequence[str], side: Side) -> dict[str, list[list[int]]]:
        """Ragged token columns of the texts, prompt included, cut at the model's maximum length."""
        return self._tokenized(texts, side)[0]

    def _tokenized(self, texts: Sequence[str], side: Side) -> tuple[dict[str, list[list[int]]], int]:
        told, tokenizer = [self.prompt(side) + text for text in texts], self.tokenizer(side)
        if not callable(tokenizer):
            rows = [encoding.ids for encoding in tokenizer.encode_batch(told, add_special_tokens=False)]
            return {"input_ids": rows}, 0
        markers = {} if self.reads_tokens(side) else {"add_special_tokens": False}
        encoded = tokenizer(told, truncation=True, max_length=self.max_length(side), padding=False, **markers)
        cut = sum(bool(e.overflowing) for e in encoded.encodings or [])
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
        if not self.reads_tokens(side):
            encode = self.model.encode_query if side == "query" else self.model.encode_document
            vectors = encode(
                list(texts), batch_size=self._texts_per_batch(side), convert_to_numpy=True, show_progress_bar=False
            )
            return np.asarray(vectors, dtype=np.float32), 0
        batches, cut = self._batches(texts, side, tokens_per_batch)
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        with torch.inference_mode():
            for batch, columns in batches:
                vectors[batch] = self.forward(columns, side).float().cpu().numpy()
        return vectors, cut

    def _batches(
        self, texts: Sequence[str], side: Side, tokens_per_batch: int | None
    ) -> tuple[Iterator[tuple[np.ndarray, dict[str, list[list[int]]]]], int]:
        """Batches by tokens: which of the texts, and their columns; and how many texts were cut."""
        columns, cut = self._tokenized(texts, side)
        budget = tokens_per_batch or default_tokens_per_batch(self.model.device.type)
        batches = token_batches([len(row) for row in columns["input_ids"]], budget)
        return ((b, {n: [column[i] for i in b] for n, column in columns.items()}) for b in batches), cut

    def forward(self, columns: dict[str, list[list[int]]], side: Side) -> Any:
        """The ``[text, dim]`` tensor of already tokenised texts, on the model's device, with gradient if it is on."""
        return self.model(self.features(columns, side), task=side)["sentence_embedding"]

    def features(self, columns: dict[str, list[list[int]]], side: Side) -> dict[str, Any]:
        """What the first module of the side's tower reads, on its device: padded tensors, or one run of token ids."""
        if not callable(self.tokenizer(side)):
            return _flat(columns["input_ids"], self.model.device)
        features = {n: t.to(self.model.device) for n, t in padded(columns, pad_values(self.tokenizer(side))).items()}
        if self.prompt(side) and not self._pools_prompt(side):
            features["prompt_length"] = self.tower(side)[0]._get_prompt_length(self.prompt(side))
        return features

    def represented(self, texts: Sequence[str], side: Side, tokens_per_batch: int | None = None) -> Any:
        """What an index of this kind of encoder holds and searches: here vectors ``[text, dim]``."""
        return self.encode(texts, side, tokens_per_batch)

    def pair_scores(self, queries: Any, documents: Any, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Scores ``[pair]`` of the represented queries at ``left`` with the represented documents at ``right``."""
        scores: np.ndarray = np.einsum("pd,pd->p", queries[left], documents[right])
        return scores

    def reads_tokens(self, side: Side) -> bool:
        """Whether the side's tower begins with a transformer over padded tokens (not a static embedding, not images)."""
        from sentence_transformers.base.modules import Transformer

        return isinstance(self.tower(side)[0], Transformer) and self.tokenizer(side) is not None

    def _texts_per_batch(self, side: Side) -> int:
        """Of a tower that reads no tokens: many where a text costs a sum of rows, else sentence-transformers' own 32."""
        from sentence_transformers.sentence_transformer.modules import StaticEmbedding

        return STATIC_TEXTS if isinstance(self.tower(side)[0], StaticEmbedding) else 32

    def _pools_prompt(self, side: Side) -> bool:
        return all(getattr(module, "include_prompt", True) for module in self.tower(side))


def _flat(rows: Sequence[Sequence[int]], device: Any) -> dict[str, Any]:
    """What a static embedding reads: all token ids one after the other, and where each text begins."""
    import torch

    starts = np.cumsum([0, *(len(row) for row in rows[:-1])])
    ids = [token for row in rows for token in row]
    return {
        "input_ids": torch.tensor(ids, dtype=torch.int64, device=device),
        "offsets": torch.from_numpy(starts).to(device),
    }


def _require_kind(path: Path, kind: str) -> None:
    """Raise :class:`ModelError` for a folder of another kind, which sentence-transformers would turn into this one."""
    if judges_pairs(path):
        raise ModelError(
            f"this folder holds a model that judges pairs, and {NAMES[CLASSES[kind]]} was asked for",
            where=path,
            seen="config.json names a class that ends in ForSequenceClassification, and there is no modules.json",
            consequence="what is below its classifier was never trained to give vectors that can be compared",
            next_step="use the parts that read a cross-encoder, or train an encoder that begins with it (`base`)",
        )
    seen = told_of(path).get("model_type")
    if seen in CLASSES and seen != kind:
        found, asked = (NAMES[CLASSES[each]] for each in (seen, kind))
        raise ModelError(
            f"this folder holds {found}, and {asked} was asked for",
            where=path,
            seen=f"model_type {seen}",
            allowed=f"model_type {kind}",
            next_step=f"name a model of that kind, or use the parts that read {found}",
        )
