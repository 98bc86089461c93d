"""Pruning of parts, heads and hidden dimensions as it is trained, and the folder that comes out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError
from retkd.parts import substituted
from retkd.students.blocks import blocks
from retkd.students.dense import Dense
from retkd.students.finer_masks import FinerMasks
from retkd.students.pruning import LayerDistillation, Prune
from retkd.training.collator import Collator
from tests.architectures import made
from tests.distilling import examples
from tests.tiny import tiny_encoder

TEXTS = ["baco difun fuga", "gale", "mi no pa ru"]
EXTENTS = [{"width": True}, {"sublayers": True}, {"width": True, "sublayers": True}]
KINDS = {"bert": {}, "distilbert": {}, "xlm-roberta": {}, "electra": {"embedding_size": 16}}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("models") / "base", layers=4)


def pruned(base: Path, transformer: Any = None, **told: Any) -> tuple[Encoder, FinerMasks]:
    """The masks on an encoder, whose transformer may be another."""
    encoder = Dense(base="base", dropout=0.0).build(base, "cpu")
    if transformer is not None:
        encoder.model[0].model = transformer
    masks = Prune(**{"sparsity": 0.5, **told}).companion(encoder, "base")
    assert isinstance(masks, FinerMasks)
    return encoder, masks


def scatter(masks: FinerMasks, seed: int = 0) -> None:
    """Logits all over; with `sublayers` an attention part meets the feed-forward part of a later layer."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, each in masks.logits.each().items():
            each.normal_()
            if name == "layers":
                each.copy_(torch.tensor([3.0, -4.0, 4.0, -3.0]))
            if name == "attention":
                each.copy_(torch.tensor([4.0, -4.0, -4.0, 4.0]))
            if name == "feed_forward":
                each.copy_(torch.tensor([-4.0, 4.0, -4.0, 4.0]))


def tokens() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    mask = torch.ones(3, 7, dtype=torch.long)
    mask[1, 4:] = 0
    return {"input_ids": torch.randint(3, 50, (3, 7), generator=generator) * mask + (1 - mask), "attention_mask": mask}


@pytest.mark.parametrize("extent", EXTENTS)
def test_masks_of_one_change_nothing(base: Path, extent: dict[str, bool]) -> None:
    encoder, masks = pruned(base, **extent)
    encoder.model.train()
    masks.drawn = {name: torch.ones_like(each) for name, each in masks.logits.each().items()}
    found = encoder.forward(encoder.tokenize(TEXTS, "document"), "document")
    assert np.allclose(found.detach().numpy(), Encoder.load(base).encode(TEXTS, "document"), atol=1e-6)


@pytest.mark.parametrize("extent", EXTENTS)
def test_what_is_published_computes_what_the_settled_masks_did(
    base: Path, tmp_path: Path, extent: dict[str, bool]
) -> None:
    """In a smaller folder that sentence-transformers loads. The hidden dimensions that went were 0 in the vectors."""
    from sentence_transformers import SentenceTransformer

    sparsity = 0.75 if "width" in extent else 0.5
    encoder, masks = pruned(base, sparsity=sparsity, **extent)
    scatter(masks)
    encoder.model.train()
    masks.begin(1.0)
    trained = encoder.forward(encoder.tokenize(TEXTS, "document"), "document").detach().numpy()
    encoder.model.eval()
    masks.begin(0.0)
    assert np.array_equal(encoder.encode(TEXTS, "document"), trained)
    kept = masks.settled
    gone = sorted(set(range(32)) - set(kept.hidden))
    assert not trained[:, gone].any()
    masks.finish(encoder, tmp_path)
    assert np.allclose(encoder.encode(TEXTS, "document"), trained[:, kept.hidden], atol=1e-5)
    encoder.save(tmp_path / "student")
    again: Any = SentenceTransformer(str(tmp_path / "student"), device="cpu")
    assert np.allclose(again.encode_document(TEXTS), trained[:, kept.hidden], atol=1e-5)
    config = again[0].auto_model.config
    assert (config.hidden_size, config.num_attention_heads) == ((16, 1) if "width" in extent else (32, 2))
    assert encoder.dim == again.get_embedding_dimension() == config.hidden_size
    assert config.num_hidden_layers == len(kept.layers)
    assert "sublayers" not in extent or kept.layers == [(0, 1), (3, 3)]

    def in_layers(model: Any) -> int:
        return sum(p.numel() for p in model[0].auto_model.encoder.parameters())

    whole = in_layers(Encoder.load(base).model)
    assert in_layers(again) <= (1 - sparsity) * whole
    size = masks.costs.of(len(kept.layers), config.num_attention_heads, config.intermediate_size, config.hidden_size)
    assert in_layers(again) == size


@pytest.mark.parametrize("kind", KINDS)
def test_other_architectures(base: Path, tmp_path: Path, kind: str) -> None:
    """States within 1e-5, after a reload from disk too; every parameter that is as wide as a layer is narrower."""
    from transformers import AutoModel

    model = made(kind, **KINDS[kind])
    total = sum(p.numel() for p in model.parameters())
    encoder, masks = pruned(base, model, sparsity=0.75, width=True, sublayers=True)
    scatter(masks, seed=3)
    with torch.no_grad():
        expected = encoder.model[0].auto_model(**tokens()).last_hidden_state
        kept = masks.settled.hidden
        masks.finish(encoder, tmp_path)
        small = encoder.model[0].auto_model
        small.save_pretrained(tmp_path / "small")
        for each in (small, AutoModel.from_pretrained(tmp_path / "small").eval()):
            assert torch.allclose(each(**tokens()).last_hidden_state, expected[..., kept], atol=1e-5)
    assert not any(16 in p.shape for name, p in small.named_parameters() if "embeddings.weight" not in name)
    assert sum(p.numel() for p in small.parameters()) < 0.6 * total


def test_a_norm_runs_over_the_dimensions_that_are_left(base: Path) -> None:
    """By hand, with masks between 0 and 1: mean and variance of those above 0, which then scale what was normed."""
    encoder, masks = pruned(base, width=True)
    norm = encoder.model[0].auto_model.embeddings.LayerNorm
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
    norm.train()
    hidden = torch.zeros(32)
    hidden[[1, 4, 9]] = torch.tensor([0.5, 1.0, 0.25])
    masks.drawn = {**{name: torch.ones_like(each) for name, each in masks.logits.each().items()}, "hidden": hidden}
    state = torch.randn(2, 3, 32)
    left = state[..., [1, 4, 9]]
    normed = (left - left.mean(-1, keepdim=True)) / (left.var(-1, keepdim=True, unbiased=False) + norm.eps).sqrt()
    expected = torch.zeros(2, 3, 32)
    expected[..., [1, 4, 9]] = (normed * norm.weight[[1, 4, 9]] + norm.bias[[1, 4, 9]]) * hidden[[1, 4, 9]]
    assert torch.allclose(norm(state), expected, atol=1e-5)


def test_a_head_of_mask_zero_says_nothing(base: Path) -> None:
    """As if its columns of the module out of the heads were 0."""
    encoder, masks = pruned(base, width=True)
    encoder.model.train()
    masks.drawn = {name: torch.ones_like(each) for name, each in masks.logits.each().items()}
    masks.drawn["heads"][2, 0] = 0.0
    columns = encoder.tokenize(TEXTS, "document")
    found = encoder.forward(columns, "document").detach().numpy()
    other = Dense(base="base", dropout=0.0).build(base, "cpu")
    with torch.no_grad():
        blocks(other.model[0].auto_model, "base")[2].out.weight[:, :16] = 0.0
    other.model.eval()
    assert np.allclose(found, other.encode(TEXTS, "document"), atol=1e-6)


@pytest.mark.parametrize("part", ["attention", "feed_forward"])
def test_a_part_of_mask_zero_hands_on_what_it_was_given(base: Path, part: str) -> None:
    """The norm after it goes with it."""
    encoder, masks = pruned(base, sublayers=True)
    encoder.model.train()
    masks.drawn = {name: torch.ones_like(each) for name, each in masks.logits.each().items()}
    masks.drawn[part][1] = 0.0
    columns = encoder.tokenize(TEXTS, "document")
    found = encoder.forward(columns, "document").detach().numpy()
    other = Dense(base="base", dropout=0.0).build(base, "cpu")
    layer = other.model[0].auto_model.encoder.layer[1]

    class Given(nn.Module):
        def forward(self, state: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
            return given

    (layer.attention if part == "attention" else layer).output = Given()
    other.model.eval()
    assert np.allclose(found, other.encode(TEXTS, "document"), atol=1e-6)


def terms(encoder: Encoder, masks: FinerMasks, progress: float) -> dict[str, torch.Tensor]:
    batch = Collator(encoder)(examples(4))["batch"]
    encoder.model.train()
    masks.begin(progress)
    for chunk in (batch.queries, *batch.documents):
        encoder.model(dict(chunk))
    return masks.terms(batch)


def test_every_mask_is_pulled_and_taught(base: Path) -> None:
    """The pull reaches every logit, and lowers each; the layers' distillation reaches those of every extent."""
    encoder, masks = pruned(base, width=True, sublayers=True, warmup=0.0)
    torch.manual_seed(0)
    with torch.no_grad():
        for each in masks.logits.each().values():
            each.fill_(1.0)
    found = terms(encoder, masks, 0.1)
    assert set(found) == {"sparsity", "layers"}
    found["sparsity"].backward(retain_graph=True)
    assert all(float(each.grad.min()) > 0 for each in masks.logits.each().values())  # type: ignore[union-attr]
    masks.zero_grad()
    found["layers"].backward()
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in masks.logits.each().values())


def test_descent_reaches_the_sparsity_and_two_sides_come_back_to_it(base: Path) -> None:
    for two_sided in (False, True):
        _, masks = pruned(
            base,
            width=True,
            sublayers=True,
            two_sided=two_sided,
            multiplier=0 if two_sided else 10,
            distillation=None,
            warmup=0.0,
        )
        optimizer = torch.optim.Adam(masks.parameters(), lr=0.1)
        batch: Any = None
        for _ in range(150):
            masks.begin(0.1)
            optimizer.zero_grad()
            masks.terms(batch)["sparsity"].backward()
            optimizer.step()
        found = float(masks.expected_sparsity.detach())
        assert found > (0.45 if two_sided else 0.49)
        assert not two_sided or found == pytest.approx(0.5, abs=0.05)


def test_the_unpruned_student_has_nothing_to_learn_from_itself(base: Path) -> None:
    encoder, masks = pruned(base, width=True, distillation=LayerDistillation(layers=[0, 1, 2, 3]))
    batch = Collator(encoder)(examples(4))["batch"]
    encoder.model.train()
    masks.begin(0.0)
    masks.drawn = {name: torch.ones_like(each) for name, each in masks.logits.each().items()}
    for chunk in (batch.queries, *batch.documents):
        encoder.model(dict(chunk))
    assert float(masks.terms(batch)["layers"].detach()) == pytest.approx(0.0, abs=1e-10)


def test_layers_of_which_a_part_is_left_are_taught(base: Path) -> None:
    _, masks = pruned(base, sublayers=True)
    drawn = {name: torch.ones_like(each) for name, each in masks.logits.each().items()}
    drawn["attention"], drawn["feed_forward"] = torch.tensor([0.0, 0.2, 0, 0]), torch.tensor([0, 0, 0.0, 1.0])
    assert masks.alive(drawn) == [1, 3]
    drawn["attention"] = drawn["feed_forward"] = torch.zeros(4)
    assert masks.alive(drawn) == [0, 1, 2, 3]


def test_the_key_of_what_was_there_before_is_the_same() -> None:
    told = substituted(Prune(sparsity=0.5), lambda marker, value: value)
    assert set(told) == {
        "kind", "sparsity", "warmup", "until", "learning_rate", "multiplier", "distillation", "part_revision"
    }  # fmt: skip
    assert "width" in substituted(Prune(sparsity=0.5, width=True), lambda marker, value: value)


def test_what_cannot_be_pruned(base: Path) -> None:
    with pytest.raises(ModelError) as error:
        pruned(base, made("mpnet"), width=True)
    assert str(error.value) == (
        "the parts of this architecture are not known, so that they cannot be pruned one by one\n"
        "  where: student.adaptation of base\n"
        "  seen: mpnet\n"
        "  allowed: a plain bert, camembert, distilbert, electra, roberta, xlm-roberta\n"
        "  next step: leave `width` and `sublayers` out of the adaptation, or choose another base"
    )
    factorised = made("electra", embedding_size=8)
    with pytest.raises(ModelError, match="seen: embeddings_project: Linear"):
        pruned(base, factorised, width=True)
    pruned(base, factorised, sublayers=True)
    with pytest.raises(ModelError, match=r"at most 0\.9\d+: one layer with one head and one intermediate dimension"):
        pruned(base, sparsity=0.99, width=True)
    with pytest.raises(ModelError, match=r"at most 0\.8\d+: one layer with all heads and one intermediate dimension"):
        pruned(base, sparsity=0.95, sublayers=True)
    with pytest.raises(ValidationError, match=r"`warmup` 0.7 ends after"):
        Prune(sparsity=0.5, width=True, warmup=0.7)
