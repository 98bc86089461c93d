import pytest
import torch

from retkd.losses.gradients import contrastive_pull, pull_mse

TARGET = torch.tensor([[True, False, False, False], [False, True, True, False], [False, False, False, False]])


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_what_is_written_out_equals_autograd() -> None:
    """METHODS 1.9. The third query has no target and counts for nothing."""
    queries, documents = drawn(3, 5).requires_grad_(True), drawn(4, 5, seed=1).requires_grad_(True)
    even = TARGET.double() / TARGET.sum(1, keepdim=True).clamp(min=1)
    loss = -(even * torch.log_softmax(queries @ documents.T / 0.3, 1)).sum() / 2
    expected = torch.autograd.grad(loss, [queries, documents])
    found = contrastive_pull(queries, documents, TARGET, temperature=0.3)
    for own, told in zip(found, expected, strict=True):
        assert torch.allclose(own, told)
    assert (found.queries[2] == 0).all()


def test_of_the_teacher_itself_it_is_zero_and_it_can_be_differentiated() -> None:
    queries, documents = drawn(3, 5), drawn(4, 5, seed=1)
    teacher = contrastive_pull(drawn(3, 5, seed=2), drawn(4, 5, seed=3), TARGET, temperature=0.5)

    def loss(q: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
        return pull_mse(contrastive_pull(q, d, TARGET, temperature=0.5), teacher)

    own = contrastive_pull(queries, documents, TARGET, temperature=0.5)
    assert pull_mse(own, own).item() == 0.0
    assert loss(queries, documents).item() > 0
    assert torch.autograd.gradcheck(loss, (queries.requires_grad_(True), documents.requires_grad_(True)))


def test_without_a_target_nothing_pulls() -> None:
    found = contrastive_pull(drawn(2, 3), drawn(4, 3), torch.zeros((2, 4), dtype=torch.bool), temperature=0.1)
    assert all((each == 0).all() for each in found)


def test_by_hand() -> None:
    """One query (1, 0), documents (1, 0) and (0, 1), the first its target, T = 1: p = (s, 1 - s) with s = e / (e + 1)."""
    s = torch.sigmoid(torch.tensor(1.0)).item()
    found = contrastive_pull(torch.tensor([[1.0, 0.0]]), torch.eye(2), torch.tensor([[True, False]]), temperature=1.0)
    assert found.queries.tolist() == [pytest.approx([s - 1, 1 - s])]
    assert found.documents.tolist() == [pytest.approx([s - 1, 0.0]), pytest.approx([1 - s, 0.0])]
