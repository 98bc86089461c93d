"""Pruning as it is trained: hooks, settling, and the folder that comes out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError
from retkd.students.dense import Dense
from retkd.students.initialisation import keep_layers
from retkd.students.masks import Masks
from retkd.students.pruning import LayerDistillation, Prune
from retkd.training.collator import Collator
from tests.distilling import examples
from tests.tiny import tiny_encoder

TEXTS = ["baco difun fuga", "gale", "mi no pa ru"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("models") / "base", layers=4)


def pruned(base: Path, **told: Any) -> tuple[Encoder, Masks]:
    encoder = Dense(base="base", dropout=0.0).build(base, "cpu")
    masks = Prune(**{"sparsity": 0.5, **told}).companion(encoder, "base")
    assert isinstance(masks, Masks)
    return encoder, masks


def scatter(masks: Masks, seed: int = 0) -> None:
    """Logits all over, two layers low."""
    torch.manual_seed(seed)
    with torch.no_grad():
        masks.logits.layers.copy_(torch.tensor([3.0, -4.0, 4.0, -3.0]))
        masks.logits.inner.normal_()


def test_masks_of_one_change_nothing(base: Path) -> None:
    encoder, masks = pruned(base)
    encoder.model.train()
    masks.drawn = {"layers": torch.ones(4), "inner": torch.ones(4, 64)}
    found = encoder.forward(encoder.tokenize(TEXTS, "document"), "document")
    assert np.allclose(found.detach().numpy(), Encoder.load(base).encode(TEXTS, "document"), atol=1e-6)


def test_a_layer_of_mask_zero_hands_on_what_it_was_given(base: Path) -> None:
    encoder, masks = pruned(base)
    encoder.model.train()
    masks.drawn = {"layers": torch.tensor([1.0, 0.0, 1.0, 0.0]), "inner": torch.ones(4, 64)}
    found = encoder.forward(encoder.tokenize(TEXTS, "document"), "document").detach().numpy()
    expected = Dense(base="base", layers=[0, 2], dropout=0.0).build(base, "cpu")
    expected.model.eval()
    assert np.allclose(found, expected.encode(TEXTS, "document"), atol=1e-6)


def test_what_is_published_computes_what_the_settled_masks_did(base: Path, tmp_path: Path) -> None:
    """In a smaller folder that sentence-transformers loads; in evaluation the masks are settled at any time."""
    from sentence_transformers import SentenceTransformer

    encoder, masks = pruned(base)
    scatter(masks)
    encoder.model.train()
    masks.begin(1.0)
    columns = encoder.tokenize(TEXTS, "document")
    trained = encoder.forward(columns, "document").detach().numpy()
    encoder.model.eval()
    masks.begin(0.0)
    assert np.array_equal(encoder.encode(TEXTS, "document"), trained)
    settled = masks.settled
    masks.finish(encoder, tmp_path)
    assert np.allclose(encoder.encode(TEXTS, "document"), trained, atol=1e-6)
    encoder.model.save_pretrained(str(tmp_path / "student"), create_model_card=False)
    again: Any = SentenceTransformer(str(tmp_path / "student"), device="cpu")
    assert np.allclose(again.encode_document(TEXTS), trained, atol=1e-6)
    config = again[0].auto_model.config
    assert list(settled) == [0, 2]
    assert (config.num_hidden_layers, config.intermediate_size) == (2, len(settled[0]))

    def in_layers(model: Any) -> int:
        return sum(p.numel() for p in model[0].auto_model.encoder.parameters())

    assert in_layers(again) <= 0.5 * in_layers(Encoder.load(base).model)


def test_the_masks_of_a_step_are_the_same_for_all_its_texts_and_drawn_anew_for_the_next(base: Path) -> None:
    encoder, masks = pruned(base)
    scatter(masks)
    encoder.model.train()
    columns = encoder.tokenize(TEXTS, "document")

    def vectors() -> torch.Tensor:
        return encoder.forward(columns, "document")

    masks.begin(0.1)
    first = vectors()
    assert torch.equal(first, vectors())
    masks.begin(0.1)
    assert not torch.equal(first, vectors())
    masks.begin(0.6)
    settled = vectors()
    masks.begin(0.7)
    assert torch.equal(settled, vectors())


def terms(encoder: Encoder, masks: Masks, progress: float) -> dict[str, torch.Tensor]:
    batch = Collator(encoder)(examples(4))["batch"]
    encoder.model.train()
    masks.begin(progress)
    for chunk in (batch.queries, *batch.documents):
        encoder.model(dict(chunk))
    return masks.terms(batch)


def test_the_pull_raises_the_sparsity_and_the_multipliers(base: Path) -> None:
    """One step of plain gradient descent on all: the logits fall, the multipliers rise."""
    encoder, masks = pruned(base, distillation=None, warmup=0.0)
    found = terms(encoder, masks, 0.1)
    assert set(found) == {"sparsity"}
    before = float(masks.expected_sparsity.detach())
    missing = 0.5 - before
    assert float(found["sparsity"].detach()) == pytest.approx(10 * missing + 10 * missing**2, rel=1e-5)
    found["sparsity"].backward()
    with torch.no_grad():
        for parameter in masks.logits.parameters():
            parameter -= 0.5 * parameter.grad
    assert float(masks.expected_sparsity.detach()) > before
    assert masks.logits.multipliers.tolist() == pytest.approx([10 + 0.5 * missing, 10 + 0.5 * missing**2], rel=1e-4)


def test_the_unpruned_student_has_nothing_to_learn_from_itself(base: Path) -> None:
    """Each of its layers is nearest to itself: here all four."""
    encoder, masks = pruned(base, distillation=LayerDistillation(layers=[0, 1, 2, 3]))
    batch = Collator(encoder)(examples(4))["batch"]
    encoder.model.train()
    masks.begin(0.0)
    masks.drawn = {"layers": torch.ones(4), "inner": torch.ones(4, 64)}
    for chunk in (batch.queries, *batch.documents):
        encoder.model(dict(chunk))
    assert float(masks.terms(batch)["layers"].detach()) == pytest.approx(0.0, abs=1e-10)


def test_the_distillation_of_layers_by_hand(base: Path) -> None:
    """Only layers 0 and 2 are left. The top teacher meets the nearer; below either there is only layer 0. Real tokens alone."""
    encoder, masks = pruned(base, distillation=LayerDistillation(layers=[1, 3], weight=2.0))
    scatter(masks)
    found = terms(encoder, masks, 1.0)
    assert set(found) == {"layers"}
    batch = Collator(encoder)(examples(4))["batch"]
    whole, small = (Encoder.load(base).model[0].auto_model for _ in range(2))
    for layer, mask in zip(small.encoder.layer, masks.binary["inner"], strict=True):
        with torch.no_grad():
            layer.output.dense.weight.mul_(mask)
    keep_layers(small, [0, 2], "base")
    states: dict[str, list[torch.Tensor]] = {"t1": [], "t3": [], "s0": [], "s2": []}
    for chunk in (batch.queries, *batch.documents):
        with torch.no_grad():
            told, left = (model(**chunk, output_hidden_states=True).hidden_states for model in (whole, small))
        for name, state in (("t1", told[2]), ("t3", told[4]), ("s0", left[1]), ("s2", left[2])):
            states[name].append(state[chunk["attention_mask"].bool()])
    t1, t3, s0, s2 = (torch.cat(states[name]) for name in ("t1", "t3", "s0", "s2"))

    def mse(one: torch.Tensor, other: torch.Tensor) -> float:
        return float((one - other).square().mean())

    expected = mse(s0, t1) + min(mse(s0, t3), mse(s2, t3))
    assert float(found["layers"].detach()) == pytest.approx(2.0 * expected / 2, rel=1e-4)


def test_what_cannot_be_pruned(base: Path) -> None:
    with pytest.raises(ModelError) as error:
        pruned(base, sparsity=0.95)
    told = str(error.value)
    assert told.startswith("pruned so far, the student would have no layer left\n  where: student.adaptation of base\n")
    assert "seen: sparsity 0.95\n  allowed: at most 0.8" in told
    with pytest.raises(ValidationError, match=r"`warmup` 0.7 ends after the masks are settled, `until` 0.6"):
        Prune(sparsity=0.5, warmup=0.7)
