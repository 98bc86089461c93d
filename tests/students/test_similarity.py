"""Likeness before training: nothing is nearer than the teacher itself, and a rotation is no distance."""

from pathlib import Path

import pytest
import torch

from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError
from retkd.students.dense import Dense
from retkd.students.similarity import (
    activation_distance,
    activations,
    costs,
    distances,
    randomise,
    relation_distance,
)
from tests.tiny import tiny_encoder

TEXTS = ["baco difun fuga", "gale mi", "mino paru seti baco", "ti"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("models") / "base", layers=3)


def test_relations_do_not_change_by_rotation_or_length() -> None:
    torch.manual_seed(0)
    one = torch.randn(5, 4)
    rotation = torch.linalg.qr(torch.randn(6, 4))[0].T
    assert relation_distance(one, 3 * one @ rotation) == pytest.approx(0.0, abs=1e-12)
    assert relation_distance(one, torch.randn(5, 4)) > 0.01


def test_values_worked_out_by_hand() -> None:
    """Cosines 1 0 0 1 against 1 1 1 1: two of four differ by 1. Unit maps (0.6, 0.8) and (1, 0): 0.16 + 0.64."""
    assert relation_distance(torch.eye(2), torch.tensor([[1.0], [2.0]])) == pytest.approx(0.5)
    maps = [torch.tensor([3.0, 4.0])], [torch.tensor([2.0, 0.0])]
    assert activation_distance(*maps) == pytest.approx(0.8)


def test_nothing_is_nearer_than_the_teacher_itself(base: Path) -> None:
    told = activations(Encoder.load(base), TEXTS)
    same = distances(Dense(base="base").build(base, "cpu"), told, TEXTS, "same")
    fewer = distances(Dense(base="base", layers=[0, 2]).build(base, "cpu"), told, TEXTS, "fewer")
    assert sum(same.values()) == pytest.approx(0.0, abs=1e-10)
    assert min(fewer.values()) > 0


def test_random_weights_come_from_their_seed(base: Path) -> None:
    told = activations(Encoder.load(base), TEXTS)
    encoder = Dense(base="base").build(base, "cpu")
    found = []
    for seed in (1, 2, 1):
        randomise(encoder, seed)
        found.append(distances(encoder, told, TEXTS, "random"))
    assert found[0] == found[2]
    assert found[0] != found[1]
    assert found[0]["relation"] > 0


def test_activations_are_cosines_over_the_real_tokens(base: Path) -> None:
    vectors, maps = activations(Encoder.load(base), TEXTS)
    alone, (only,) = activations(Encoder.load(base), TEXTS[1:2])
    assert [len(each) for each in maps] == [
        len(row) for row in Encoder.load(base).tokenize(TEXTS, "document")["input_ids"]
    ]
    assert torch.allclose(vectors[1], alone[0], atol=1e-6)
    assert torch.allclose(maps[1], only, atol=1e-6)
    assert all(float(each.abs().max()) <= 1 + 1e-6 for each in maps)


def test_costs_by_hand(base: Path) -> None:
    """A layer of width 32 and 64: 4 * (32 * 32 + 32) + 2 * 32 * 64 + 64 + 32 + 4 * 32 parameters."""
    layer = 4 * 1056 + 4096 + 96 + 128
    told = costs(Dense(base="base", layers=[0, 2]).build(base, "cpu"), 10)
    assert told["in_layers"] == 2 * layer
    assert told["flops"] == 2 * 2 * layer * 10 + 4 * 2 * 32 * 100
    whole = Encoder.load(base)
    assert costs(whole, 10)["parameters"] == sum(p.numel() for p in whole.model.parameters())


def test_other_tokens_are_refused(base: Path) -> None:
    told = activations(Encoder.load(base), TEXTS)
    short = Dense(base="base", max_length=4).build(base, "cpu")
    with pytest.raises(ModelError) as error:
        distances(short, told, TEXTS, "short")
    assert str(error.value) == (
        "the student and the teacher do not read the same tokens, so that their activations cannot be compared\n"
        "  where: students.short\n"
        "  seen: 4 and 5 tokens in 'baco difun fuga'\n"
        "  next step: give both the same max_length, and bases with one tokeniser"
    )
