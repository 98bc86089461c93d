"""How a training batch is cut into passes, and the one look-up of word vectors that they share."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

from retkd.batching import default_tokens_per_batch, pass_limits
from retkd.objectives.kl import KL
from retkd.training import collator, distillation
from retkd.training.collator import Collator, chunks
from retkd.training.distillation import DistilledEncoder, looked_up, word_embeddings
from tests.distilling import examples, student


def price(lengths: np.ndarray, found: list[tuple[int, int]], cost: int) -> int:
    return sum(int(lengths[start]) * (stop - start) + cost for start, stop in found)


@pytest.mark.parametrize("cost", [1, 20, 10_000])
def test_chunks_cost_the_least_of_all_ways_to_cut(cost: int) -> None:
    lengths = np.sort(np.random.default_rng(cost).integers(3, 60, size=10))[::-1]
    ways = (
        list(zip((0, *cuts), (*cuts, 10), strict=True)) for n in range(10) for cuts in combinations(range(1, 10), n)
    )
    found = chunks(lengths, cost)
    assert [start for start, _ in found] == [0, *(stop for _, stop in found[:-1])]
    assert found[-1][1] == 10
    assert price(lengths, found, cost) == min(price(lengths, way, cost) for way in ways)


def test_one_text_is_one_chunk() -> None:
    assert chunks(np.array([7])) == [(0, 1)]


def test_no_chunk_holds_more_than_it_should() -> None:
    """The bound holds, every text is in one chunk, and a text that is longer than the bound has a chunk of its own."""
    lengths = np.sort(np.random.default_rng(3).integers(3, 60, size=50))[::-1].copy()
    found = chunks(lengths, cost=64, most_tokens=40)
    assert [start for start, _ in found] == [0, *(stop for _, stop in found[:-1])]
    assert found[-1][1] == 50
    assert all(lengths[start] * (stop - start) <= 40 or stop - start == 1 for start, stop in found)
    assert len(found) > len(chunks(lengths, cost=64))


def test_an_accelerator_is_given_more_at_once() -> None:
    assert pass_limits("cpu")[0] < pass_limits("cuda")[0]
    assert pass_limits("cuda")[1] is None
    assert 1024 <= default_tokens_per_batch("cpu") < default_tokens_per_batch("cuda")


def test_one_look_up_gives_the_same_loss_and_gradient(encoder_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a look-up of token ids chunk by chunk; and it is one, for the queries and all chunks of documents."""
    encoder = student(encoder_folder)
    encoder.model.eval()
    model = DistilledEncoder(encoder, [KL(teacher="ce")])
    monkeypatch.setattr(collator, "pass_limits", lambda _: (2, None))
    batch = Collator(encoder)(examples()[:4])["batch"]
    assert len(batch.documents) >= 2
    table = word_embeddings(model.source)
    assert table is not None
    calls: list[object] = []
    hook = table.register_forward_hook(lambda *_: calls.append(None))

    def loss_and_gradient() -> tuple[torch.Tensor, torch.Tensor]:
        model.zero_grad()
        loss = model(batch)["loss"]
        loss.backward()
        return loss.detach(), table.weight.grad.clone()

    loss, gradient = loss_and_gradient()
    assert len(calls) == 1
    monkeypatch.setattr(distillation, "word_embeddings", lambda encoder: None)
    expected_loss, expected_gradient = loss_and_gradient()
    hook.remove()
    assert len(calls) == 1 + 1 + len(batch.documents)
    assert torch.equal(loss, expected_loss)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-7)


def test_a_model_that_only_takes_token_ids_is_given_them() -> None:
    chunk = {"input_ids": torch.tensor([[1, 2]])}
    assert looked_up(None, [chunk]) == [chunk]
