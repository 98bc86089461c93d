import torch

from retkd.encoders.token_encoder import maxsim
from retkd.losses.listwise import kl
from retkd.students.scoring import TokenVectors, in_batch_maxsim, in_batch_scores, own_scores


def test_scores_are_inner_products_of_every_query_with_every_document() -> None:
    queries = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
    documents = torch.tensor([[3.0, 1.0], [0.5, 0.0], [1.0, 1.0]])
    assert in_batch_scores(queries, documents).tolist() == [[5.0, 0.5, 3.0], [-1.0, 0.0, -1.0]]


def test_own_scores_follow_the_index_and_carry_the_gradient_back() -> None:
    in_batch = torch.tensor([[5.0, 0.5, 3.0], [-1.0, 0.0, -2.0]], requires_grad=True)
    own = own_scores(in_batch, torch.tensor([[2, 0], [1, 1]]))
    assert own.tolist() == [[3.0, 5.0], [0.0, 0.0]]
    (found,) = torch.autograd.grad(own.sum(), in_batch)
    assert found.tolist() == [[1.0, 0.0, 1.0], [0.0, 2.0, 0.0]]


def test_maxsim_of_every_query_with_every_document_by_hand() -> None:
    """Query (1, 0), (0, 1) and padding of 7; document (3, 1), (-1, 2) and padding of 9: 3 + 2. A second document: -1 + 0."""
    queries = TokenVectors(torch.tensor([[[1.0, 0.0], [0.0, 1.0], [7.0, 7.0]]]), torch.tensor([[True, True, False]]))
    vectors = torch.tensor([[[3.0, 1.0], [-1.0, 2.0], [9.0, 9.0]], [[-1.0, 0.0], [9.0, 9.0], [9.0, 9.0]]])
    documents = TokenVectors(vectors, torch.tensor([[True, True, False], [True, False, False]]))
    assert in_batch_maxsim(queries, documents).tolist() == [[5.0, -1.0]]


def test_maxsim_is_that_of_pairs_and_its_gradient_goes_to_the_nearest() -> None:
    torch.manual_seed(0)
    queries = TokenVectors(torch.randn(3, 4, 5, requires_grad=True), torch.ones(3, 4, dtype=torch.bool))
    documents = TokenVectors(torch.randn(2, 6, 5, requires_grad=True), torch.ones(2, 6, dtype=torch.bool))
    scores = in_batch_maxsim(queries, documents)
    for row in range(2):
        alone = TokenVectors(
            documents.vectors[row : row + 1].expand(3, -1, -1), documents.mask[row : row + 1].expand(3, -1)
        )
        pairs = maxsim(queries.vectors, queries.mask, alone.vectors, alone.mask)
        assert torch.allclose(scores[:, row], pairs, atol=1e-5)
    (found,) = torch.autograd.grad(scores[0, 0], documents.vectors)
    nearest = (queries.vectors[0] @ documents.vectors[0].T).argmax(dim=1)
    assert set(torch.nonzero(found[0].abs().sum(dim=1)).flatten().tolist()) == set(nearest.tolist())
    assert found[1].abs().sum() == 0


def test_scores_see_a_query_along_the_documents_alone() -> None:
    """Lupart et al. 2025: what is orthogonal to every candidate changes no score and no KL, but it does change the vector."""
    torch.manual_seed(0)
    query, documents, teacher = torch.randn(1, 8), torch.randn(5, 8), torch.randn(1, 5)
    basis = torch.linalg.qr(documents.T).Q
    outside = torch.randn(1, 8)
    outside = outside - (outside @ basis) @ basis.T
    mask = torch.ones(1, 5, dtype=torch.bool)

    def loss(vector: torch.Tensor) -> torch.Tensor:
        return kl(in_batch_scores(vector, documents), teacher, mask, student_temperature=1.0, teacher_temperature=1.0)

    assert torch.allclose(loss(query), loss(query + outside), atol=1e-5)
    assert torch.nn.functional.mse_loss(query, query + outside) > 0.1
