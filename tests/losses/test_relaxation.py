"""What matching scores leaves free and matching vectors does not (DiSCo, Lupart et al. 2025)."""

import torch

from retkd.losses.listwise import kl
from retkd.losses.pairwise import all_pairs_mse
from retkd.students.scoring import in_batch_scores, own_scores

DIM, CANDIDATES = 16, 5


def made(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Student queries ``[query, dim]``, documents ``[doc, dim]``, and noise that is orthogonal to every document."""
    generator = torch.Generator().manual_seed(seed)
    queries = torch.randn((3, DIM), generator=generator, dtype=torch.float64)
    documents = torch.randn((CANDIDATES, DIM), generator=generator, dtype=torch.float64)
    noise = torch.randn((3, DIM), generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(documents.T).Q
    return queries, documents, noise - noise @ basis @ basis.T


def test_noise_orthogonal_to_every_candidate_changes_vectors_and_no_score() -> None:
    """Replacing q by q + n leaves the losses of scores as they are, and moves the squared distance to the teacher's vector."""
    queries, documents, noise = made(0)
    teacher_vectors, _, _ = made(1)
    teacher = in_batch_scores(teacher_vectors, documents)
    mask = torch.ones((3, CANDIDATES), dtype=torch.bool)
    candidates = torch.arange(CANDIDATES).expand(3, -1)
    losses = []
    for vectors in (queries, queries + 10 * noise):
        scores = own_scores(in_batch_scores(vectors, documents), candidates)
        losses.append(
            (
                kl(scores, teacher, mask, student_temperature=1.0, teacher_temperature=1.0).item(),
                all_pairs_mse(scores, teacher, mask).item(),
                torch.nn.functional.mse_loss(vectors, teacher_vectors).item(),
            )
        )
    (one_kl, one_margins, one_vectors), (other_kl, other_margins, other_vectors) = losses
    assert abs(one_kl - other_kl) < 1e-9
    assert abs(one_margins - other_margins) < 1e-9
    assert one_kl > 0.1
    assert other_vectors > one_vectors + 1.0


def test_the_gradient_of_a_query_lies_within_its_candidates() -> None:
    queries, documents, noise = made(2)
    teacher = torch.randn((3, CANDIDATES), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    vectors = queries.requires_grad_(True)
    mask = torch.ones((3, CANDIDATES), dtype=torch.bool)
    loss = kl(in_batch_scores(vectors, documents), teacher, mask, student_temperature=1.0, teacher_temperature=1.0)
    (found,) = torch.autograd.grad(loss, vectors)
    assert found.norm() > 0.1
    assert (found * noise).sum(dim=1).abs().max() < 1e-9
