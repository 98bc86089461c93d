import pytest
import torch

from retkd.losses.listwise import kl
from retkd.losses.subclasses import subclass_kl, subclass_logits
from tests.losses.lists import GARBAGE, assert_ignored, ragged


def features(seed: int, directions: int) -> torch.Tensor:
    return torch.randn((4, 6, directions), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def plain(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> float:
    return kl(student, teacher, mask, student_temperature=1.0, teacher_temperature=1.0).item()


def test_one_subclass_is_plain_kl() -> None:
    lists = ragged(0)
    student, teacher = (subclass_logits(s, features(0, 0), temperature=1.0) for s in (lists.student, lists.teacher))
    expected = plain(lists.student, lists.teacher, lists.mask)
    assert subclass_kl(student, teacher, lists.mask).item() == pytest.approx(expected, abs=1e-12)


def test_subclass_probabilities_add_up_to_the_class() -> None:
    scores = ragged(1).student
    logits = subclass_logits(scores, features(1, 3), temperature=0.7)
    assert logits.shape == (4, 6, 6)
    assert torch.allclose(torch.softmax(logits.flatten(1), 1).view(4, 6, 6).sum(2), torch.softmax(scores, 1))


def test_it_is_the_lists_kl_and_the_mean_kl_of_shares_under_the_teacher() -> None:
    """The chain rule: equal features leave the list's KL alone; others add to it."""
    lists = ragged(2)
    same, other = features(2, 2), features(3, 2)
    teacher = subclass_logits(lists.teacher, same, temperature=1.0)
    expected = plain(lists.student, lists.teacher, lists.mask)
    equal = subclass_kl(subclass_logits(lists.student, same, temperature=1.0), teacher, lists.mask).item()
    assert equal == pytest.approx(expected, abs=1e-10)
    student = subclass_logits(lists.student, other, temperature=1.0)
    shares = [torch.log_softmax(torch.cat([f, -f], -1), -1) for f in (same, other)]
    inner = (shares[0].exp() * (shares[0] - shares[1])).sum(-1)
    weight = torch.softmax(lists.teacher.masked_fill(~lists.mask, -torch.inf), 1)
    found = subclass_kl(student, teacher, lists.mask).item()
    assert found == pytest.approx(expected + (weight * inner).sum(1).mean().item(), abs=1e-10)


@pytest.mark.parametrize("fill", GARBAGE)
def test_what_is_masked_does_not_matter(fill: float) -> None:
    lists = ragged(3)
    teacher = subclass_logits(lists.teacher, features(3, 2), temperature=1.0)
    assert_ignored(
        lambda s: subclass_kl(subclass_logits(s, features(4, 2), temperature=1.0), teacher, lists.mask),
        lists.student,
        lists.mask,
        fill,
    )


def test_gradcheck() -> None:
    lists = ragged(4)
    teacher = subclass_logits(lists.teacher, features(5, 2), temperature=1.0)
    own = features(6, 2).requires_grad_(True)
    assert torch.autograd.gradcheck(
        lambda s, f: subclass_kl(subclass_logits(s, f, temperature=1.0), teacher, lists.mask),
        (lists.student.clone().requires_grad_(True), own),
    )
