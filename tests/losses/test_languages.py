"""Translate-Distill's loss and the consistency of languages."""

import math
from typing import Any

import pytest
import torch

from retkd.losses.languages import language_consistency, translate_distill
from retkd.losses.listwise import kl
from tests.losses.lists import GARBAGE, STUDENT, TEACHER, assert_ignored, example, gradient, ragged

EVERY = torch.ones((1, 3), dtype=torch.bool)


def test_kl_by_hand() -> None:
    """METHODS 0.2: KL(softmax t || softmax s) = 0.1546978979 for s = (2, 1, 0), t = (3, 1, 2)."""
    found = translate_distill(example(STUDENT), example(TEACHER), EVERY, alpha=1.0)
    assert found.item() == pytest.approx(0.1546978979, abs=1e-9)


def test_mse_by_hand() -> None:
    """Of log-probabilities, over the three candidates."""
    z, g = (torch.log_softmax(example(scores), 1)[0].tolist() for scores in (STUDENT, TEACHER))
    expected = sum((a - b) ** 2 for a, b in zip(z, g, strict=True)) / 3
    found = translate_distill(example(STUDENT), example(TEACHER), EVERY, alpha=1.0, distance="mse")
    assert found.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
def test_it_is_torchs_kl_of_logs_and_our_kl_at_the_inverse_temperature(alpha: float) -> None:
    lists = ragged(1)
    full = torch.ones_like(lists.mask)
    z, g = torch.log_softmax(lists.student, 1), torch.log_softmax(alpha * lists.teacher, 1)
    theirs = torch.nn.KLDivLoss(reduction="batchmean", log_target=True)(z, g)
    assert translate_distill(lists.student, lists.teacher, full, alpha=alpha).item() == pytest.approx(theirs.item())
    ours = kl(lists.student, lists.teacher, lists.mask, student_temperature=0.5, teacher_temperature=1 / alpha)
    found = translate_distill(lists.student, lists.teacher, lists.mask, alpha=alpha, student_temperature=0.5)
    assert found.item() == pytest.approx(ours.item())


@pytest.mark.parametrize("distance", ["kl", "mse"])
def test_alpha_zero_is_a_uniform_target(distance: str) -> None:
    lists = ragged(2)
    told: dict[str, Any] = {"alpha": 0.0, "distance": distance}
    flat = translate_distill(lists.student, torch.zeros_like(lists.teacher), lists.mask, alpha=1.0, distance=distance)  # type: ignore[arg-type]
    found = translate_distill(lists.student, lists.teacher, lists.mask, **told)
    assert found.item() == pytest.approx(flat.item())
    assert translate_distill(torch.ones_like(lists.student), lists.teacher, lists.mask, **told).item() == pytest.approx(
        0.0, abs=1e-12
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("distance", ["kl", "mse"])
@pytest.mark.parametrize("shift", [-7.0, 0.0, 40.0])
def test_the_teachers_scores_up_to_a_constant_are_no_loss(distance: str, shift: float) -> None:
    lists = ragged(3)
    found = translate_distill(lists.teacher + shift, lists.teacher, lists.mask, alpha=1.0, distance=distance)  # type: ignore[arg-type]
    assert found.item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("distance", ["kl", "mse"])
@pytest.mark.parametrize("fill", GARBAGE)
def test_what_is_masked_changes_nothing(distance: str, fill: float) -> None:
    lists = ragged(4)

    def of(student: torch.Tensor, teacher: torch.Tensor = lists.teacher) -> torch.Tensor:
        return translate_distill(student, teacher, lists.mask, alpha=2.0, distance=distance)  # type: ignore[arg-type]

    assert_ignored(of, lists.student, lists.mask, fill)
    assert of(lists.student, lists.teacher.masked_fill(~lists.mask, fill)).item() == of(lists.student).item()


@pytest.mark.parametrize("distance", ["kl", "mse"])
def test_gradients(distance: str) -> None:
    lists = ragged(5)
    student, teacher = lists.student.requires_grad_(True), lists.teacher.requires_grad_(True)
    of = translate_distill(student, teacher, lists.mask, alpha=0.7, distance=distance)  # type: ignore[arg-type]
    assert torch.autograd.grad(of, teacher, allow_unused=True, retain_graph=True)[0] is None
    assert torch.autograd.gradcheck(
        lambda scores: translate_distill(scores, lists.teacher.detach(), lists.mask, alpha=0.7, distance=distance),  # type: ignore[arg-type]
        (student,),
    )


def test_two_languages_by_hand() -> None:
    """p = (2/3, 1/3) and q = (1/2, 1/2): (KL(p||q) + KL(q||p)) / 2 = (2/3 - 1/2) log 2 / 2."""
    scores = torch.tensor([[[math.log(2.0), 0.0], [5.0, 5.0]]], dtype=torch.float64)
    mask = torch.ones((1, 2), dtype=torch.bool)
    assert language_consistency(scores, mask).item() == pytest.approx(math.log(2) / 12)


def variants(seed: int, languages: int) -> tuple[torch.Tensor, torch.Tensor]:
    lists = ragged(seed)
    noise = torch.randn((4, languages, 6), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return lists.student[:, None] + noise, lists.mask


@pytest.mark.parametrize("languages", [2, 3, 5])
def test_identical_variants_are_consistent_also_up_to_a_constant(languages: int) -> None:
    scores, mask = variants(6, 1)
    same = scores.expand(-1, languages, -1) + torch.arange(languages, dtype=torch.float64)[None, :, None]
    assert language_consistency(same, mask).item() == pytest.approx(0.0, abs=1e-12)


def test_the_mean_is_over_different_pairs_alone() -> None:
    """Of three languages, two alike: the two pairs with the odd one count, over three pairs, none of them i = j."""
    scores, mask = variants(7, 2)
    two = language_consistency(scores, mask)
    three = language_consistency(torch.cat([scores, scores[:, :1]], dim=1), mask)
    assert three.item() == pytest.approx(two.item() * 2 / 3)


def test_it_does_not_depend_on_the_order_of_languages_or_candidates() -> None:
    scores, mask = variants(8, 3)
    expected = language_consistency(scores, mask).item()
    assert language_consistency(scores.flip(1), mask).item() == pytest.approx(expected)
    assert language_consistency(scores.flip(2), mask.flip(1)).item() == pytest.approx(expected)
    assert language_consistency(scores / 2, mask, temperature=0.5).item() == pytest.approx(expected)


@pytest.mark.parametrize("fill", GARBAGE)
def test_consistency_ignores_what_is_masked(fill: float) -> None:
    scores, mask = variants(9, 3)
    assert_ignored(lambda each: language_consistency(each, mask), scores, mask[:, None].expand_as(scores), fill)


def test_every_language_gets_a_gradient() -> None:
    scores, mask = variants(10, 3)
    found = gradient(lambda each: language_consistency(each, mask), scores)
    assert (found.abs().sum(dim=2) > 0).all()
    assert torch.autograd.gradcheck(lambda each: language_consistency(each, mask), (scores.requires_grad_(True),))
