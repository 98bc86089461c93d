"""Tiny random models of the architectures that a student is likely to come from."""

from typing import Any

SHAPE = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "bert": SHAPE,
    "distilbert": {"vocab_size": 50, "dim": 16, "n_layers": 4, "n_heads": 2, "hidden_dim": 32},
    "xlm-roberta": SHAPE,
    "mpnet": SHAPE,
    "deberta-v2": SHAPE,
    "modernbert": {**SHAPE, "cls_token_id": 1, "sep_token_id": 2, "local_attention": 4},
    "qwen3": {**SHAPE, "num_key_value_heads": 2, "head_dim": 8},
}


def made(kind: str, **changes: Any) -> Any:
    """A random model of four layers, in eval mode."""
    import torch
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(0)
    return AutoModel.from_config(AutoConfig.for_model(kind, **{**ARCHITECTURES.get(kind, SHAPE), **changes})).eval()
