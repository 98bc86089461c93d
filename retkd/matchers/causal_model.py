"""A causal language model of transformers: prompts in, the next token's log-probabilities or a greedy answer out."""

from collections.abc import Sequence
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from retkd.batching import default_tokens_per_batch, token_batches
from retkd.errors import MissingExtraError, ModelError
from retkd.prompt import Prompt

SHORTEST_PREFIX = 8
"""Tokens that prompts must have in common before it pays to read them once."""


class CausalModel:
    """Wraps a loaded model and its tokeniser. Rows are padded on the left."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.pad = next((i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id) if i is not None), 0)
        self.max_length = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self._accepts = set(signature(model.forward).parameters)

    @classmethod
    def load(cls, path: Path, device: str, precision: str = "fp32") -> "CausalModel":
        """Load a folder of transformers, or one that holds a single .gguf file.

        Raises :class:`ModelError` when it is neither, :class:`MissingExtraError` when GGUF cannot be read.
        """
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        which = gguf_file(path)
        tokenizer = AutoTokenizer.from_pretrained(str(path), **which)
        model: Any = AutoModelForCausalLM.from_pretrained(str(path), dtype=dtype, **which)
        return cls(model.to(device).eval(), tokenizer)

    def next_token(
        self,
        rows: Sequence[Sequence[int]],
        groups: Sequence[Sequence[int]],
        tokens: Sequence[int],
        tokens_per_batch: int | None = None,
        share: bool = True,
    ) -> np.ndarray:
        """Float64 log-probabilities ``[row, token]`` of ``tokens`` after each row of token ids.

        The rows of a group (positions in ``rows``) begin alike: with ``share`` the tokens that they have in common are
        read once. Raises :class:`ModelError` on NaN.
        """
        import torch

        budget = tokens_per_batch or default_tokens_per_batch(self.model.device.type)
        found = np.empty((len(rows), len(tokens)), dtype=np.float64)
        alone: list[int] = []
        with torch.inference_mode():
            for group in groups:
                length = common_length([rows[i] for i in group]) if share and self.can_share else 0
                if len(group) < 2 or length < SHORTEST_PREFIX:
                    alone += group
                    continue
                prefix = self._cache(rows[group[0]][:length])
                for batch in token_batches([len(rows[i]) for i in group], budget):
                    chosen = [group[i] for i in batch]
                    found[chosen] = self._after([rows[i][length:] for i in chosen], tokens, prefix, length)
            for batch in token_batches([len(rows[i]) for i in alone], budget):
                chosen = [alone[i] for i in batch]
                found[chosen] = self._after([rows[i] for i in chosen], tokens, None, 0)
        self._require_finite(found)
        return found

    @property
    def can_share(self) -> bool:
        """Whether what the model remembers of a text is keys and values alone: no sliding window, no recurrent state."""
        from transformers.cache_utils import DynamicCache, DynamicLayer

        return all(type(layer) is DynamicLayer for layer in DynamicCache(config=self.model.config).layers)

    def _cache(self, ids: Sequence[int]) -> list[tuple[Any, Any]]:
        import torch
        from transformers.cache_utils import DynamicCache

        cache: Any = DynamicCache(config=self.model.config)
        row = torch.tensor([list(ids)], device=self.model.device)
        self.model(input_ids=row, past_key_values=cache, use_cache=True, **self._last_only())
        return [(layer.keys, layer.values) for layer in cache.layers]

    def _after(
        self, rows: list[Sequence[int]], tokens: Sequence[int], prefix: list[tuple[Any, Any]] | None, length: int
    ) -> np.ndarray:
        import torch
        from transformers.cache_utils import DynamicCache

        ids, mask = self._left_padded(rows)
        features: dict[str, Any] = {"input_ids": ids}
        if "position_ids" in self._accepts:
            features["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0) + length
        if prefix is not None:
            cache = DynamicCache(config=self.model.config)
            for number, (keys, values) in enumerate(prefix):
                cache.update(*(each.expand(len(rows), -1, -1, -1) for each in (keys, values)), number)
            features["past_key_values"] = cache
            mask = torch.cat([mask.new_ones(len(rows), length), mask], dim=1)
        out = self.model(**features, attention_mask=mask, use_cache=prefix is not None, **self._last_only())
        chosen = torch.log_softmax(out.logits[:, -1].double(), dim=-1)[:, list(tokens)]
        return np.asarray(chosen.cpu().numpy())

    def _last_only(self) -> dict[str, int]:
        """Logits of the last position alone, where the model can: all of them take gigabytes."""
        return {"logits_to_keep": 1} if "logits_to_keep" in self._accepts else {}

    def complete(self, rows: list[Sequence[int]], max_tokens: int) -> list[str]:
        """The greedy answer to each row of token ids, without special tokens; what the folder says of sampling is not used."""
        import torch
        from transformers import GenerationConfig

        settings: Any = GenerationConfig
        ids, mask = self._left_padded(rows)
        own = self.model.generation_config
        ends = {self.tokenizer.eos_token_id, *_as_list(own.eos_token_id)} - {None}
        self.model.generation_config = settings(
            bos_token_id=own.bos_token_id, eos_token_id=sorted(ends) or None, pad_token_id=self.pad
        )
        greedy = settings(max_new_tokens=max_tokens, do_sample=False, num_beams=1)
        with torch.inference_mode():
            made = self.model.generate(input_ids=ids, attention_mask=mask, generation_config=greedy)
        return list(self.tokenizer.batch_decode(made[:, ids.shape[1] :], skip_special_tokens=True))

    def _left_padded(self, rows: list[Sequence[int]]) -> tuple[Any, Any]:
        import torch

        width = max(map(len, rows))
        ids = np.full((len(rows), width), self.pad, dtype=np.int64)
        mask = np.zeros((len(rows), width), dtype=np.int64)
        for number, row in enumerate(rows):
            ids[number, width - len(row) :] = row
            mask[number, width - len(row) :] = 1
        return torch.from_numpy(ids).to(self.model.device), torch.from_numpy(mask).to(self.model.device)

    def _require_finite(self, found: np.ndarray) -> None:
        if not np.isfinite(found).all():
            raise ModelError(
                "the language model gave log-probabilities that are not finite",
                seen=f"{(~np.isfinite(found)).any(axis=1).sum():,} of {len(found):,} prompts",
                next_step="run it in fp32 (precision: fp32), or look at the model's weights",
            )


def gguf_file(path: Path) -> dict[str, str]:
    """What transformers must be told to load a GGUF file; nothing for a folder of its own."""
    files = sorted(file.name for file in path.glob("*.gguf"))
    if (path / "config.json").is_file() or not files:
        return {}
    if len(files) > 1:
        raise ModelError(
            "the folder holds several GGUF files",
            where=path,
            seen=", ".join(files),
            allowed="one",
            next_step="put the one that is meant into a folder of its own",
        )
    if find_spec("gguf") is None:
        raise MissingExtraError("gguf", "gguf", "a model in a GGUF file")
    return {"gguf_file": files[0]}


def prompt_rows(
    tokenizer: Any, prompts: Sequence[Prompt], template: str, options: dict[str, Any], where: object
) -> list[list[int]]:
    """Token ids of each prompt: by the tokeniser's chat template, or (``plain``) system and user text one after the other."""
    if template == "plain":
        texts = ["\n\n".join(part for part in (prompt.system, prompt.user) if part) for prompt in prompts]
        return list(tokenizer(texts)["input_ids"])
    if not tokenizer.chat_template:
        raise ModelError(
            "the language model's tokeniser has no chat template",
            where=where,
            allowed="a model tuned to follow instructions",
            next_step="set `template: plain` on the llm if the model shall only continue the text",
        )
    texts = [
        tokenizer.apply_chat_template(prompt.messages, tokenize=False, add_generation_prompt=True, **options)
        for prompt in prompts
    ]
    return list(tokenizer(texts, add_special_tokens=False)["input_ids"])


def word_tokens(tokenizer: Any, words: Sequence[str], where: object) -> list[int]:
    """The token of each answer word. Raises :class:`ModelError` when one is no single token of its own."""
    found = []
    for word in words:
        ids = tokenizer(word, add_special_tokens=False)["input_ids"]
        if len(ids) != 1 or ids[0] == tokenizer.unk_token_id or ids[0] in found:
            raise ModelError(
                f"the answer {word!r} is not one token of its own",
                where=where,
                seen=", ".join(map(repr, tokenizer.convert_ids_to_tokens(ids))) or "no token",
                allowed="a word that the tokeniser has as one token, and another one for each answer",
                next_step="choose other answer words, and name them in the prompt",
            )
        found.append(ids[0])
    return found


def require_room(rows: Sequence[Sequence[int]], max_tokens: int, max_length: int | None, where: object) -> None:
    """Raise :class:`ModelError` when a prompt and its answer exceed the model's length: nothing is cut in silence."""
    longest = max(map(len, rows), default=0) + max_tokens
    if max_length is not None and longest > max_length:
        raise ModelError(
            "a prompt and its answer are longer than the language model reads",
            where=where,
            seen=f"{longest:,} tokens, {max_tokens:,} of them for the answer",
            allowed=f"{max_length:,} tokens",
            next_step="lower document_max_characters, or how many documents one prompt holds",
        )


def common_length(rows: Sequence[Sequence[int]]) -> int:
    """How many tokens all rows begin with, one less than the shortest row at most.

    >>> common_length([[1, 2, 3, 4], [1, 2, 5]]), common_length([[1, 2], [1, 2]])
    (2, 1)
    """
    shortest = min(map(len, rows)) - 1
    first = rows[0]
    for place in range(shortest):
        if any(row[place] != first[place] for row in rows):
            return place
    return shortest


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
