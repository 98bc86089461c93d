"""A causal model: log-probabilities of the next token with and without shared prefixes, greedy answers."""

from pathlib import Path

import numpy as np
import pytest

from retkd.errors import ModelError
from retkd.matchers.causal_model import CausalModel, prompt_rows, require_room, word_tokens
from retkd.prompt import Prompt
from tests.tiny import WORDS
from tests.tiny_llm import tiny_llm


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llm(tmp_path_factory.mktemp("llm") / "tiny")


@pytest.fixture(scope="module")
def causal(folder: Path) -> CausalModel:
    return CausalModel.load(folder, "cpu")


def made_rows(causal: CausalModel, num: int = 9) -> tuple[list[list[int]], list[list[int]]]:
    """Three groups of prompts with one head of twelve words each, tails of different lengths."""
    rng = np.random.default_rng(0)
    heads = [" ".join(rng.choice(WORDS, 12)) for _ in range(3)]
    prompts = [Prompt(heads[i % 3] + " ", " ".join(rng.choice(WORDS, 1 + i))) for i in range(num)]
    rows = prompt_rows(causal.tokenizer, prompts, "chat", {}, "here")
    return rows, [[i for i in range(num) if i % 3 == head] for head in range(3)]


def plainly(causal: CausalModel, row: list[int]) -> np.ndarray:
    """Log-probabilities of the whole vocabulary by the model called directly on one row."""
    import torch

    with torch.no_grad():
        logits = causal.model(torch.tensor([row])).logits[0, -1]
    return np.asarray(torch.log_softmax(logits.double(), -1).numpy())


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("budget", [64, 4096])
def test_next_token_equals_the_model_called_directly(causal: CausalModel, share: bool, budget: int) -> None:
    rows, groups = made_rows(causal)
    tokens = word_tokens(causal.tokenizer, ["yes", "no"], "here")
    found = causal.next_token(rows, groups, tokens, budget, share)
    assert found == pytest.approx(np.array([plainly(causal, row)[tokens] for row in rows]), abs=1e-4)


def test_a_shared_prefix_is_read_once(causal: CausalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, groups = made_rows(causal)
    read: list[int] = []
    forward = causal.model.forward

    def counted(*args, **kwargs):  # type: ignore[no-untyped-def]
        read.append(kwargs["input_ids"].numel())
        return forward(*args, **kwargs)

    monkeypatch.setattr(causal.model, "forward", counted)
    shared = causal.next_token(rows, groups, [5], 100_000, share=True)
    with_sharing = sum(read)
    read.clear()
    alone = causal.next_token(rows, groups, [5], 100_000, share=False)
    assert with_sharing < 0.75 * sum(read)
    assert shared == pytest.approx(alone, abs=1e-4)


def test_a_sliding_window_is_not_shared(tmp_path: Path) -> None:
    """Keys and values outside the window are gone: such a model reads each prompt whole, with the same result."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    tiny = CausalModel.load(tiny_llm(tmp_path / "llama"), "cpu")
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=len(tiny.tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=8,
        initializer_range=0.3,
    )
    mistral = CausalModel(MistralForCausalLM(config).eval(), tiny.tokenizer)
    assert tiny.can_share
    assert not mistral.can_share
    rows, groups = made_rows(mistral)
    found = mistral.next_token(rows, groups, [5, 6])
    assert found == pytest.approx(np.array([plainly(mistral, row)[[5, 6]] for row in rows]), abs=1e-4)


def test_positions_learned_by_heart(tmp_path: Path) -> None:
    """GPT-2 has a vector per position: rows padded on the left must not shift it."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = CausalModel.load(tiny_llm(tmp_path / "llama"), "cpu").tokenizer
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=256, initializer_range=0.3
    )
    gpt = CausalModel(GPT2LMHeadModel(config).eval(), tokenizer)
    rows, groups = made_rows(gpt)
    for share in (True, False):
        found = gpt.next_token(rows, groups, [5, 6], 4096, share)
        assert found == pytest.approx(np.array([plainly(gpt, row)[[5, 6]] for row in rows]), abs=1e-4)


def test_greedy_answers_do_not_depend_on_the_batch(causal: CausalModel) -> None:
    rows, _ = made_rows(causal)
    together = causal.complete(rows, 7)
    assert together == [causal.complete([row], 7)[0] for row in rows]
    assert len(set(together)) > 1


def test_greedy_follows_the_most_likely_token(causal: CausalModel) -> None:
    row = made_rows(causal)[0][4]
    ids = list(row)
    for _ in range(5):
        ids.append(int(plainly(causal, ids).argmax()))
        if ids[-1] == causal.tokenizer.eos_token_id:
            break
    assert causal.complete([row], 5) == [causal.tokenizer.decode(ids[len(row) :], skip_special_tokens=True)]


def test_what_the_folder_says_of_sampling_is_not_used(tmp_path: Path, causal: CausalModel) -> None:
    from transformers import GenerationConfig

    folder = tiny_llm(tmp_path / "sampling")
    GenerationConfig(do_sample=True, temperature=5.0, repetition_penalty=9.0, eos_token_id=3).save_pretrained(folder)
    other = CausalModel.load(folder, "cpu")
    rows, _ = made_rows(causal)
    assert other.complete(rows, 6) == causal.complete(rows, 6)


def test_the_chat_template_makes_the_prompt(causal: CausalModel) -> None:
    prompt = Prompt("ba", "co", system="no")
    (ids,) = prompt_rows(causal.tokenizer, [prompt], "chat", {}, "here")
    text = "<s> system : no </s> <s> user : baco </s> <s> assistant : "
    assert ids == causal.tokenizer(text)["input_ids"]
    (plain,) = prompt_rows(causal.tokenizer, [prompt], "plain", {}, "here")
    assert plain == causal.tokenizer("no\n\nbaco")["input_ids"]


def test_no_chat_template(tmp_path: Path) -> None:
    tokenizer = CausalModel.load(tiny_llm(tmp_path / "base", chat=False), "cpu").tokenizer
    with pytest.raises(ModelError) as error:
        prompt_rows(tokenizer, [Prompt("ba")], "chat", {}, "base")
    assert str(error.value) == (
        "the language model's tokeniser has no chat template\n"
        "  where: base\n"
        "  allowed: a model tuned to follow instructions\n"
        "  next step: set `template: plain` on the llm if the model shall only continue the text"
    )


def test_an_answer_word_of_several_tokens_is_refused(causal: CausalModel) -> None:
    with pytest.raises(ModelError) as error:
        word_tokens(causal.tokenizer, ["yes", "nope"], "tiny")
    assert "the answer 'nope' is not one token of its own\n  where: tiny\n  seen: " in str(error.value)
    with pytest.raises(ModelError, match="the answer 'Yes' is not one token of its own"):
        word_tokens(causal.tokenizer, ["yes", "Yes"], "tiny")


def test_a_prompt_that_is_too_long_is_refused() -> None:
    with pytest.raises(ModelError) as error:
        require_room([[1] * 10, [1] * 30], 5, 32, "tiny")
    assert str(error.value) == (
        "a prompt and its answer are longer than the language model reads\n"
        "  where: tiny\n"
        "  seen: 35 tokens, 5 of them for the answer\n"
        "  allowed: 32 tokens\n"
        "  next step: lower document_max_characters, or how many documents one prompt holds"
    )
    require_room([[1] * 27], 5, 32, "tiny")


def test_a_folder_with_two_gguf_files(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).touch()
    with pytest.raises(ModelError, match=r"the folder holds several GGUF files\n.*\n  seen: a.gguf, b.gguf"):
        CausalModel.load(tmp_path, "cpu")
