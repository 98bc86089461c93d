"""A tiny real causal language model: a random LLaMA of width 32 with a tokeniser of words and a chat template."""

from collections.abc import Sequence
from pathlib import Path

from tests.tiny import CHARACTERS, WORDS

TEMPLATE = (
    "{% for m in messages %}<s> {{ m['role'] }} : {{ m['content'] }} </s> {% endfor %}"
    "{% if add_generation_prompt %}<s> assistant : {% endif %}"
)
ANSWERS = ("yes", "no", "passage", "relevant", "query", "user", "assistant", "system")


def tiny_llm(
    folder: Path,
    seed: int = 0,
    layers: int = 2,
    dim: int = 32,
    words: Sequence[str] = WORDS,
    max_length: int = 2048,
    chat: bool = True,
    **config: object,
) -> Path:
    """Save a random LLaMA and its tokeniser as a transformers folder; the folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tiny_llm_tokenizer(words, chat)
    settings = {
        "vocab_size": len(tokenizer),
        "hidden_size": dim,
        "intermediate_size": 2 * dim,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": max_length,
        "initializer_range": 0.3,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(LlamaConfig(**{**settings, **config}))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_llm_tokenizer(words: Sequence[str] = WORDS, chat: bool = True):  # type: ignore[no-untyped-def]
    """A WordPiece tokeniser of ``words``, answer words and single characters; it adds nothing to a text."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ("<pad>", "<unk>", "<s>", "</s>")
    pieces = [*special, *CHARACTERS, *("##" + c for c in CHARACTERS), *ANSWERS, *words]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_input_names=["input_ids", "attention_mask"],
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        chat_template=TEMPLATE if chat else None,
    )
