import pytest
import torch

from retkd.losses.mixup import mixed, mixed_distributions

ORDER = torch.tensor([1, 2, 0])


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_by_hand() -> None:
    """Halfway between (1, 0) and (0, 1)."""
    found = mixed(torch.eye(2), torch.tensor([1, 0]), torch.tensor(0.5))
    assert found.tolist() == [pytest.approx([0.5**0.5] * 2)] * 2
    told = mixed_distributions(
        torch.tensor([[0.0, 0.0], [50.0, -50.0]]), torch.tensor([1, 0]), torch.tensor(0.25), temperature=1.0
    )
    assert told.tolist() == [pytest.approx([0.875, 0.125]), pytest.approx([0.625, 0.375])]


def test_all_of_one_is_that_one() -> None:
    vectors, scores = torch.nn.functional.normalize(drawn(3, 4), dim=1), drawn(3, 5)
    whole = torch.softmax(scores / 0.2, 1)
    for share, order in ((1.0, [0, 1, 2]), (0.0, ORDER.tolist())):
        told = torch.tensor(share, dtype=torch.float64)
        assert torch.allclose(mixed(vectors, ORDER, told), vectors[order])
        assert torch.allclose(mixed_distributions(scores, ORDER, told, temperature=0.2), whole[order])


def test_targets_add_up_to_one_and_are_detached() -> None:
    scores = drawn(3, 5).requires_grad_(True)
    target = mixed_distributions(scores, ORDER, torch.tensor(0.3), temperature=0.1)
    assert target.sum(1).tolist() == pytest.approx([1.0] * 3)
    assert not target.requires_grad
    share = torch.tensor(0.3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda v: mixed(v, ORDER, share), drawn(3, 4, seed=1).requires_grad_(True))
