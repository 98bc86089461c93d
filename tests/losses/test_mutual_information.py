import math

import pytest
import torch

from retkd.losses.mutual_information import information_loss


def drawn(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn((count, count), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_at_one_it_is_the_cross_entropy_less_log_n() -> None:
    """InfoNCE over the rows of each column."""
    scores = drawn(6)
    entropy = torch.nn.functional.cross_entropy(scores.T, torch.arange(6))
    assert information_loss(scores).item() == pytest.approx(entropy.item() - math.log(6), abs=1e-12)


def test_at_nought_it_is_the_bound_of_nguyen_wainwright_and_jordan() -> None:
    """Minus (mean of own scores - mean of the exponentials of the others / e)."""
    scores = drawn(5)
    others = scores[~torch.eye(5, dtype=torch.bool)]
    expected = others.exp().mean() / math.e - scores.diagonal().mean()
    assert information_loss(scores, alpha=0.0).item() == pytest.approx(expected.item(), abs=1e-12)


def test_in_between_by_hand() -> None:
    """Two texts, own scores 1, others 0, alpha 1/2: q = (e + 1)/4 + e/2, r = 1/2 + e/2."""
    scores = torch.eye(2, dtype=torch.float64)
    q, r = (math.e + 1) / 4 + math.e / 2, 0.5 + math.e / 2
    assert information_loss(scores, alpha=0.5).item() == pytest.approx(math.log(q) - 1 - 1 + 1 / r, abs=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_gradcheck(alpha: float) -> None:
    assert torch.autograd.gradcheck(lambda s: information_loss(s, alpha=alpha), drawn(4).requires_grad_(True))


def test_it_nears_its_ends() -> None:
    scores = drawn(4)
    for end, near in ((0.0, 1e-9), (1.0, 1 - 1e-9)):
        assert information_loss(scores, alpha=near).item() == pytest.approx(
            information_loss(scores, alpha=end).item(), abs=1e-6
        )


def test_at_perfect_alignment_it_is_at_least_log_of_one_over_n() -> None:
    """METHODS part 2, Distiller."""
    for scale in (1.0, 10.0, 1000.0):
        assert information_loss(scale * torch.eye(8, dtype=torch.float64)).item() >= math.log(1 / 8)
    assert information_loss(1000 * torch.eye(8, dtype=torch.float64)).item() == pytest.approx(-math.log(8))


def test_one_text_gives_zero_and_can_be_differentiated() -> None:
    scores = torch.ones((1, 1), requires_grad=True)
    loss = information_loss(scores)
    loss.backward()
    assert loss.item() == 0.0
