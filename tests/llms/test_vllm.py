"""The kind vllm against an engine of its interface: what it is asked, what is made of its answers. vLLM itself needs a GPU."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from retkd.llms.local import Transformers
from retkd.llms.vllm import VLLM
from retkd.matchers.causal_model import CausalModel
from tests.conftest import MakeInputs
from tests.llms.test_local import prompts
from tests.tiny import WORDS
from tests.tiny_llm import tiny_llm

ENGINE = VLLM(model="llm", precision="fp32", max_length=128, tensor_parallel=2)


class Engine:
    """vLLM's offline engine, with transformers inside."""

    made: list["Engine"] = []

    def __init__(self, **settings: Any) -> None:
        self.settings, self.asked = settings, 0
        self.causal = CausalModel.load(Path(settings["model"]), "cpu")
        Engine.made.append(self)

    def get_tokenizer(self) -> Any:
        return self.causal.tokenizer

    def generate(self, rows: list[dict[str, list[int]]], sampling: SimpleNamespace, use_tqdm: bool) -> list[Any]:
        assert (sampling.temperature, use_tqdm) == (0.0, False)
        self.asked += len(rows)
        return [SimpleNamespace(outputs=[self._output(row["prompt_token_ids"], sampling)]) for row in rows]

    def _output(self, row: list[int], sampling: SimpleNamespace) -> SimpleNamespace:
        text = self.causal.complete([row], sampling.max_tokens)[0]
        if getattr(sampling, "logprobs", None) is None:
            return SimpleNamespace(text=text)
        told = self.causal.next_token([row], [[0]], range(len(self.causal.tokenizer)))[0]
        likely = np.argsort(-told)[: sampling.logprobs]
        first = {int(token): SimpleNamespace(logprob=float(told[token])) for token in likely}
        first[int(likely[-1])] = SimpleNamespace(logprob=-np.inf)
        return SimpleNamespace(text=text, logprobs=[first])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(LLM=Engine, SamplingParams=SimpleNamespace))
    monkeypatch.setattr(Engine, "made", [])
    return tiny_llm(tmp_path / "tiny")


def test_answers_are_greedy_and_asked_once(inputs: MakeInputs, folder: Path) -> None:
    ready, asked = inputs(models={"llm": folder}), prompts(5)
    with Transformers(model="llm").opened(ready) as session:
        expected = session.complete(asked, 6, "ask")
    for num_new in (5, 0):
        with ENGINE.opened(ready) as session:
            assert session.complete(asked, 6, "ask") == expected
            assert session.num_new == num_new
    assert Engine.made[0].asked == 5
    assert {key: Engine.made[0].settings[key] for key in ("dtype", "max_model_len", "tensor_parallel_size")} == {
        "dtype": "float32",
        "max_model_len": 128,
        "tensor_parallel_size": 2,
    }


def test_words_have_the_log_probabilities_of_their_first_tokens(inputs: MakeInputs, folder: Path) -> None:
    ready, asked = inputs(models={"llm": folder}), prompts(4)
    with Transformers(model="llm").opened(ready) as session:
        exact = session.next_token(asked, WORDS).values
    with ENGINE.opened(ready) as session:
        told = session.next_token(asked, WORDS)
    likely = ~np.isnan(told.values) & (told.values > -100)
    assert likely.any()
    assert not likely.all()
    np.testing.assert_allclose(told.values[likely], exact[likely], atol=1e-5)
    assert (told.floors == -100).all(), "minus infinity is no number to learn from"
