"""The head for words: the base's own where it has one that fits, as transformers computes it; else a new one."""

from pathlib import Path
from typing import Any

import pytest
import torch

from retkd.encoders.encoder import Encoder
from retkd.training.word_head import new_head, own_head, word_head
from tests.architectures import ARCHITECTURES, SHAPE
from tests.tiny import tiny_encoder

IDS = torch.tensor([[5, 6, 7, 8, 9], [6, 9, 10, 3, 4]])
KINDS = ("bert", "distilbert", "xlm-roberta", "mpnet", "modernbert", "deberta-v2", "electra", "albert")


def word_model(kind: str, **changes: Any) -> Any:
    """A random masked language model, whose biases are not zero."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **{**ARCHITECTURES.get(kind, SHAPE), **changes})
    model = AutoModelForMaskedLM.from_config(config).eval()
    for name, parameter in model.named_parameters():
        if "embeddings" not in name:
            parameter.data += 0.05 * torch.randn(parameter.shape)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_the_bases_own_head_gives_the_logits_of_transformers(kind: str, tmp_path: Path) -> None:
    from transformers import AutoModel

    whole = word_model(kind)
    whole.save_pretrained(tmp_path)
    body = AutoModel.from_pretrained(tmp_path).eval()
    head = own_head(body, tmp_path)
    assert head is not None
    with torch.no_grad():
        assert torch.equal(head(body(input_ids=IDS).last_hidden_state), whole(input_ids=IDS).logits)
    assert head.decoder.weight is body.get_input_embeddings().weight


def test_an_untied_decoder_stays_its_own(tmp_path: Path) -> None:
    from transformers import AutoModel

    whole = word_model("bert", tie_word_embeddings=False)
    whole.save_pretrained(tmp_path)
    body = AutoModel.from_pretrained(tmp_path).eval()
    head = own_head(body, tmp_path)
    assert head is not None
    assert head.decoder.weight is not body.get_input_embeddings().weight
    assert torch.equal(head.decoder.weight, whole.get_output_embeddings().weight)


def test_a_base_without_a_head_of_another_width_or_of_other_words_lends_none(tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModel

    word_model("bert").save_pretrained(tmp_path / "whole")
    body = AutoModel.from_pretrained(tmp_path / "whole")
    body.save_pretrained(tmp_path / "bare")
    assert own_head(body, tmp_path / "bare") is None
    for changes in ({"hidden_size": 8}, {"vocab_size": 49}):
        assert own_head(word_model("bert", **changes).bert, tmp_path / "whole") is None
    causal = AutoConfig.for_model("qwen3", **ARCHITECTURES["qwen3"])
    AutoModel.from_config(causal).save_pretrained(tmp_path / "causal")
    assert own_head(body, tmp_path / "causal") is None


def test_a_new_head_is_tied_to_the_word_embeddings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    transformer = Encoder.load(tiny_encoder(tmp_path / "base")).model[0].auto_model
    head = word_head(transformer, tmp_path / "base", "org/base")
    assert "mlm: a new head, for org/base has none that fits the student" in capsys.readouterr().err
    assert head.decoder.weight is transformer.get_input_embeddings().weight
    states = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    inner = torch.nn.functional.layer_norm(torch.nn.functional.gelu(head.dense(states)), (32,), eps=1e-12)
    assert torch.allclose(head(states), inner @ transformer.get_input_embeddings().weight.T, atol=1e-6)


def test_a_new_head_behind_narrower_embeddings() -> None:
    electra = word_model("electra", embedding_size=6).electra
    assert new_head(electra)(torch.zeros(2, 16)).shape == (2, 50)
