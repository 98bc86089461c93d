import torch

from retkd.students.scoring import in_batch_scores, own_scores


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
