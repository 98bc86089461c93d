"""Adapters and gradual unfreezing: what is trained, what is published."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError
from retkd.students.dense import Dense
from retkd.students.gradual import Gradual
from retkd.students.lora import Lora
from tests.tiny import tiny_encoder

TEXTS = ["baco difun fuga", "gale", "mi no pa ru"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("models") / "base", layers=2)


def adapted(base: Path, **told: Any) -> tuple[Encoder, Any]:
    torch.manual_seed(0)
    student = Dense(base="base", adaptation=Lora(**told))
    encoder = student.build(base, "cpu")
    return encoder, student.companion(encoder)


def step(encoder: Encoder) -> None:
    """Two steps of gradient descent on all that is trained."""
    trained = [p for p in encoder.model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.5)
    target = torch.randn(3, 32, generator=torch.Generator().manual_seed(1))
    for _ in range(2):
        optimizer.zero_grad()
        (encoder.forward(encoder.tokenize(TEXTS, "document"), "document") * target).sum().backward()
        optimizer.step()


def test_adapters_begin_as_nothing_and_are_all_that_is_trained(base: Path) -> None:
    encoder, _ = adapted(base, rank=4)
    encoder.model.eval()
    assert np.array_equal(encoder.encode(TEXTS, "document"), Encoder.load(base).encode(TEXTS, "document"))
    trained = {name: p for name, p in encoder.model.named_parameters() if p.requires_grad}
    assert all("lora_" in name for name in trained)
    by_layer = 2 * (4 * (32 + 32) * 4 + 2 * 4 * (32 + 64))
    assert sum(p.numel() for name, p in trained.items() if "encoder" in name) == by_layer


def test_the_published_weights_hold_the_adapters(base: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    encoder, companion = adapted(base, rank=4, targets=["query", "value"])
    encoder.model.eval()
    step(encoder)
    trained = encoder.encode(TEXTS, "document")
    assert not np.allclose(trained, Encoder.load(base).encode(TEXTS, "document"), atol=1e-3)
    companion.finish(encoder, tmp_path)
    assert np.allclose(encoder.encode(TEXTS, "document"), trained, atol=1e-5)
    encoder.model.save_pretrained(str(tmp_path / "student"), create_model_card=False)
    names = [path.name for path in (tmp_path / "student").iterdir()]
    assert "model.safetensors" in names
    assert not any("adapter" in name for name in names)
    again = SentenceTransformer(str(tmp_path / "student"), device="cpu")
    assert np.allclose(again.encode_document(TEXTS), trained, atol=1e-5)
    assert sum(p.numel() for p in again.parameters()) == sum(p.numel() for p in Encoder.load(base).model.parameters())


def test_a_kept_adapter_fits_the_base(base: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    encoder, companion = adapted(base, rank=2, keep_adapter=True)
    encoder.model.eval()
    step(encoder)
    trained = encoder.encode(TEXTS, "document")
    companion.finish(encoder, tmp_path)
    assert sorted(p.name for p in (tmp_path / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    other = Encoder.load(base)
    other.model[0].model = PeftModel.from_pretrained(other.model[0].auto_model, str(tmp_path / "adapter"))
    other.model.eval()
    assert np.allclose(other.encode(TEXTS, "document"), trained, atol=1e-5)
    with pytest.raises(ValidationError, match="`keep_adapter` needs the whole base"):
        Dense(base="base", layers=[0], adaptation=Lora(keep_adapter=True))


def test_modules_that_are_not_there(base: Path) -> None:
    with pytest.raises(ModelError) as error:
        adapted(base, targets=["q_proj"])
    assert str(error.value) == (
        "the student has no such modules to adapt\n"
        "  where: student.adaptation of base\n"
        "  seen: ['q_proj']\n"
        "  allowed: all-linear, or some of dense, key, query, value"
    )


def test_blocks_are_unfrozen_from_the_last_layer_to_the_embeddings(base: Path) -> None:
    student = Dense(base="base", adaptation=Gradual(until=0.8))
    encoder = student.build(base, "cpu")
    companion = student.companion(encoder)
    assert companion is not None
    transformer = encoder.model[0].auto_model
    parts = {"1": transformer.encoder.layer[1], "0": transformer.encoder.layer[0], "e": transformer.embeddings}

    def trained(progress: float) -> str:
        companion.begin(progress)
        found = {name: {p.requires_grad for p in part.parameters()} for name, part in parts.items()}
        assert all(len(each) == 1 for each in found.values())
        assert all(p.requires_grad for p in transformer.pooler.parameters())
        return "".join(name for name, each in found.items() if True in each)

    assert [trained(p) for p in (0.0, 0.39, 0.4, 0.79, 0.8, 1.0)] == ["1", "1", "10", "10", "10e", "10e"]
    assert [trained(p) for p in (0.0,)] == ["1"]


def test_frozen_embeddings_stay_frozen(base: Path) -> None:
    student = Dense(base="base", freeze_embeddings=True, adaptation=Gradual())
    encoder = student.build(base, "cpu")
    companion = student.companion(encoder)
    assert companion is not None
    companion.begin(1.0)
    transformer = encoder.model[0].auto_model
    assert not transformer.get_input_embeddings().weight.requires_grad
    assert transformer.embeddings.position_embeddings.weight.requires_grad
