"""A batch holds each document once, in chunks of like length; its scores are those of the texts alone."""

from pathlib import Path

import numpy as np
import pytest
import torch

from retkd.batch import Example
from retkd.encoders.encoder import Encoder
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.kl import KL
from retkd.students.dense import Dense
from retkd.training.collator import Collator
from retkd.training.distillation import DistilledEncoder, labels
from tests.architectures import made
from tests.distilling import examples
from tests.tiny import tiny_encoder, tiny_tokenizer

TEXTS = {f"d{i}": " ".join(["baco"] * (1 + 2 * i)) for i in range(20)}


def example(query_id: str, doc_ids: list[str], relevant: set[str], teacher: list[float]) -> Example:
    return Example(
        query_id=query_id,
        query=f"difun {query_id}",
        doc_ids=tuple(doc_ids),
        documents=tuple(TEXTS[d] for d in doc_ids),
        relevance=tuple(int(d in relevant) for d in doc_ids),
        teachers={"ce": tuple(teacher)},
        all_positives=frozenset(relevant),
    )


THREE = [
    example("a", ["d5", "d1", "d9"], {"d5"}, [3.0, 1.0, 2.0]),
    example("b", ["d1", "d2"], {"d2", "d9", "d19"}, [0.5, 0.25]),
    example("c", ["d7", "d5", "d1", "d0"], {"d0", "d7"}, [4.0, 3.0, 2.0, 1.0]),
]


def test_each_document_stands_once_and_everything_points_at_it(encoder_folder: Path) -> None:
    batch = Collator(Encoder.load(encoder_folder))(THREE)["batch"]
    assert batch.query_ids == ("a", "b", "c")
    assert sorted(batch.doc_ids) == ["d0", "d1", "d2", "d5", "d7", "d9"]
    assert sum(len(chunk["input_ids"]) for chunk in batch.documents) == 6
    assert batch.mask.tolist() == [[True] * 3 + [False], [True] * 2 + [False] * 2, [True] * 4]
    for q, one in enumerate(THREE):
        width = len(one.doc_ids)
        assert tuple(batch.doc_ids[i] for i in batch.candidates[q, :width]) == one.doc_ids
        assert tuple(batch.relevance[q, :width].tolist()) == one.relevance
        assert tuple(batch.teachers["ce"][q, :width].tolist()) == one.teachers["ce"]
        relevant = {batch.doc_ids[d] for d in torch.nonzero(batch.positives[q]).flatten()}
        assert relevant == one.all_positives & set(batch.doc_ids)
    assert batch.positive.tolist() == [
        [True, False, False, False],
        [False, True, False, False],
        [True, False, False, True],
    ]


def test_a_document_that_another_query_brought_is_known_to_be_relevant(encoder_folder: Path) -> None:
    """d9 is a candidate of a alone, and relevant to b: never b's negative in the batch."""
    batch = Collator(Encoder.load(encoder_folder))(THREE)["batch"]
    assert batch.positives[1, batch.doc_ids.index("d9")]
    assert not batch.positives[0, batch.doc_ids.index("d9")]


def assert_scores_are_those_of_every_text_alone(encoder: Encoder) -> None:
    lists = examples(num_queries=9)
    model = DistilledEncoder(encoder, [InfoNCE()]).eval()
    with torch.no_grad():
        scored = model.score(Collator(encoder)(lists)["batch"])
    assert len(scored.batch.documents) > 1
    texts = {d: text for one in lists for d, text in zip(one.doc_ids, one.documents, strict=True)}
    documents = np.concatenate([encoder.encode([texts[d]], "document") for d in scored.batch.doc_ids])
    queries = np.concatenate([encoder.encode([one.query], "query") for one in lists])
    assert np.allclose(scored.in_batch.numpy(), queries @ documents.T, atol=1e-5)
    for q, one in enumerate(lists):
        own = [queries[q] @ encoder.encode([text], "document")[0] for text in one.documents]
        assert np.allclose(scored.own[q, : len(own)].numpy(), own, atol=1e-5)


@pytest.mark.parametrize("prompts", [None, {"query": "find: ", "document": "text: "}, "not pooled"])
def test_scores_are_those_of_every_text_alone(tmp_path: Path, prompts: object) -> None:
    told = {"query": "find: ", "document": "text: "} if prompts == "not pooled" else prompts
    encoder = Encoder.load(tiny_encoder(tmp_path / "encoder", prompts=told))  # type: ignore[arg-type]
    if prompts == "not pooled":
        encoder.model[1].include_prompt = False
    assert_scores_are_those_of_every_text_alone(encoder)


@pytest.mark.parametrize("kind", ["xlm-roberta", "mpnet", "modernbert", "distilbert"])
def test_the_same_on_other_architectures(tmp_path: Path, kind: str) -> None:
    """Their positions, padding and token types differ."""
    tokenizer = tiny_tokenizer()
    model = made(kind, vocab_size=len(tokenizer), initializer_range=0.2)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert_scores_are_those_of_every_text_alone(Dense(base="base").build(tmp_path, "cpu"))


def test_chunks_are_padded_to_their_own_longest_text(encoder_folder: Path) -> None:
    everything = [example("a", list(TEXTS), {"d0"}, [0.0] * 20)]
    batch = Collator(Encoder.load(encoder_folder))(everything)["batch"]
    assert len(batch.documents) > 1
    assert batch.doc_ids == tuple(f"d{i}" for i in reversed(range(20)))
    assert torch.cat([c["attention_mask"].sum(dim=1) for c in batch.documents]).tolist() == list(range(41, 1, -2))
    for chunk in batch.documents:
        assert (chunk["input_ids"] != 0).sum(dim=1).tolist() == chunk["attention_mask"].sum(dim=1).tolist()
        assert chunk["attention_mask"].sum(dim=1).max() == chunk["attention_mask"].shape[1]


def test_moving_a_batch_keeps_everything(encoder_folder: Path) -> None:
    batch = Collator(Encoder.load(encoder_folder))(THREE)["batch"]
    moved = batch.to("meta")
    assert (moved.query_ids, moved.doc_ids) == (batch.query_ids, batch.doc_ids)
    tensors = [moved.candidates, moved.mask, moved.relevance, moved.positives, moved.teachers["ce"]]
    tensors += [tensor for part in (moved.queries, *moved.documents) for tensor in part.values()]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert len(tensors) == 5 + 3 * (1 + len(batch.documents))


def test_the_loss_is_the_weighted_sum_of_its_terms(encoder_folder: Path) -> None:
    encoder = Encoder.load(encoder_folder)
    terms = [KL(teacher="ce", weight=2.0), InfoNCE(weight=0.25)]
    model = DistilledEncoder(encoder, terms).eval()
    batch = Collator(encoder)(THREE)["batch"]
    found = model(batch)
    assert found["kl"].item() == pytest.approx(terms[0].loss(model.score(batch)).item(), rel=1e-6)
    assert found["infonce"].item() == pytest.approx(terms[1].loss(model.score(batch)).item(), rel=1e-6)
    assert found["loss"].item() == pytest.approx(2 * found["kl"].item() + 0.25 * found["infonce"].item(), rel=1e-6)
    assert found["loss"].requires_grad
    assert not found["kl"].requires_grad
    assert labels(["kl", "kl", "infonce", "kl"]) == ["kl", "kl_2", "infonce", "kl_3"]


def test_scores_are_in_float32_also_where_the_encoder_runs_in_half_precision(encoder_folder: Path) -> None:
    """Rounded vectors, but their inner products are not rounded again."""
    encoder = Encoder.load(encoder_folder)
    model = DistilledEncoder(encoder, [InfoNCE()]).eval()
    batch = Collator(encoder)(THREE)["batch"]
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        scored = model.score(batch)
        queries = model.vectors(batch.queries)
        documents = torch.cat([model.vectors(chunk) for chunk in batch.documents])
    assert scored.in_batch.dtype == torch.float32
    assert torch.equal(scored.in_batch, queries.float() @ documents.float().T)
    assert not torch.equal(scored.in_batch, scored.in_batch.bfloat16().float())
