"""A language model that vLLM runs in this process, on GPUs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Literal

import numpy as np
from pydantic import Field

from retkd.answers import Answers, opened
from retkd.errors import MissingExtraError
from retkd.llms.base import LEAST, NextToken, Session, in_batches
from retkd.llms.local import OwnWeights
from retkd.progress import track
from retkd.prompt import Prompt
from retkd.stage import Inputs, Model

TOLD = 20
"""How many of the most likely tokens vLLM is asked to tell."""
AT_ONCE = 256
"""Prompts that are handed to vLLM together, and stored together."""


class VLLM(OwnWeights):
    """As kind ``transformers``, run by vLLM: it batches continuously and shares prefixes itself."""

    kind: Literal["vllm"] = "vllm"
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    max_length: int | None = Field(default=None, ge=64, description="tokens of prompt and answer; default: the model's")
    tensor_parallel: int = Field(default=1, ge=1, description="GPUs that one copy of the model is spread over")

    @contextmanager
    def opened(self, inputs: Inputs) -> Iterator["VLLMSession"]:
        """The model. Raises :class:`MissingExtraError` at once when vLLM is not installed."""
        require_vllm()
        model = inputs.models[self.model]
        with opened(inputs.store / "answers" / f"{model.digest[:24]}-vllm.jsonl") as answers:
            yield VLLMSession(self, model, answers)


def require_vllm() -> Any:
    """The package vllm."""
    try:
        import vllm
    except ImportError as error:
        raise MissingExtraError("vllm", "vllm", "an llm of kind vllm") from error
    return vllm


class VLLMSession(Session):
    """Asks vLLM's offline engine with temperature 0."""

    def __init__(self, llm: VLLM, model: Model, answers: Answers) -> None:
        super().__init__(llm.identity(model.digest), answers)
        self.llm, self.weights = llm, model

    @cached_property
    def engine(self) -> Any:
        """The loaded engine."""
        return require_vllm().LLM(
            model=str(self.weights.path),
            dtype={"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}[self.llm.precision],
            max_model_len=self.llm.max_length,
            tensor_parallel_size=self.llm.tensor_parallel,
            max_logprobs=TOLD,
            enable_prefix_caching=True,
            seed=0,
        )

    def next_token(self, prompts: Sequence[Prompt], words: Sequence[str]) -> NextToken:
        """Log-probabilities among the most likely tokens; an answer that is none of them has none."""
        from retkd.matchers.causal_model import word_tokens

        tokens = word_tokens(self.engine.get_tokenizer(), words, self.weights.ref)
        values, floors = np.full((len(prompts), len(words)), np.nan), np.empty(len(prompts))
        for row, output in enumerate(self._generate(self._rows(prompts, 1), max_tokens=1, logprobs=TOLD)):
            told = {token: max(float(each.logprob), LEAST) for token, each in output.logprobs[0].items()}
            floors[row] = min(told.values())
            values[row] = [told.get(token, np.nan) for token in tokens]
        self.num_new += len(prompts)
        return NextToken(values, floors)

    def complete(self, prompts: Sequence[Prompt], max_tokens: int, label: str) -> list[str]:
        """Greedy answers, stored :data:`AT_ONCE` at a time."""

        def ask(asked: dict[str, Prompt]) -> None:
            rows = self._rows(list(asked.values()), max_tokens)
            batches = [range(start, min(start + AT_ONCE, len(rows))) for start in range(0, len(rows), AT_ONCE)]

            def generate(todo: list[int]) -> list[str]:
                return [str(output.text) for output in self._generate([rows[i] for i in todo], max_tokens=max_tokens)]

            with track(label, total=sum(key not in self.answers.known for key in asked)) as step:
                for done in in_batches(self, asked, batches, generate):
                    step(done)

        return [str(answer["text"]) for answer in self.stored(prompts, {"max_tokens": max_tokens}, ask)]

    def _generate(self, rows: list[list[int]], **settings: Any) -> list[Any]:
        sampling = require_vllm().SamplingParams(temperature=0.0, **settings)
        made = self.engine.generate([{"prompt_token_ids": row} for row in rows], sampling, use_tqdm=False)
        return [each.outputs[0] for each in made]

    def _rows(self, prompts: Sequence[Prompt], max_tokens: int) -> list[list[int]]:
        from retkd.matchers.causal_model import prompt_rows, require_room

        tokenizer, where = self.engine.get_tokenizer(), self.weights.ref
        rows = prompt_rows(tokenizer, prompts, self.llm.template, self.llm.template_options, where)
        require_room(rows, max_tokens, self.llm.max_length, where)
        return rows
