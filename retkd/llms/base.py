"""What every language model can do: complete a prompt greedily, and say how likely given answers are as its next token."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from retkd.answers import Answer, Answers, answer_key
from retkd.parts import Part
from retkd.prompt import Prompt
from retkd.stage import Inputs

LEAST = -100.0
"""Servers tell a probability of 0 as minus infinity or -9999, which are no numbers to learn from."""


@dataclass(frozen=True)
class NextToken:
    """Log-probabilities of given answers as the next token.

    ``values`` float64 ``[prompt, answer]``; NaN where the model tells only its most likely tokens and the answer is none
    of them. It is then less likely than ``floors`` ``[prompt]``, the least likely token that was told.
    """

    values: np.ndarray
    floors: np.ndarray


class LLM(Part):
    """A language model in a recipe."""

    def opened(self, inputs: Inputs) -> "AbstractContextManager[Session]":
        """The model, ready to be asked. Nothing heavy is loaded before a question that has no stored answer."""
        raise NotImplementedError


class Session:
    """A model that is being asked. ``num_new`` counts answers that were not in the store, ``tokens`` what they cost.

    ``identity`` is plain data that names the model and all settings that change an answer.
    """

    def __init__(self, identity: Mapping[str, Any], answers: Answers) -> None:
        self.identity = dict(identity)
        self.answers = answers
        self.num_new = 0
        self._tokens_before = answers.tokens_spent

    @property
    def tokens(self) -> int:
        """Tokens that the server counted since the session began; 0 for a model of one's own."""
        return self.answers.tokens_spent - self._tokens_before

    @abstractmethod
    def next_token(self, prompts: Sequence[Prompt], words: Sequence[str]) -> NextToken:
        """How likely each word is as the first token of the answer to each prompt."""

    @abstractmethod
    def complete(self, prompts: Sequence[Prompt], max_tokens: int, label: str) -> list[str]:
        """The greedy answer to each prompt, of at most ``max_tokens`` tokens, each stored as soon as it is there."""

    def stored(
        self,
        prompts: Sequence[Prompt],
        settings: Mapping[str, Any],
        ask: Callable[[dict[str, Prompt]], None],
    ) -> list[Answer]:
        """The stored answer to each prompt. ``ask`` gets every distinct prompt by its key and adds what is missing."""
        keys = [answer_key(self.identity, settings, prompt.messages) for prompt in prompts]
        asked = dict(zip(keys, prompts, strict=True))
        missing = [key for key in asked if key not in self.answers.known]
        if missing:
            ask(asked)
            self.num_new += len(missing)
        return [self.answers.known[key] for key in keys]


def in_batches(
    session: Session,
    asked: Mapping[str, Prompt],
    batches: Iterable[Iterable[int]],
    generate: Callable[[list[int]], list[str]],
) -> Iterator[int]:
    """Generate batch by batch and store each batch as one line; the number of prompts that each brought further.

    ``batches`` covers all prompts in ``asked``, known or not, so that a run that was cut short forms the same batches,
    and gets the same bits, as one that was not.
    """
    keys = list(asked)
    for batch in batches:
        todo = [int(i) for i in batch if keys[i] not in session.answers.known]
        if todo:
            texts = generate(todo)
            session.answers.add({keys[i]: {"text": text} for i, text in zip(todo, texts, strict=True)})
        yield len(todo)
