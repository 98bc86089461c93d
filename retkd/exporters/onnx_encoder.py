"""An exported graph, encoded with as a search stack does: onnxruntime, tokenizers and numpy; no torch."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retkd.batching import FEWEST_TOKENS, token_batches
from retkd.exporters.base import Side

COLUMNS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}

PADDING = ("direction", "pad_id", "pad_type_id", "pad_token")


class OnnxTower:
    """Reads ``tokenizer.json`` and ``model.onnx`` of a folder. ``told``: what ``export.json`` says of that graph."""

    def __init__(self, folder: Path, told: Mapping[str, Any], threads: int | None = None) -> None:
        from tokenizers import Tokenizer

        from retkd.graphs import session

        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.session = session(folder / "model.onnx", threads)
        self.padding = {name: (self.tokenizer.padding or {})[name] for name in PADDING}
        self.tokenizer.no_padding()
        self.inputs = [value["name"] for value in told["inputs"]]

    def run(self, encodings: Sequence[Any], width: int) -> np.ndarray:
        """Vectors of one batch, padded to ``width`` tokens."""
        for encoding in encodings:
            encoding.pad(width, **self.padding)
        feeds = {
            name: np.array([getattr(encoding, COLUMNS[name]) for encoding in encodings], dtype=np.int64)
            for name in self.inputs
        }
        return self.session.run(None, feeds)[0]  # type: ignore[no-any-return]


class OnnxEncoder:
    """Reads ``export.json`` of a folder, and the graph in it or both of them, one for queries and one for documents."""

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self.told: dict[str, Any] = json.loads((folder / "export.json").read_text(encoding="utf-8"))
        self.towers: dict[Side, OnnxTower]
        if "towers" in self.told:
            self.towers = {side: OnnxTower(folder / side, told, threads) for side, told in self.told["towers"].items()}
        else:
            tower = OnnxTower(folder, self.told, threads)
            self.towers = {"query": tower, "document": tower}

    def encode(self, texts: Sequence[str], side: Side, tokens_per_batch: int | None = None) -> np.ndarray:
        """Vectors ``[text, dim]`` in float32, in the order of ``texts``."""
        encodings = self.tokenize(texts, side)
        lengths = [len(encoding.ids) for encoding in encodings]
        vectors = np.empty((len(texts), self.told["dim"]), dtype=np.float32)
        for batch in token_batches(lengths, tokens_per_batch or FEWEST_TOKENS):
            vectors[batch] = self.towers[side].run([encodings[i] for i in batch], max(lengths[i] for i in batch))
        return vectors

    def represented(self, texts: Sequence[str], side: Side, tokens_per_batch: int | None = None) -> np.ndarray:
        """As :meth:`encode`."""
        return self.encode(texts, side, tokens_per_batch)

    def tokenize(self, texts: Sequence[str], side: Side) -> list[Any]:
        """The tokeniser's encodings of the texts, prompt included, each without padding."""
        prompt = self.told["prompts"][side]
        return self.towers[side].tokenizer.encode_batch([prompt + text for text in texts])  # type: ignore[no-any-return]
