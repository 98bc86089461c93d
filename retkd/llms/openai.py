"""A language model behind an HTTP API that speaks OpenAI's chat protocol: OpenAI, vLLM, llama.cpp, Ollama and others."""

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import numpy as np
from pydantic import Field

from retkd.answers import Answer, Answers, opened
from retkd.chat_api import ChatApi, StoppedError
from retkd.digests import digest_of
from retkd.errors import ModelError
from retkd.llms.base import LEAST, LLM, NextToken, Session
from retkd.progress import track
from retkd.prompt import Prompt
from retkd.stage import Inputs
from retkd.token_budget import TokenBudget

TOLD = 20
"""How many of the most likely tokens are asked for: the protocol's most."""


class OpenAI(LLM):
    """Chat completions at ``base_url``. How many requests at once, time limits and the budget are `runtime.api`."""

    kind: Literal["openai"] = "openai"
    base_url: str = Field(pattern=r"^https?://", description="up to and with /v1")
    model: str = Field(description="the server's name for it")
    api_key_env: str | None = Field(
        default="OPENAI_API_KEY", description="the environment variable that holds the key; null: the server needs none"
    )
    seed: int | None = Field(default=0, description="sent with each request; null: not sent")
    extra: dict[str, Any] = Field(
        default={}, description="further keys of the request; null takes one away, such as {temperature: null}"
    )

    @contextmanager
    def opened(self, inputs: Inputs) -> Iterator["ApiSession"]:
        """The API. Raises :class:`ModelError` when the variable with the key is not set, or holds what no header can."""
        key = self._key()
        name = digest_of([self.base_url, self.model])[:24]
        with opened(inputs.store / "answers" / f"{name}.jsonl") as answers:
            yield ApiSession(self, answers, ChatApi(self.base_url, key, inputs.runtime.api))

    def _key(self) -> str | None:
        if self.api_key_env is None:
            return None
        if not os.environ.get(self.api_key_env):
            raise ModelError(
                f"the API key is missing: the environment variable {self.api_key_env} is not set",
                where=f"llm {self.model} at {self.base_url}",
                next_step=f"export {self.api_key_env}=..., or set `api_key_env: null` for a server that needs no key",
            )
        key = os.environ[self.api_key_env]
        unfit = [place for place, character in enumerate(key, 1) if not "!" <= character <= "~"]
        if unfit:
            raise ModelError(
                f"the API key in the environment variable {self.api_key_env} cannot stand in the header of a request",
                where=f"llm {self.model} at {self.base_url}",
                seen=f"a blank, the end of a line or no ASCII at place {unfit[0]} of {len(key)}",
                next_step=f"export {self.api_key_env}=... without what was copied along with it",
            )
        return key


class ApiSession(Session):
    """Asks the API with several requests at once; each answer is stored before its thread asks again."""

    def __init__(self, llm: OpenAI, answers: Answers, api: ChatApi) -> None:
        super().__init__(llm.model_dump(mode="json", exclude={"api_key_env"}), answers)
        self.llm, self.api = llm, api
        self.budget = TokenBudget(api.settings.max_total_tokens, lambda: answers.tokens_spent)

    def next_token(self, prompts: Sequence[Prompt], words: Sequence[str]) -> NextToken:
        """Log-probabilities among the :data:`TOLD` most likely tokens. Tokens that differ in blanks alone count as one."""
        settings = {"max_tokens": 1, "logprobs": True, "top_logprobs": TOLD}
        answers = self._asked(prompts, settings, self._top_tokens, None)
        values = np.array([[_log_sum(answer["top"], word) for word in words] for answer in answers])
        floors = np.array([min(float(logprob) for _, logprob in answer["top"]) for answer in answers])
        return NextToken(values.reshape(len(prompts), len(words)), floors)

    def complete(self, prompts: Sequence[Prompt], max_tokens: int, label: str) -> list[str]:
        """Answers at temperature 0; one without text is empty."""
        answers = self._asked(prompts, {"max_tokens": max_tokens}, lambda choice: {"text": _text(choice)}, label)
        return [str(answer["text"]) for answer in answers]

    def _asked(
        self,
        prompts: Sequence[Prompt],
        settings: Mapping[str, Any],
        read: Callable[[Mapping[str, Any]], Answer],
        label: str | None,
    ) -> list[Answer]:
        """Stored answers; what is missing is asked for, with progress under ``label`` when there is one."""

        def ask(asked: dict[str, Prompt]) -> None:
            missing = [(key, prompt) for key, prompt in asked.items() if key not in self.answers.known]
            with _progress(label, len(missing)) as step:
                self._at_once(missing, lambda key, prompt: self._one(key, prompt, settings, read), step)

        return self.stored(prompts, settings, ask)

    def _at_once(
        self,
        missing: list[tuple[str, Prompt]],
        one: Callable[[str, Prompt], None],
        step: Callable[[int], None],
    ) -> None:
        """Run every request in a few threads. The first failure ends it: what is in flight still gets stored."""
        failures: list[BaseException] = []

        def guarded(key: str, prompt: Prompt) -> None:
            try:
                one(key, prompt)
            except BaseException as error:
                if not isinstance(error, StoppedError):
                    failures.append(error)
                self._stop()
                raise

        with ThreadPoolExecutor(self.api.settings.requests) as pool:
            futures = [pool.submit(guarded, key, prompt) for key, prompt in missing]
            try:
                for future in as_completed(futures):
                    future.result()
                    step(1)
            except BaseException as error:
                self._stop()
                pool.shutdown(cancel_futures=True)
                raise (failures[0] if failures else error) from None

    def _stop(self) -> None:
        self.api.stopped.set()
        self.budget.stop()

    def _one(
        self, key: str, prompt: Prompt, settings: Mapping[str, Any], read: Callable[[Mapping[str, Any]], Answer]
    ) -> None:
        if self.api.stopped.is_set():
            raise StoppedError
        body = {"model": self.llm.model, "messages": prompt.messages, "temperature": 0, "seed": self.llm.seed}
        body = {name: value for name, value in {**body, **settings, **self.llm.extra}.items() if value is not None}
        characters = sum(len(message["content"]) for message in prompt.messages)
        with self.budget.reserved(math.ceil(characters / 4) + int(settings["max_tokens"])):
            reply = self.api.ask(body, key)
            tokens = self._tokens(reply)
            self.budget.cost(tokens)
            try:
                answer = read(self._choice(reply))
            except ModelError:
                self.answers.add({}, tokens)
                raise
            self.answers.add({key: answer}, tokens)

    def _choice(self, reply: Mapping[str, Any]) -> Mapping[str, Any]:
        choices = reply.get("choices")
        if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
            seen = f"{len(choices)} choices" if isinstance(choices, list) else f"choices: {choices!r}"
            raise self._error("the API did not answer with one choice", seen, "one choice")
        return choices[0]

    def _tokens(self, reply: Mapping[str, Any]) -> int:
        usage = reply.get("usage")
        tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
        if isinstance(tokens, int) and tokens >= 0:
            return tokens
        if self.api.settings.max_total_tokens is not None:
            raise self._error("the API does not tell what a request cost", f"usage: {usage!r}", "usage.total_tokens")
        return 0

    def _top_tokens(self, choice: Mapping[str, Any]) -> Answer:
        """The most likely first tokens, as [token, log-probability], none of these below :data:`LEAST`."""
        try:
            told = choice["logprobs"]["content"][0]["top_logprobs"]
            pairs = [(_whole(str(each["token"])), float(each["logprob"])) for each in told]
        except (KeyError, IndexError, TypeError, ValueError):
            pairs = []
        if not pairs or any(math.isnan(logprob) or logprob == math.inf for _, logprob in pairs):
            raise self._error(
                "the API gives no log-probabilities",
                f"logprobs: {choice.get('logprobs')!r}"[:200],
                "choices[0].logprobs.content[0].top_logprobs",
                "use a model that tells them, or a teacher that reads answers, such as llm_listwise",
            )
        return {"top": [[token, max(logprob, LEAST)] for token, logprob in pairs]}

    def _error(self, what: str, seen: str, allowed: str, next_step: str | None = None) -> ModelError:
        where = f"llm {self.llm.model} at {self.llm.base_url}"
        return ModelError(what, where=where, seen=seen, allowed=allowed, next_step=next_step or "look at the server")


def _progress(label: str | None, total: int) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda units: None) if label is None else track(label, total)


def _text(choice: Mapping[str, Any]) -> str:
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    return _whole(content) if isinstance(content, str) else ""


def _whole(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair, which no file in UTF-8 holds: an emoji was cut in two."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _log_sum(top: Sequence[Sequence[Any]], word: str) -> float:
    """Log of the summed probability of all told tokens that are ``word`` but for blanks; NaN when there is none."""
    found = [float(logprob) for token, logprob in top if token.strip() == word.strip()]
    return float(np.logaddexp.reduce(found)) if found else math.nan
