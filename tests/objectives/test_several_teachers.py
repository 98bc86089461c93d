"""Terms of several teachers: fixed and confident weights, the gate, the policy, and a training that is stopped."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from retkd.batch import ScoredBatch
from retkd.errors import DataError, ScaleError
from retkd.losses.listwise import standardised
from retkd.objectives.base import Training
from retkd.objectives.kl import KL
from retkd.objectives.several_teachers import ReinforcedKL, RoutedKL, TeachersObjective, WeightedKL
from retkd.training.examples import require_objective, teachers_of
from retkd.training.teacher_routing import Reinforced, Routed, features
from tests.distilling import examples, same, trained
from tests.faults import StopError, stop_after
from tests.objectives.test_objectives import TEACHER, made
from tests.tables import rows_of, scored

OTHER = torch.tensor([[1.0, 5.0, 2.0], [2.0, 1.0, 0.0]])
TRAINING = Training(steps=10, seed=5)


def batch(**teachers: torch.Tensor) -> ScoredBatch:
    plain = made()
    return ScoredBatch(
        replace(plain.batch, teachers={"ce": TEACHER, "bi": OTHER, **teachers}), plain.own, plain.in_batch
    )


def value(term: TeachersObjective, scored_batch: ScoredBatch) -> float:
    return float(term.bind(TRAINING)(scored_batch).item())


def kl(teacher: str, scored_batch: ScoredBatch, **told: Any) -> float:
    return KL(teacher=teacher, standardise=True, **told).loss(scored_batch).item()


def test_fixed_numbers_weigh_the_losses() -> None:
    lists = batch()
    ce, bi = kl("ce", lists), kl("bi", lists)
    assert value(WeightedKL(teachers=["ce", "bi"]), lists) == pytest.approx((ce + bi) / 2, rel=1e-6)
    assert value(WeightedKL(teachers={"ce": 3.0, "bi": 1.0}), lists) == pytest.approx((3 * ce + bi) / 4, rel=1e-6)
    told: dict[str, Any] = {"student_temperature": 0.2, "teacher_temperature": 3.0}
    raw = KL(teacher="ce", **told).loss(lists).item()
    assert value(WeightedKL(teachers=["ce"], standardise=False, **told), lists) == pytest.approx(raw, rel=1e-6)


@pytest.mark.parametrize("by", ["fixed", "entropy", "margin"])
def test_weights_sum_to_one_and_the_order_of_teachers_does_not_matter(by: Any) -> None:
    lists = batch()
    one = WeightedKL(teachers={"ce": 2.0, "bi": 1.0}, by=by)
    assert one.weights(lists).sum(dim=1).tolist() == pytest.approx([1.0, 1.0])
    assert value(WeightedKL(teachers={"bi": 1.0, "ce": 2.0}, by=by), lists) == pytest.approx(
        value(one, lists), rel=1e-6
    )
    twins = batch(bi=TEACHER)
    assert value(WeightedKL(teachers=["ce", "bi"], by=by), twins) == pytest.approx(kl("ce", twins), rel=1e-6)


@pytest.mark.parametrize("by", ["entropy", "margin"])
def test_the_surer_teacher_counts_for_more_query_by_query(by: Any) -> None:
    """ce is surer of the first list than flat is; of the second, which ce holds for level, flat is."""
    ce = torch.tensor([[9.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    flat = torch.tensor([[1.0, 0.9, 0.8], [2.0, 0.0, 0.0]])
    lists = batch(ce=ce, bi=flat)
    found = WeightedKL(teachers=["ce", "bi"], by=by, standardise=False).weights(lists)
    assert found[0, 0] > 0.9
    assert found[1, 1] > 0.8
    level = WeightedKL(teachers=["ce", "bi"], by=by, temperature=1e6).weights(lists)
    assert torch.allclose(level, torch.full((2, 2), 0.5), atol=1e-4)


def test_one_teacher_is_plain_distillation() -> None:
    lists = batch()
    for term in (
        WeightedKL(teachers=["ce"]),
        RoutedKL(teachers=["ce"], top_k=1),
        ReinforcedKL(teachers=["ce"], policy=0.0),
    ):
        assert value(term, lists) == pytest.approx(kl("ce", lists), rel=1e-5)


def test_all_routed_teachers_are_their_mean_and_the_gate_begins_uniform() -> None:
    lists = batch()
    mean = (kl("ce", lists) + kl("bi", lists)) / 2
    for weighted in (True, False):
        assert value(RoutedKL(teachers=["ce", "bi"], weighted=weighted), lists) == pytest.approx(mean, rel=1e-5)


def gradients(term: TeachersObjective) -> float:
    module = term.bind(TRAINING)
    assert isinstance(module, nn.Module)
    nn.init.normal_(module.layers[-1].weight, generator=torch.Generator().manual_seed(0))  # type: ignore[index]
    loss = module(batch())
    found = torch.autograd.grad(loss, list(module.parameters()), allow_unused=True)
    return sum(float(each.abs().sum()) for each in found if each is not None)


def test_what_the_gate_learns_from() -> None:
    """The losses where it weighs them, the balance where there is one; else nothing."""
    told: dict[str, Any] = {"teachers": ["ce", "bi"], "top_k": 2}
    assert gradients(RoutedKL(**told, weighted=False, balance=0.0)) == 0.0
    assert gradients(RoutedKL(**told, weighted=False, balance=1.0)) > 0.0
    assert gradients(RoutedKL(**told, weighted=True, balance=0.0)) > 0.0


def test_the_networks_see_no_gradient_and_no_scale() -> None:
    lists = batch()
    seen = features(lists, ["ce", "bi"])
    assert seen.shape == (2, 8)
    assert not seen.requires_grad
    moved = features(batch(ce=TEACHER * 7.0 - 3.0), ["ce", "bi"])
    assert torch.allclose(seen, moved, atol=1e-5)
    assert torch.isfinite(seen).all()
    apart = standardised(TEACHER, lists.batch.mask) - standardised(OTHER, lists.batch.mask)
    expected = ((apart / 2) ** 2)[0].mean()
    assert seen[0, 4].item() == pytest.approx(expected.item(), abs=1e-5)


def test_draws_go_by_seed_and_number() -> None:
    term = ReinforcedKL(teachers=["ce", "bi"])
    lists = batch()

    def values(seed: int, count: int, skipped: int = 0) -> list[float]:
        module = Reinforced(term, Training(seed=seed))
        module.lots.draws += skipped
        return [module(lists).item() for _ in range(count)]

    first = values(1, 12)
    assert values(1, 12) == first
    assert len(set(first)) > 1
    assert values(2, 12) != first
    assert values(1, 6, skipped=6) == first[6:]
    assert {type(term.bind(TRAINING)), type(RoutedKL(teachers=["ce", "bi"]).bind(TRAINING))} == {Reinforced, Routed}


def test_every_column_is_read_and_checked() -> None:
    term = WeightedKL(teachers=["ce", "bi"])
    assert teachers_of([term, KL(teacher="third")]) == ["bi", "ce", "third"]
    assert term.needs_lists
    rows = scored(rows_of({"q": [("x", 2.0, 1), ("y", 1.0, None)]}), "ce", [0.9, 0.1])
    with pytest.raises(DataError, match="the candidates table has no teacher 'bi'"):
        require_objective([term], rows, 1)
    with pytest.raises(ScaleError, match="the objective 'weighted_kl' cannot use the scores of teacher 'bi'"):
        require_objective([term], scored(rows, "bi", [0.9, 0.1], "rank"), 1)


def test_what_a_gate_refuses() -> None:
    with pytest.raises(ValidationError, match="top_k 3 is more than the 2 teachers"):
        RoutedKL(teachers=["ce", "bi"], top_k=3)
    with pytest.raises(ValidationError, match="one picked teacher has weight 1 whatever the gate says"):
        RoutedKL(teachers=["ce", "bi"], top_k=1)
    assert RoutedKL(teachers=["ce", "bi"], top_k=1, weighted=False).top_k == 1
    with pytest.raises(ValidationError, match="learns from nothing and picks the first 1 teachers of every query"):
        RoutedKL(teachers=["ce", "bi"], top_k=1, weighted=False, balance=0.0)


def test_a_teacher_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="the teacher ce stands twice: a mapping gives it a greater number"):
        WeightedKL(teachers=["ce", "bi", "ce"])


@pytest.mark.parametrize(
    "term", [RoutedKL(teachers=["ce", "bi"]), ReinforcedKL(teachers=["ce", "bi"])], ids=lambda term: term.kind
)
def test_a_training_that_is_stopped_goes_on_with_its_network(
    term: Any, encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the same trace and weights: the network, and the number of the next draw, are in the checkpoint."""
    lists = [replace(e, teachers={**e.teachers, "bi": tuple(reversed(e.teachers["ce"]))}) for e in examples()]
    expected = trained(encoder_folder, tmp_path / "whole", lists, objective=[term])
    with monkeypatch.context() as patch:
        stop_after(6, patch)
        with pytest.raises(StopError):
            trained(encoder_folder, tmp_path / "cut", lists, objective=[term])
    trace, weights = trained(encoder_folder, tmp_path / "cut", lists, objective=[term])
    assert trace == expected[0]
    assert same(weights, expected[1])
