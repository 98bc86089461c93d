"""What every loss of a teacher's list must do: values of METHODS.md, gradients, masks, order, monotone teachers."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from retkd.losses.adaptive_target import adaptive_cross_entropy
from retkd.losses.interpolated import interpolated_kl
from retkd.losses.lambdas import lambda_loss
from retkd.losses.pairwise import all_pairs_mse, ranknet
from retkd.losses.plackett_luce import list_mle, partial_ranking, pld, weighted_contrastive
from retkd.losses.ranks import adr_mse, approximate_ndcg, approximate_ranks, mean_ranks
from retkd.losses.sinkhorn import sinkhorn_distance
from tests.losses.lists import (
    GARBAGE,
    STUDENT,
    TEACHER,
    Lists,
    assert_ignored,
    example,
    gradient,
    ragged,
    shuffled,
)

ALL, FIRST = torch.ones((1, 3), dtype=torch.bool), torch.tensor([[True, False, False]])
Loss = Callable[[Tensor, Tensor, Lists], Tensor]

ORDER_LOSSES: dict[str, Loss] = {
    "ranknet": lambda s, t, lists: ranknet(s, t, lists.mask),
    "ranknet top 2": lambda s, t, lists: ranknet(s, t, lists.mask, top=2),
    "list_mle": lambda s, t, lists: list_mle(s, t, lists.mask),
    "p_list_mle": lambda s, t, lists: list_mle(s, t, lists.mask, position_aware=True),
    "partial_ranking": lambda s, t, lists: partial_ranking(
        s, t, lists.mask & (mean_ranks(t, lists.mask) < 3), lists.mask
    ),
    "adr_mse": lambda s, t, lists: adr_mse(s, t, lists.mask, temperature=0.7, discount="log2"),
    "approximate_ndcg": lambda s, t, lists: approximate_ndcg(
        s, 1 / mean_ranks(t, lists.mask), lists.mask, temperature=0.7
    ),
    "lambda_mrr": lambda s, t, lists: lambda_loss(s, t, lists.mask, weighing="reciprocal_rank"),
    "ndcg_loss2++": lambda s, t, lists: lambda_loss(
        s, t, lists.mask, weighing="ndcg_loss2++", gain=1 / mean_ranks(t, lists.mask)
    ),
}
SCORE_LOSSES: dict[str, Loss] = {
    "pld": lambda s, t, lists: pld(s, t, lists.mask, teacher_temperature=2.0, positive=lists.positive),
    "pld, teacher first": lambda s, t, lists: pld(s, t, lists.mask, teacher_temperature=2.0),
    "all_pairs_mse": lambda s, t, lists: all_pairs_mse(s, t, lists.mask),
    "adaptive_cross_entropy": lambda s, t, lists: adaptive_cross_entropy(
        s, t, lists.positive, lists.mask, epsilon=1.7, student_temperature=0.7, teacher_temperature=2.0
    ),
    "sinkhorn_distance": lambda s, t, lists: sinkhorn_distance(
        s, t, lists.mask, student_temperature=0.7, teacher_temperature=2.0, smoothing=0.1, num_iterations=20
    ),
}
WITH_THE_STUDENT_IN_THE_TARGET: dict[str, Loss] = {
    "interpolated_kl": lambda s, t, lists: interpolated_kl(
        s, t, lists.mask, share=0.3, student_temperature=0.7, teacher_temperature=2.0
    )
}
LOSSES = {**ORDER_LOSSES, **SCORE_LOSSES, **WITH_THE_STUDENT_IN_THE_TARGET}
IN_ORDER_OF_THE_LIST: dict[str, Loss] = {
    "weighted_contrastive": lambda s, t, lists: weighted_contrastive(
        s, t, lists.mask, teacher_temperature=2.0, extra=torch.tensor([[0.5, -math.inf]] * 4, dtype=torch.float64)
    )
}
EVERY = {**LOSSES, **IN_ORDER_OF_THE_LIST}

each_loss = pytest.mark.parametrize("loss", EVERY.values(), ids=EVERY.keys())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (list_mle(example(STUDENT), example(TEACHER), ALL), 1.7208676520),
        (pld(example(STUDENT), example(TEACHER), ALL, teacher_temperature=1.0, positive=FIRST), 0.5925487062),
        (weighted_contrastive(example(STUDENT), example(TEACHER), ALL, teacher_temperature=1.0), 0.2993593106),
        (ranknet(example(STUDENT), example(TEACHER), ALL), 0.5844837954),
        (adr_mse(example(STUDENT), example(TEACHER), ALL, temperature=1.0, discount="none"), 0.5083411),
        (adr_mse(example(STUDENT), example(TEACHER), ALL, temperature=1.0, discount="log2"), 0.2956185),
        (partial_ranking(example(STUDENT), example(TEACHER), ALL, ALL), 1.7208676520),
        (partial_ranking(example(STUDENT), example(TEACHER), FIRST, ALL), 0.4076059645),
        (lambda_loss(example(STUDENT), example([1, 1 / 3, 1 / 2]), ALL, weighing="reciprocal_rank"), 0.1533754886),
    ],
)
def test_the_values_of_methods(value: Tensor, expected: float) -> None:
    assert value.item() == pytest.approx(expected, abs=6e-8)


@pytest.mark.parametrize(
    ("weighing", "bits"), [("lambda_rank", 0.2565669778), ("ndcg_loss2", 0.3436032156), ("ndcg_loss2++", 3.6925991340)]
)
def test_lambda_losses_of_methods_1_18_which_are_sums_in_bits(weighing: str, bits: float) -> None:
    grades = example([2.0, 0.0, 1.0])
    found = lambda_loss(example(STUDENT), grades, ALL, weighing=weighing)  # type: ignore[arg-type]
    assert found.item() * 3 / math.log(2) == pytest.approx(bits, abs=1e-9)
    ranked = ranknet(example(STUDENT), grades, ALL)
    assert ranked.item() * 3 / math.log(2) == pytest.approx(2.5296956191, abs=1e-9)


def test_p_list_mle_by_hand() -> None:
    """Order 0, 2, 1 with weights 2^2 - 1, 2^1 - 1, 0 over their sum: 3/4 log(1 + e^-1 + e^-2) + 1/4 log(1 + e)."""
    expected = 0.75 * math.log(1 + math.exp(-1) + math.exp(-2)) + 0.25 * math.log(1 + math.e)
    assert list_mle(example(STUDENT), example(TEACHER), ALL, position_aware=True).item() == pytest.approx(expected)


def test_p_list_mle_of_a_long_list_is_finite() -> None:
    """2^n is no float32 from 128 candidates on. Equal scores: step k costs log(n - k + 1) and weighs nearly 2^-k."""
    scores, mask = torch.zeros((1, 300)), torch.ones((1, 300), dtype=torch.bool)
    teacher = torch.arange(300.0).flip(0)[None]
    expected = sum(2.0**-k * math.log(301 - k) for k in range(1, 60))
    found = list_mle(scores, teacher, mask, position_aware=True)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    assert torch.isfinite(gradient(lambda s: list_mle(s, teacher, mask, position_aware=True), scores)).all()


def test_all_pairs_mse_by_hand() -> None:
    """Errors s - t of -1, 0, -2: differences 1, 1 and 2 squared, over three pairs."""
    assert all_pairs_mse(example(STUDENT), example(TEACHER), ALL).item() == pytest.approx(2.0)


def test_ranknet_of_the_top_counts_pairs_whose_better_one_is_there() -> None:
    """The teacher's best is document 0: pairs (0, 1) and (0, 2), margins 1 and 2."""
    expected = (math.log1p(math.exp(-1.0)) + math.log1p(math.exp(-2.0))) / 2
    assert ranknet(example(STUDENT), example(TEACHER), ALL, top=1).item() == pytest.approx(expected)


def test_rankdistil_sees_the_order_of_the_top_and_which_are_below() -> None:
    """METHODS 1.18: the teacher's order below the top does not matter; that of the top does."""
    student, mask = example([0.3, -1.0, 2.0, 0.7]), torch.ones((1, 4), dtype=torch.bool)
    one, below, above = (
        ranknet(student, example(teacher), mask, top=2).item()
        for teacher in ([4.0, 3.0, 2.0, 1.0], [4.0, 3.0, 1.0, 2.0], [3.0, 4.0, 2.0, 1.0])
    )
    assert one == pytest.approx(below)
    assert one != pytest.approx(above)
    margins = [1.3, -1.7, -0.4, -3.0, -1.7]
    assert one == pytest.approx(sum(math.log1p(math.exp(-m)) for m in margins) / 5)


def test_ties_of_the_teacher_are_no_pairs_and_share_a_rank() -> None:
    tied = example([1.0, 1.0, 1.0])
    assert ranknet(example(STUDENT), tied, ALL).item() == 0.0
    assert (gradient(lambda s: ranknet(s, tied, ALL), example(STUDENT)) == 0).all()
    assert mean_ranks(example([5.0, 1.0, 5.0]), ALL).tolist() == [[1.5, 3.0, 1.5]]


def test_documents_of_other_queries_only_stand_below() -> None:
    """One more document of score 1 in both denominators: log(1 + e^-1 + e^-1) / e ... worked out term by term."""
    scores, mask = torch.tensor([[2.0, 0.0]], dtype=torch.float64), torch.ones((1, 2), dtype=torch.bool)
    extra = torch.tensor([[1.0, -math.inf]], dtype=torch.float64)
    even = torch.zeros_like(scores)
    first = math.log(math.exp(2) + math.exp(0) + math.exp(1)) - 2
    second = math.log(math.exp(0) + math.exp(1)) - 0
    found = weighted_contrastive(scores, even, mask, teacher_temperature=1.0, extra=extra)
    assert found.item() == pytest.approx((first + second) / 2)


@pytest.mark.parametrize("name", sorted(EVERY.keys() - WITH_THE_STUDENT_IN_THE_TARGET.keys()))
@pytest.mark.parametrize("seed", range(2))
def test_gradcheck(name: str, seed: int) -> None:
    loss = EVERY[name]
    lists = ragged(seed)
    assert torch.autograd.gradcheck(lambda s: loss(s, lists.teacher, lists), lists.student.clone().requires_grad_(True))


@each_loss
@pytest.mark.parametrize("fill", GARBAGE)
def test_what_is_masked_does_not_matter(loss: Loss, fill: float) -> None:
    lists = ragged(seed=4)
    teacher = lists.teacher.masked_fill(~lists.mask, fill)
    assert loss(lists.student, teacher, lists).item() == loss(lists.student, lists.teacher, lists).item()
    assert_ignored(lambda s: loss(s, teacher, lists), lists.student, lists.mask, fill)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
def test_the_order_of_the_candidates_does_not_matter(loss: Loss) -> None:
    lists = ragged(seed=1)
    other = shuffled(lists, 1)
    assert loss(other.student, other.teacher, other).item() == pytest.approx(
        loss(lists.student, lists.teacher, lists).item(), abs=1e-10
    )


@each_loss
def test_a_shift_of_the_student_changes_nothing_but_against_other_queries(loss: Loss) -> None:
    lists = ragged(seed=2)
    shift = torch.tensor([[-7.0], [0.3], [20.0], [100.0]], dtype=torch.float64)
    same = loss(lists.student + shift, lists.teacher, lists).item() == pytest.approx(
        loss(lists.student, lists.teacher, lists).item(), abs=1e-9
    )
    assert same == (loss not in IN_ORDER_OF_THE_LIST.values())


@pytest.mark.parametrize("loss", ORDER_LOSSES.values(), ids=ORDER_LOSSES.keys())
def test_only_the_order_of_the_teacher_counts(loss: Loss) -> None:
    lists = ragged(seed=3)
    stretched = torch.exp(lists.teacher) * 7 - 3
    assert loss(lists.student, stretched, lists).item() == pytest.approx(
        loss(lists.student, lists.teacher, lists).item(), abs=1e-10
    )


@each_loss
def test_the_teacher_gets_no_gradient(loss: Loss) -> None:
    lists = ragged(seed=0)
    teacher = lists.teacher.clone().requires_grad_(True)
    loss(lists.student.clone().requires_grad_(True), teacher, lists).backward()
    assert teacher.grad is None


def test_what_stands_below_the_last_valid_negative_may_be_permuted() -> None:
    valid = torch.tensor([[True, True, False, False]])
    mask = torch.ones((1, 4), dtype=torch.bool)
    student = torch.tensor([[0.3, -1.0, 2.0, 0.7]], dtype=torch.float64)
    one = partial_ranking(student, example([4.0, 3.0, 2.0, 1.0]), valid, mask)
    other = partial_ranking(student, example([4.0, 3.0, 1.0, 2.0]), valid, mask)
    assert one.item() == pytest.approx(other.item())


def test_without_a_valid_negative_the_partial_ranking_is_zero() -> None:
    none = torch.zeros_like(ALL)
    assert partial_ranking(example(STUDENT), example(TEACHER), none, ALL).item() == 0.0


def test_pld_is_convex_and_its_gradient_sums_to_zero() -> None:
    a, b = torch.randn((2, 1, 3), generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def value(scores: Tensor) -> Tensor:
        return pld(scores, example(TEACHER), ALL, teacher_temperature=1.0, positive=FIRST)

    assert value((a + b) / 2) <= (value(a) + value(b)) / 2
    assert gradient(value, a).sum().item() == pytest.approx(0.0, abs=1e-12)


def test_approximate_ranks_of_methods_1_4() -> None:
    found = approximate_ranks(example(STUDENT), ALL, temperature=1.0)
    assert found[0].tolist() == pytest.approx([1.3881443, 2.0, 2.6118557], abs=6e-8)


@pytest.mark.parametrize("seed", range(3))
def test_approximate_ranks_add_up_and_become_the_ranks(seed: int) -> None:
    lists = ragged(seed)
    count = lists.mask.sum(dim=1)
    found = approximate_ranks(lists.student, lists.mask, temperature=1.0).masked_fill(~lists.mask, 0.0)
    assert torch.allclose(found.sum(dim=1), (count * (count + 1) / 2).double())
    sharp = approximate_ranks(lists.student, lists.mask, temperature=1e-4)
    assert torch.allclose(sharp[lists.mask], mean_ranks(lists.student, lists.mask)[lists.mask].double())


def test_approximate_ndcg_is_zero_for_the_ideal_order() -> None:
    gain = example([1.0, 1 / 3, 1 / 2])
    assert approximate_ndcg(example(TEACHER), gain, ALL, temperature=1e-3).item() == pytest.approx(0.0, abs=1e-9)
    assert approximate_ndcg(example(STUDENT), torch.zeros_like(gain), ALL, temperature=1.0).item() == 0.0
