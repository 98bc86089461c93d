"""The tokeniser as one file that the `tokenizers` package, and search stacks built on it, read."""

from pathlib import Path
from typing import Any

from retkd.encoders.encoder import Encoder, Side
from retkd.shards import atomic

UNLIMITED = 10**9
"""transformers writes 10^30 for a tokeniser that never cuts."""


def write_tokenizer(encoder: Encoder, side: Side, path: Path) -> int | None:
    """Write ``tokenizer.json`` that cuts at the length of the side's tower and pads a batch to its longest text; that length,
    None where no text is cut."""
    hugging = encoder.tokenizer(side)
    tokenizer = _of_a_transformer(encoder, side) if encoder.reads_tokens(side) else _of_a_table(hugging)
    with atomic(path) as temporary:
        tokenizer.save(str(temporary))
    return tokenizer.truncation["max_length"] if tokenizer.truncation else None


def _of_a_transformer(encoder: Encoder, side: Side) -> Any:
    from tokenizers import Tokenizer

    hugging = encoder.tokenizer(side)
    tokenizer = Tokenizer.from_str(hugging.backend_tokenizer.to_str())
    length = encoder.max_length(side) or hugging.model_max_length
    if length < UNLIMITED:
        tokenizer.enable_truncation(length, direction=hugging.truncation_side)
    tokenizer.enable_padding(
        direction=hugging.padding_side,
        pad_id=hugging.pad_token_id,
        pad_type_id=hugging.pad_token_type_id,
        pad_token=hugging.pad_token,
    )
    return tokenizer


def _of_a_table(static: Any) -> Any:
    """Without markers such as [CLS], which a table's mean leaves out. Which row fills a batch up is all one: it is masked."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(static.to_str())
    tokenizer.post_processor = None
    tokenizer.enable_padding(pad_id=0, pad_token=tokenizer.id_to_token(0))
    return tokenizer
