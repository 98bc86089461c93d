"""Golden vectors: what a search stack must give for some texts once the graph is installed in it."""

from collections.abc import Sequence
from typing import Any

from retkd.exporters.base import Side
from retkd.exporters.onnx_encoder import OnnxEncoder

TEXTS: tuple[tuple[Side, str], ...] = (
    ("query", "read a file line by line"),
    ("query", "What is the capital of Zürich?"),
    ("query", "naïve café, 50 % off!"),
    ("query", "  spaces   and\ttabs\n"),
    ("query", "日本語の検索"),
    ("query", "x"),
    ("document", "def read(path):\n    with open(path) as lines:\n        return [line.rstrip() for line in lines]"),
    ("document", "The quick brown fox jumps over the lazy dog."),
    ("document", "UPPER lower MiXeD 0123456789 a-b_c/d"),
    ("document", "😀 an emoji, a ligature ﬁ, a soft\u00adhyphen"),
    ("document", ""),
    ("document", "a long text that every encoder has to cut somewhere " * 200),
)


def golden(encoder: OnnxEncoder, sides: Sequence[Side]) -> dict[str, Any]:
    """The texts of these sides with their prompt's side, token ids after prompt and cut, and vector to 7 decimals.

    Each text is encoded in a batch of its own. The last one is longer than any model reads.
    """
    cases = []
    for side, text in TEXTS:
        if side not in sides:
            continue
        (tokens,) = encoder.tokenize([text], side)
        (vector,) = encoder.encode([text], side)
        rounded = [round(float(value), 7) for value in vector]
        cases.append({"side": side, "text": text, "input_ids": list(tokens.ids), "vector": rounded})
    prompts = {side: encoder.told["prompts"][side] for side in sides}
    return {"tolerance": 1e-4, "prompts": prompts, "cases": cases}
