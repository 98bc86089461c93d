"""Load a cross-encoder so that its scores are the ones it was trained to give, or say why that cannot be."""

import json
from pathlib import Path
from typing import Any, Literal

from retkd.errors import ModelError

Precision = Literal["fp32", "bf16", "fp16"]
Attention = Literal["auto", "sdpa", "flash"]


def load_model(path: Path, device: str, precision: Precision = "fp32", attention: Attention = "auto") -> Any:
    """A sequence-classification model, or a :class:`SegmentCrossEncoder` where the folder holds one; in eval mode.

    Raises :class:`ModelError` where the folder has no trained head, or modules that such a model leaves out.
    """
    from transformers import AutoModelForSequenceClassification

    from retkd.matchers.segment_head import SegmentCrossEncoder

    loading: dict[str, Any] = {"dtype": dtype_of(precision)}
    if attention != "auto":
        loading["attn_implementation"] = "sdpa" if attention == "sdpa" else _flash(path, device, precision)
    _require_one_module(path)
    _require_a_head_of_pairs(path)
    if (path / SegmentCrossEncoder.HEAD_FILE).is_file():
        return SegmentCrossEncoder.load(path, **loading).to(device).eval()
    model, told = AutoModelForSequenceClassification.from_pretrained(str(path), output_loading_info=True, **loading)
    if told["missing_keys"]:
        raise ModelError(
            "the folder has no trained head that scores a pair",
            where=path,
            seen="no weights for " + ", ".join(sorted(told["missing_keys"])[:4]),
            allowed="a sequence-classification model, or what a stage of kind teach publishes",
            consequence="its scores would be random",
            next_step="choose a re-ranker, or train one with a stage of kind teach",
        )
    return model.to(device).eval()


def load_tokenizer(path: Path, model: Any) -> Any:
    """Its tokeniser, with the padding token that the model knows.

    A decoder reads its score at the last token that is no padding, so the two must agree on which one that is.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(path))
    config = model.config.get_text_config()
    if tokenizer.pad_token_id is None and config.pad_token_id is not None:
        tokenizer.pad_token_id = config.pad_token_id
    if tokenizer.pad_token_id is None:
        raise ModelError(
            "neither the tokeniser nor the model names a padding token",
            where=path,
            consequence="pairs of unequal length cannot be scored together",
            next_step='name one that the model never reads: "pad_token" in tokenizer_config.json, and its number as '
            '"pad_token_id" in config.json',
        )
    config.pad_token_id = tokenizer.pad_token_id
    return tokenizer


def dtype_of(precision: Precision) -> Any:
    """The torch type."""
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _require_a_head_of_pairs(path: Path) -> None:
    """Raise :class:`ModelError` for the other heads that `teach` trains, naming the teacher that reads them."""
    from retkd.matchers.beca import Beca
    from retkd.matchers.uni_encoder import UniEncoder

    for head, kind in ((UniEncoder.HEAD_FILE, "uni_encoder"), (Beca.HEAD_FILE, "beca")):
        if (path / head).is_file():
            raise ModelError(
                "this folder holds no cross-encoder",
                where=path,
                seen=head,
                allowed="a sequence-classification model, or one that teach trained with head classifier or segments",
                next_step=f"use the teacher kind {kind}",
            )


def _require_one_module(path: Path) -> None:
    file = path / "modules.json"
    kinds = [str(m["type"]).rpartition(".")[2] for m in json.loads(file.read_text())] if file.is_file() else []
    if len(kinds) > 1:
        raise ModelError(
            "this cross-encoder goes on after its transformer, with modules that are not read here",
            where=file,
            seen=", ".join(kinds),
            allowed="one sequence-classification transformer",
            consequence="the transformer alone would give other scores",
            next_step="choose a re-ranker that is a sequence-classification model",
        )


def _flash(path: Path, device: str, precision: Precision) -> str:
    """transformers' name of FlashAttention-2, which drops the padding inside each attention."""
    from transformers.utils import is_flash_attn_2_available

    seen, lacking = None, None
    if not device.startswith("cuda"):
        seen, lacking = f"the device {device}", "it runs on CUDA"
    elif precision == "fp32":
        seen, lacking = "precision fp32", "it computes in bf16 or fp16"
    elif not is_flash_attn_2_available():
        lacking = "the package flash-attn is not installed"
    if lacking:
        raise ModelError(
            f"attention: flash cannot be used: {lacking}",
            where=path,
            seen=seen,
            next_step="set attention: auto, or give it a CUDA device, precision: bf16 and pip install flash-attn",
        )
    return "flash_attention_2"


def require_head(folder: Path, file: str, name: str, next_step: str) -> None:
    """Raise :class:`ModelError` when a folder lacks the file that only a model of this name has."""
    if not (folder / file).is_file():
        raise ModelError(
            f"this folder holds no {name}", where=folder, allowed=f"a folder with {file}", next_step=next_step
        )
