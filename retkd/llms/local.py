"""A language model that transformers runs in this process."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from retkd.answers import Answers, opened
from retkd.batching import default_tokens_per_batch, token_batches
from retkd.llms.base import LLM, NextToken, Session, in_batches
from retkd.parts import LanguageModel
from retkd.progress import track
from retkd.prompt import Prompt
from retkd.stage import Inputs, Model, Runtime

if TYPE_CHECKING:
    from retkd.matchers.causal_model import CausalModel


class OwnWeights(LLM):
    """What models have in common whose weights are here."""

    model: LanguageModel
    template: Literal["chat", "plain"] = Field(
        default="chat", description="chat: the tokeniser's chat template. plain: the text as it is, to be continued"
    )
    template_options: dict[str, Any] = Field(
        default={}, description="given to the chat template, such as {enable_thinking: false}"
    )

    def identity(self, digest: str) -> dict[str, Any]:
        """The part as data, with the weights in the place of their name."""
        return {**self.model_dump(mode="json"), "model": digest}


class Transformers(OwnWeights):
    """A causal language model: a folder, a GGUF file in a folder, ``package:NAME`` or a hub id."""

    kind: Literal["transformers"] = "transformers"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"

    @contextmanager
    def opened(self, inputs: Inputs) -> Iterator["LocalSession"]:
        """The model; its weights are loaded with the first question."""
        model = inputs.models[self.model]
        with opened(inputs.store / "answers" / f"{model.digest[:24]}.jsonl") as answers:
            yield LocalSession(self, model, answers, inputs.runtime)


class LocalSession(Session):
    """Answers in batches by tokens. Completions are stored; log-probabilities are quickly made again."""

    def __init__(self, llm: Transformers, model: Model, answers: Answers, runtime: Runtime) -> None:
        super().__init__(llm.identity(model.digest), answers)
        self.llm, self.weights, self.runtime = llm, model, runtime

    @cached_property
    def causal(self) -> "CausalModel":
        """The loaded model."""
        from retkd.matchers.causal_model import CausalModel
        from retkd.resources import device

        where = device(self.runtime.device, self.runtime.threads)
        return CausalModel.load(self.weights.path, where, self.llm.precision)

    def next_token(self, prompts: Sequence[Prompt], words: Sequence[str]) -> NextToken:
        """Exact log-probabilities; what prompts with one ``head`` have in common is read once."""
        from retkd.matchers.causal_model import word_tokens

        rows = self._rows(prompts, 1)
        tokens = word_tokens(self.causal.tokenizer, words, self.weights.ref)
        groups: dict[tuple[str, str], list[int]] = {}
        for position, prompt in enumerate(prompts):
            groups.setdefault((prompt.system, prompt.head), []).append(position)
        values = self.causal.next_token(rows, list(groups.values()), tokens, self.runtime.tokens_per_batch)
        self.num_new += len(prompts)
        return NextToken(values, np.full(len(prompts), -np.inf))

    def complete(self, prompts: Sequence[Prompt], max_tokens: int, label: str) -> list[str]:
        """Greedy answers, stored batch by batch."""

        def ask(asked: dict[str, Prompt]) -> None:
            rows = self._rows(list(asked.values()), max_tokens)
            budget = self.runtime.tokens_per_batch or default_tokens_per_batch(self.causal.model.device.type)
            batches = token_batches([len(row) + max_tokens for row in rows], budget)
            missing = sum(key not in self.answers.known for key in asked)
            with track(label, total=missing) as step:
                for done in in_batches(
                    self, asked, batches, lambda todo: self.causal.complete([rows[i] for i in todo], max_tokens)
                ):
                    step(done)

        return [str(answer["text"]) for answer in self.stored(prompts, {"max_tokens": max_tokens}, ask)]

    def _rows(self, prompts: Sequence[Prompt], max_tokens: int) -> list[list[int]]:
        from retkd.matchers.causal_model import prompt_rows, require_room

        tokenizer, where = self.causal.tokenizer, self.weights.ref
        rows = prompt_rows(tokenizer, prompts, self.llm.template, self.llm.template_options, where)
        require_room(rows, max_tokens, self.causal.max_length, where)
        return rows
