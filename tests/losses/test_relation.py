import pytest
import torch

from retkd.losses.relation import gram, gram_mse


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(dim: int) -> torch.Tensor:
    return torch.linalg.qr(drawn(dim, dim, seed=9)).Q


def test_by_hand() -> None:
    """Student vectors at 90 degrees, teacher's at 60: (0 - 1/2)^2, whichever of the two is first."""
    student = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    teacher = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.75**0.5, 0.0]])
    assert gram_mse(student, teacher).item() == pytest.approx(0.25)


def test_a_rotation_or_another_length_of_either_space_changes_nothing() -> None:
    student, teacher = drawn(5, 4), drawn(5, 3, seed=1)
    value = gram_mse(student, teacher).item()
    assert value > 0.01
    assert gram_mse(student @ rotation(4) * 2.0, teacher @ rotation(3)).item() == pytest.approx(value)
    assert gram_mse(teacher @ rotation(3), teacher).item() == pytest.approx(0.0, abs=1e-20)


def test_gram_holds_cosines() -> None:
    vectors = drawn(3, 4)
    expected = torch.nn.functional.cosine_similarity(vectors[0], vectors[1], dim=0)
    assert gram(vectors)[0, 1].item() == pytest.approx(expected.item())
    assert gram(vectors).diagonal().tolist() == pytest.approx([1.0] * 3)


def test_gradcheck_and_a_detached_target() -> None:
    teacher = drawn(4, 3).requires_grad_(True)
    student = drawn(4, 2, seed=1).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda s: gram_mse(s, teacher.detach()), student)
    assert torch.autograd.grad(gram_mse(student, teacher), teacher, allow_unused=True) == (None,)


def test_a_single_text_has_no_relation() -> None:
    assert gram_mse(drawn(1, 4), drawn(1, 3)).item() == 0.0
