"""A cross-encoder folder is read as it was meant, or refused: never with a random head or another padding."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from retkd.errors import ModelError
from retkd.matchers.cross_encoder import PairScorer
from retkd.matchers.pair_models import load_model, load_tokenizer
from tests.tiny import WORDS, tiny_bert, tiny_cross_encoder, tiny_tokenizer

PAIRS = [("baco", "gale lemi nopa"), ("difun " * 5, "gale"), ("baco gale", " ".join(WORDS[:20]))]


def tiny_decoder(folder: Path, model_pad: int | None, tokenizer_pad: bool) -> Path:
    """A random Qwen3 that reads its score at the last token that is no padding."""
    from transformers import Qwen3Config, Qwen3ForSequenceClassification

    tokenizer = tiny_tokenizer(WORDS, 64)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=32,
        num_labels=1,
        pad_token_id=model_pad,
        initializer_range=0.5,
    )
    torch.manual_seed(0)
    Qwen3ForSequenceClassification(config).save_pretrained(folder)
    if not tokenizer_pad:
        tokenizer.pad_token = None
    tokenizer.save_pretrained(folder)
    return folder


def test_an_encoder_without_a_head_is_no_judge(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "encoder", 0, 2, 32, WORDS, 64)
    with pytest.raises(ModelError) as error:
        PairScorer.load(folder, "cpu", 64, 16)
    assert str(error.value) == (
        "the folder has no trained head that scores a pair\n"
        f"  where: {folder}\n"
        "  seen: no weights for classifier.bias, classifier.weight\n"
        "  allowed: a sequence-classification model, or what a stage of kind teach publishes\n"
        "  consequence: its scores would be random\n"
        "  next step: choose a re-ranker, or train one with a stage of kind teach"
    )


def test_a_folder_that_sentence_transformers_saved_is_read(tmp_path: Path) -> None:
    """Its prompt goes before the query; its activation (here a sigmoid) is left out: scores are raw."""
    from sentence_transformers import CrossEncoder

    peer = CrossEncoder(
        str(tiny_cross_encoder(tmp_path / "plain")),
        device="cpu",
        prompts={"ask": "baco difun "},
        default_prompt_name="ask",
        activation_fn=torch.nn.Sigmoid(),
    )
    peer.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    found = PairScorer.load(tmp_path / "saved", "cpu", 96, 32).score(PAIRS)
    chances = peer.predict(PAIRS, show_progress_bar=False)
    assert found == pytest.approx(np.log(chances / (1 - chances)), abs=1e-4)
    without = peer.predict(PAIRS, prompt="", activation_fn=torch.nn.Identity(), show_progress_bar=False)
    assert np.abs(found - without).max() > 0.01


def test_modules_after_the_transformer_are_not_left_out_in_silence(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "model")
    kinds = ["sentence_transformers.base.modules.transformer.Transformer", "sentence_transformers.x.LogitScore"]
    modules = [{"idx": i, "name": str(i), "path": "", "type": kind} for i, kind in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ModelError) as error:
        load_model(folder, "cpu")
    assert "this cross-encoder goes on after its transformer, with modules that are not read here" in str(error.value)
    assert "seen: Transformer, LogitScore" in str(error.value)


@pytest.mark.parametrize(("model_pad", "tokenizer_pad"), [(None, True), (0, False), (7, True)])
def test_a_decoder_scores_a_pair_alone_as_among_longer_ones(
    tmp_path: Path, model_pad: int | None, tokenizer_pad: bool
) -> None:
    """Whichever of the two names the padding token, and where they differ."""
    scorer = PairScorer.load(tiny_decoder(tmp_path / "model", model_pad, tokenizer_pad), "cpu", 64, 16)
    alone = [float(scorer.score([pair])[0]) for pair in PAIRS]
    assert scorer.score(PAIRS) == pytest.approx(alone, abs=1e-5)
    assert np.ptp(alone) > 0.01


def test_a_decoder_without_any_padding_token_is_refused(tmp_path: Path) -> None:
    folder = tiny_decoder(tmp_path / "model", None, tokenizer_pad=False)
    with pytest.raises(ModelError) as error:
        PairScorer.load(folder, "cpu", 64, 16)
    assert str(error.value) == (
        "neither the tokeniser nor the model names a padding token\n"
        f"  where: {folder}\n"
        "  consequence: pairs of unequal length cannot be scored together\n"
        '  next step: name one that the model never reads: "pad_token" in tokenizer_config.json, and its number as '
        '"pad_token_id" in config.json'
    )


def test_attention_sdpa_gives_the_same_scores(cross_encoder_folder: Path) -> None:
    one, other = (PairScorer.load(cross_encoder_folder, "cpu", 96, 32, attention=a) for a in ("auto", "sdpa"))
    assert other.model.config._attn_implementation == "sdpa"
    assert other.score(PAIRS) == pytest.approx(one.score(PAIRS), abs=1e-5)


@pytest.mark.parametrize(
    ("device", "precision", "told"),
    [
        ("cpu", "bf16", "it runs on CUDA\n  where: {}\n  seen: the device cpu"),
        ("cuda", "fp32", "it computes in bf16 or fp16\n  where: {}\n  seen: precision fp32"),
        ("cuda", "bf16", "the package flash-attn is not installed\n  where: {}"),
    ],
)
def test_flash_attention_says_what_it_lacks(cross_encoder_folder: Path, device: str, precision: Any, told: str) -> None:
    from transformers.utils import is_flash_attn_2_available

    if is_flash_attn_2_available() and (device, precision) == ("cuda", "bf16"):
        pytest.skip("flash-attn is installed here")
    with pytest.raises(ModelError) as error:
        load_model(cross_encoder_folder, device, precision, "flash")
    assert str(error.value) == (
        f"attention: flash cannot be used: {told.format(cross_encoder_folder)}\n"
        "  next step: set attention: auto, or give it a CUDA device, precision: bf16 and pip install flash-attn"
    )


def test_the_tokenisers_padding_wins_and_the_model_is_told(tmp_path: Path, cross_encoder_folder: Path) -> None:
    folder = shutil.copytree(cross_encoder_folder, tmp_path / "copy")
    model = load_model(folder, "cpu")
    model.config.pad_token_id = 5
    tokenizer = load_tokenizer(folder, model)
    assert model.config.pad_token_id == tokenizer.pad_token_id == 0
