"""New numbers for the tokens of a saved tokeniser: those that stay, in the order that they had."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retkd.errors import ModelError
from retkd.students.merges import without_lost

BYTE_LEVEL = "byte-level BPE without prefixes or suffixes"
KINDS = ("WordPiece", "Unigram", "WordLevel", BYTE_LEVEL)


def renumbered(folder: Path, kept: Sequence[int], where: str) -> None:
    """Leave the tokens ``kept``, rising, in ``tokenizer.json``; token ``kept[i]`` gets the number ``i``.

    Raises :class:`ModelError` for other BPE: its tokens are built from other letters than those of the bytes.
    """
    path = folder / "tokenizer.json"
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    kind = _kind(told) if told else "no tokenizer.json"
    if kind not in KINDS:
        raise ModelError(
            "the vocabulary of this tokeniser cannot be trimmed",
            where=where,
            seen=kind,
            allowed=" or ".join(KINDS),
            next_step="leave the step `vocabulary` out, or choose a base with such a tokeniser",
        )
    new = {old: number for number, old in enumerate(kept)}
    told["model"] = _model(told["model"], new)
    told["added_tokens"] = [{**token, "id": new[token["id"]]} for token in told["added_tokens"]]
    if told.get("post_processor"):
        told["post_processor"] = _processor(told["post_processor"], new)
    if told.get("padding"):
        told["padding"]["pad_id"] = new[told["padding"]["pad_id"]]
    path.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    _renumber_config(folder / "tokenizer_config.json", new)


def _kind(told: Mapping[str, Any]) -> str:
    """The kind of its model, as errors name it."""
    model, first = told["model"], told.get("pre_tokenizer") or {}
    marked = model.get("continuing_subword_prefix") or model.get("end_of_word_suffix")
    bytewise = any(each.get("type") == "ByteLevel" for each in (first, *first.get("pretokenizers", ())))
    return BYTE_LEVEL if model["type"] == "BPE" and bytewise and not marked else str(model["type"])


def _model(model: Mapping[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
    """The vocabulary is a mapping of tokens to numbers, or pairs of token and score in the order of their numbers."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, Mapping):
        own = {token: new[old] for token, old in vocabulary.items() if old in new}
        merges = {"merges": without_lost(model, own)} if "merges" in model else {}
        return {**model, "vocab": own, **merges}
    pieces = [piece for old, piece in enumerate(vocabulary) if old in new]
    unknown = model.get("unk_id")
    return {**model, "vocab": pieces, "unk_id": None if unknown is None else new[unknown]}


def _processor(told: Mapping[str, Any], new: Mapping[int, int]) -> dict[str, Any]:
    """A processor with the new numbers of the special tokens that it adds."""
    match told["type"]:
        case "Sequence":
            return {**told, "processors": [_processor(each, new) for each in told["processors"]]}
        case "TemplateProcessing":
            special = told["special_tokens"].items()
            return {**told, "special_tokens": {n: {**t, "ids": [new[i] for i in t["ids"]]} for n, t in special}}
        case "BertProcessing" | "RobertaProcessing":
            return {**told, **{side: [told[side][0], new[told[side][1]]] for side in ("sep", "cls")}}
    return dict(told)


def _renumber_config(path: Path, new: Mapping[int, int]) -> None:
    told = json.loads(path.read_text(encoding="utf-8"))
    if "added_tokens_decoder" in told:
        told["added_tokens_decoder"] = {str(new[int(old)]): t for old, t in told["added_tokens_decoder"].items()}
        path.write_text(json.dumps(told, indent=2, ensure_ascii=False), encoding="utf-8")
