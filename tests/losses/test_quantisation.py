import pytest
import torch

from retkd.losses.quantisation import eight_bits, signs


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_signs_by_hand() -> None:
    """Four dimensions: plus and minus one half; 0 is positive."""
    assert signs(torch.tensor([[3.0, -0.1, 0.0, -7.0]])).tolist() == [[0.5, -0.5, 0.5, -0.5]]
    assert signs(drawn(5, 48)).norm(dim=1).tolist() == pytest.approx([1.0] * 5)


def test_eight_bits_by_hand() -> None:
    """A dimension from 0 to 255 has steps of 1; a constant one stays."""
    vectors = torch.tensor([[0.0, 2.0], [255.0, 2.0], [100.4, 2.0], [7.6, 2.0]])
    assert torch.allclose(eight_bits(vectors), torch.tensor([[0.0, 2.0], [255.0, 2.0], [100.0, 2.0], [8.0, 2.0]]))
    vectors = drawn(20, 6)
    span = vectors.amax(0) - vectors.amin(0)
    assert ((eight_bits(vectors) - vectors).abs() <= span / 510 + 1e-12).all()


@pytest.mark.parametrize("held", [signs, eight_bits])
def test_the_gradient_goes_straight_through(held) -> None:
    vectors, weight = drawn(4, 5).requires_grad_(True), drawn(4, 5, seed=1)
    (found,) = torch.autograd.grad((held(vectors) * weight).sum(), vectors)
    assert torch.equal(found, weight)
    assert torch.allclose(held(held(vectors)), held(vectors))
