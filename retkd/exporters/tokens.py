"""The tokeniser as one file that the `tokenizers` package, and search stacks built on it, read."""

from pathlib import Path

from retkd.encoders.encoder import Encoder
from retkd.shards import atomic

UNLIMITED = 10**9
"""transformers writes 10^30 for a tokeniser that never cuts."""


def write_tokenizer(encoder: Encoder, path: Path) -> None:
    """Write ``tokenizer.json`` that cuts at the model's length and pads a batch to its longest text."""
    from tokenizers import Tokenizer

    hugging = encoder.model.tokenizer
    tokenizer = Tokenizer.from_str(hugging.backend_tokenizer.to_str())
    length = encoder.model.max_seq_length or hugging.model_max_length
    if length < UNLIMITED:
        tokenizer.enable_truncation(length, direction=hugging.truncation_side)
    tokenizer.enable_padding(
        direction=hugging.padding_side,
        pad_id=hugging.pad_token_id,
        pad_type_id=hugging.pad_token_type_id,
        pad_token=hugging.pad_token,
    )
    with atomic(path) as temporary:
        tokenizer.save(str(temporary))
