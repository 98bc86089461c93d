"""Spans of a text's tokens at several scales."""

import pytest
import torch

from retkd.losses.layers import mean_over_tokens, token_cosine
from retkd.losses.spans import span_cosine, span_means
from tests.losses.test_layers import MASK, garbled, rotation, states

ROW = torch.tensor([[[1.0, 0.0], [3.0, 0.0], [0.0, 2.0], [0.0, 4.0]]])
FULL = torch.ones((1, 4), dtype=torch.bool)


def test_means_by_hand() -> None:
    """Four tokens in halves; three valid ones in halves, of two and one, and in quarters, of which the last is empty."""
    means, filled = span_means(ROW, FULL, 2)
    assert means.tolist() == [[[2.0, 0.0], [0.0, 3.0]]]
    assert filled.tolist() == [[True, True]]
    mask = torch.tensor([[True, True, True, False]])
    means, filled = span_means(ROW, mask, 2)
    assert means.tolist() == [[[2.0, 0.0], [0.0, 2.0]]]
    means, filled = span_means(ROW, mask, 4)
    assert means.tolist() == [[[1.0, 0.0], [3.0, 0.0], [0.0, 2.0], [0.0, 0.0]]]
    assert filled.tolist() == [[True, True, True, False]]


def test_padding_on_the_left_changes_nothing() -> None:
    mask = torch.tensor([[False, True, True, True]])
    shifted = torch.cat([torch.full((1, 1, 2), 50.0), ROW[:, :3]], dim=1)
    means, filled = span_means(shifted, mask, 2)
    expected, same = span_means(ROW[:, :3], torch.ones((1, 3), dtype=torch.bool), 2)
    assert torch.equal(means, expected)
    assert torch.equal(filled, same)


def test_distance_by_hand() -> None:
    """Halves (2, 0) and (0, 3) beside (1, 1) and (0, 5): 1 - 1 / sqrt 2, and 0."""
    teacher = torch.tensor([[[1.0, 1.0], [1.0, 1.0], [0.0, 4.0], [0.0, 6.0]]], requires_grad=True)
    student = ROW.clone().requires_grad_(True)
    total, count = span_cosine(student, teacher, FULL, 2)
    assert (total.item(), count.item()) == (pytest.approx(1 - 2**-0.5, abs=1e-6), 2.0)
    total.backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert (student.grad[0, :2].abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize("num_spans", [1, 2, 3])
def test_garbage_at_padding_changes_nothing_and_gradients_are_right(num_spans: int) -> None:
    student, teacher = states(), states(seed=1)
    expected = span_cosine(student, teacher, MASK, num_spans)
    found = span_cosine(garbled(student), garbled(teacher), MASK, num_spans)
    assert torch.allclose(found[0], expected[0])
    assert torch.equal(found[1], expected[1])
    assert torch.autograd.gradcheck(
        lambda own: span_cosine(own, teacher, MASK, num_spans)[0], student.requires_grad_(True)
    )


def test_one_span_is_the_mean_and_a_span_for_each_token_the_tokens() -> None:
    student, teacher = states(), states(seed=1)
    means, _ = span_means(student, MASK, 1)
    assert torch.allclose(means[:, 0], mean_over_tokens(student, MASK))
    whole = MASK[:1]
    assert torch.allclose(
        span_cosine(student[:1], teacher[:1], whole, 4)[0], token_cosine(student[:1], teacher[:1], whole)[0]
    )


def test_a_common_rotation_and_a_longer_teacher_change_nothing() -> None:
    student, teacher, turn = states(), states(seed=1), rotation(8)
    expected, _ = span_cosine(student, teacher, MASK, 2)
    found, _ = span_cosine(student @ turn, 7.0 * teacher @ turn, MASK, 2)
    assert torch.allclose(found, expected)
