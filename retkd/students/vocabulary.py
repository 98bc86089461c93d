"""A smaller vocabulary: the tokens that occur in the collection, and the special ones."""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any, Literal

import numpy as np
from pydantic import Field

from retkd.students.inheritance import Inheritance, Texts, reloaded
from retkd.students.merges import pairs, with_parts
from retkd.students.token_ids import renumbered

TEXTS_AT_ONCE = 4096


class Vocabulary(Inheritance):
    """Word embeddings of the tokens that documents and training queries hold, and of no others (BiStil: Ansell et al. 2023).

    Kept besides: special and added tokens, whatever precedes the padding token where positions are counted from it, and
    the characters of all that is kept, so that a word of known letters is never unknown; of byte-level BPE all 256 bytes,
    and what a kept token is merged from. A text whose tokens are all kept has the vector that it had; in another one a
    lost token becomes shorter ones. Tokens are counted over whole texts, beyond the maximum length too.
    """

    kind: Literal["vocabulary"] = "vocabulary"
    min_count: int = Field(default=1, ge=1, description="times that a token must occur")
    coverage: float = Field(
        default=1.0, gt=0.0, le=1.0, description="share of the collection's tokens; the rarest tokens beyond it go"
    )

    def inherit(self, transformer: Any, texts: Texts, where: str) -> Any:
        """The module with fewer tokens, its tokeniser included."""
        tokenizer, model = transformer.tokenizer, transformer.model
        counts = token_counts(tokenizer, texts(), model.get_input_embeddings().num_embeddings)
        found = frequent(counts, self.min_count, self.coverage)
        kept = closed(found | needed(tokenizer, model), tokenizer)
        trim(model, np.array(sorted(kept)))
        return reloaded(transformer, partial(renumbered, kept=sorted(kept), where=where))


def token_counts(tokenizer: Any, texts: Iterator[str], num_tokens: int) -> np.ndarray:
    """How often each token id occurs, special tokens included: int64 ``[token]``. Texts are cut nowhere."""
    counts = np.zeros(num_tokens, dtype=np.int64)
    while block := list(islice(texts, TEXTS_AT_ONCE)):
        encoded = tokenizer(block, truncation=False, padding=False, return_attention_mask=False, verbose=False)
        ids = np.concatenate([np.asarray(row, dtype=np.int64) for row in encoded["input_ids"]])
        counts += np.bincount(ids, minlength=num_tokens)
    return counts


def frequent(counts: np.ndarray, min_count: int, coverage: float) -> set[int]:
    """The most frequent tokens until they make up ``coverage`` of all, none rarer than ``min_count``; ties by id.

    >>> sorted(frequent(np.array([0, 5, 1, 3, 1]), 1, 1.0)), sorted(frequent(np.array([0, 5, 1, 3, 1]), 1, 0.9))
    ([1, 2, 3, 4], [1, 2, 3])
    """
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    chosen = order[(counts[order] >= min_count) & (before < coverage * counts.sum())]
    return {int(token) for token in chosen}


def needed(tokenizer: Any, model: Any) -> set[int]:
    """Special and added tokens, those that the configuration names, and, where :func:`counts_from_padding`, all up to the
    padding token, whose id must then not change."""
    named = {
        value for name, value in vars(model.config).items() if name.endswith("token_id") and isinstance(value, int)
    }
    own = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    first = range((tokenizer.pad_token_id or 0) + 1) if counts_from_padding(model) else ()
    return {token for token in own.union(named, first) if 0 <= token < model.config.vocab_size}


def counts_from_padding(model: Any) -> bool:
    """Whether the architecture counts positions from the padding token's id: then its table of them has a row for padding."""
    from torch.nn import Embedding

    tables = (module for module in model.modules() if isinstance(module, Embedding))
    return any(each.padding_idx is not None for each in tables if each is not model.get_input_embeddings())


def closed(kept: set[int], tokenizer: Any) -> set[int]:
    """``kept`` and what its tokens cannot do without."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    model = json.loads(backend.to_str())["model"] if backend is not None else {"type": None}
    if model["type"] == "BPE":
        return with_parts(kept, tokenizer.get_vocab(), pairs(model))
    return with_characters(kept, tokenizer.get_vocab())


def with_characters(kept: set[int], vocabulary: Mapping[str, int]) -> set[int]:
    """``kept`` and the one-character tokens of its tokens, also as the continuation of a word."""
    letters = {letter for token, number in vocabulary.items() if number in kept for letter in token.removeprefix("##")}
    forms = (vocabulary.get(form) for letter in letters for form in (letter, f"##{letter}", f"▁{letter}"))
    return kept | {number for number in forms if number is not None}


def trim(model: Any, kept: np.ndarray) -> None:
    """Leave the rows ``kept`` of the word embeddings; row ``i`` becomes that of the token ``kept[i]``."""
    import torch

    places = {int(token): place for place, token in enumerate(kept)}
    old = model.get_input_embeddings()
    padding = places.get(old.padding_idx) if old.padding_idx is not None else None
    table = torch.nn.Embedding(len(kept), old.embedding_dim, padding_idx=padding)
    table.weight.data = old.weight.detach()[torch.from_numpy(kept)].clone()
    model.set_input_embeddings(table)
    model.config.vocab_size = len(kept)
    for name, value in list(vars(model.config).items()):
        if name.endswith("token_id") and isinstance(value, int) and value in places:
            setattr(model.config, name, places[value])
