"""Objectives: their parameters around the losses, and which scores of a batch they may see."""

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from retkd import candidates
from retkd.batch import Batch, ScoredBatch
from retkd.errors import ScaleError
from retkd.losses.contrastive import infonce
from retkd.losses.lambda_mrr import lambda_mrr
from retkd.losses.listwise import kl, localised_contrastive, standardised
from retkd.losses.pairwise import margin_mse
from retkd.objectives import OBJECTIVES
from retkd.objectives.base import Objective
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.in_batch_kl import InBatchKL
from retkd.objectives.kl import KL
from retkd.objectives.lambda_mrr import LambdaMRR
from retkd.objectives.margin_mse import MarginMSE
from retkd.students.scoring import own_scores
from tests.tables import rows_of, scored

TEACHER = torch.tensor([[4.0, -1.0, 2.0], [0.5, 3.0, 0.0]])
TEACHER_TERMS: list[Objective] = [KL(teacher="ce"), MarginMSE(teacher="ce")]


def made(in_batch: torch.Tensor | None = None) -> ScoredBatch:
    """Two queries, five documents. The first owns 0 (relevant), 1, 2; the second 3 (relevant) and 1.

    Document 2, which only the first brought, is relevant to the second as well.
    """
    batch = Batch(
        query_ids=("a", "b"),
        doc_ids=("0", "1", "2", "3", "4"),
        queries={},
        documents=(),
        candidates=torch.tensor([[0, 1, 2], [3, 1, 0]]),
        mask=torch.tensor([[True, True, True], [True, True, False]]),
        relevance=torch.tensor([[1, 0, 0], [2, 0, 0]]),
        positives=torch.tensor([[True, False, False, False, False], [False, False, True, True, False]]),
        teachers={"ce": TEACHER},
    )
    if in_batch is None:
        in_batch = torch.randn((2, 5), generator=torch.Generator().manual_seed(0))
    in_batch = in_batch.requires_grad_(True)
    return ScoredBatch(batch, own_scores(in_batch, batch.candidates), in_batch)


def test_kl_passes_its_temperatures_on() -> None:
    scored_batch = made()
    term = KL(teacher="ce", student_temperature=0.2, teacher_temperature=3.0)
    expected = kl(scored_batch.own, TEACHER, scored_batch.batch.mask, student_temperature=0.2, teacher_temperature=3.0)
    assert term.loss(scored_batch).item() == pytest.approx(expected.item())


def test_kl_can_standardise_the_teachers_lists() -> None:
    scored_batch = made()
    mask = scored_batch.batch.mask
    expected = kl(
        scored_batch.own, standardised(TEACHER, mask), mask, student_temperature=0.05, teacher_temperature=1.0
    )
    found = KL(teacher="ce", standardise=True).loss(scored_batch).item()
    assert found == pytest.approx(expected.item())
    assert found != pytest.approx(KL(teacher="ce").loss(scored_batch).item())


def test_margin_mse_scales_both_sides() -> None:
    scored_batch = made()
    batch = scored_batch.batch
    expected = margin_mse(scored_batch.own * 7.0, TEACHER * 0.5, batch.positive, batch.mask)
    found = MarginMSE(teacher="ce", student_scale=7.0, teacher_scale=0.5).loss(scored_batch)
    assert found.item() == pytest.approx(expected.item())


def test_lambda_mrr_scales_the_student_and_reads_a_teacher_that_only_ranks() -> None:
    scored_batch = made()
    expected = lambda_mrr(scored_batch.own * 7.0, TEACHER, scored_batch.batch.mask)
    term = LambdaMRR(teacher="ce", student_scale=7.0)
    assert term.loss(scored_batch).item() == pytest.approx(expected.item())
    rows = scored(rows_of({"q": [("d0", 1.0, 1)]}), "ce", [1.0], "rank")
    assert candidates.require_scale(rows, "ce", term.SCALES, "lambda_mrr", term.RULE) == "rank"


@pytest.mark.parametrize("term", [*TEACHER_TERMS, LambdaMRR(teacher="ce")], ids=lambda term: term.kind)
def test_a_teacher_term_never_sees_a_pair_that_the_teacher_has_not_scored(term: Objective) -> None:
    """METHODS part 4, 6: the other query's documents and the masked place get no gradient."""
    scored_batch = made()
    (found,) = torch.autograd.grad(term.loss(scored_batch), scored_batch.in_batch)
    own = torch.tensor([[True, True, True, False, False], [False, True, False, True, False]])
    assert (found[own] != 0).all()
    assert (found[~own] == 0).all()


def test_infonce_by_hand() -> None:
    """Query a: document 0 against 1, 2, 3, 4. Query b: 3 against 0, 1, 4, for 2 is relevant to it though not its own."""
    scores = torch.tensor([[2.0, 1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 50.0, 2.0, 0.0]])
    a = math.log(1 + 2 * math.exp(-1) + 2 * math.exp(-2))
    b = math.log(1 + math.exp(-1) + 2 * math.exp(-2))
    assert InfoNCE(temperature=1.0).loss(made(scores)).item() == pytest.approx((a + b) / 2, abs=1e-6)


def test_infonce_pushes_documents_that_other_queries_brought() -> None:
    scored_batch = made()
    (found,) = torch.autograd.grad(InfoNCE(temperature=0.5).loss(scored_batch), scored_batch.in_batch)
    assert (found[0, 1:] > 0).all()
    assert found[0, 0] < 0
    assert found[1, 3] < 0
    assert found[1, 2] == 0
    assert (found[1, [0, 1, 4]] > 0).all()


def test_infonce_learns_a_positive_that_the_collection_does_not_judge() -> None:
    """The table's relevance is the target, also where the qrels of the batch do not name it."""
    scored_batch = made()
    batch = Batch(**{**vars(scored_batch.batch), "positives": torch.zeros((2, 5), dtype=torch.bool)})
    target = torch.tensor([[True, False, False, False, False], [False, False, False, True, False]])
    expected = infonce(scored_batch.in_batch, target, target, temperature=0.05)
    found = InfoNCE().loss(ScoredBatch(batch, scored_batch.own, scored_batch.in_batch))
    assert found.item() == pytest.approx(expected.item())


def test_infonce_without_the_batch_sees_own_candidates_alone() -> None:
    scored_batch = made()
    batch = scored_batch.batch
    loss = InfoNCE(temperature=0.5, in_batch=False).loss(scored_batch)
    expected = localised_contrastive(scored_batch.own / 0.5, batch.positive, batch.mask)
    assert loss.item() == pytest.approx(expected.item())
    (found,) = torch.autograd.grad(loss, scored_batch.in_batch)
    assert (found[0, 3:] == 0).all()
    assert (found[1, [0, 2, 4]] == 0).all()


def test_in_batch_kl_sees_every_document_of_the_batch() -> None:
    """The gradient of query a by hand: (softmax(s / 0.5) - softmax(t / 2)) / 0.5, over the two queries."""
    scored_batch = made()
    teacher = torch.tensor([[3.0, 1.0, 0.0, 2.0, -1.0], [0.0, 1.0, 2.0, 4.0, 0.5]])
    batch = Batch(**{**vars(scored_batch.batch), "in_batch_teachers": {"base": teacher}})
    term = InBatchKL(model="base", student_temperature=0.5, teacher_temperature=2.0)
    loss = term.loss(ScoredBatch(batch, scored_batch.own, scored_batch.in_batch))
    (found,) = torch.autograd.grad(loss, scored_batch.in_batch)
    expected = (torch.softmax(scored_batch.in_batch / 0.5, 1) - torch.softmax(teacher / 2, 1)) / 0.5 / 2
    assert torch.allclose(found, expected, atol=1e-6)
    assert (found != 0).all()


def test_in_batch_kl_of_the_teachers_own_scores_is_zero() -> None:
    scored_batch = made()
    batch = Batch(**{**vars(scored_batch.batch), "in_batch_teachers": {"base": scored_batch.in_batch.detach() + 3.0}})
    loss = InBatchKL(model="base").loss(ScoredBatch(batch, scored_batch.own, scored_batch.in_batch))
    assert loss.item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("scale", ["probability", "rank"])
@pytest.mark.parametrize("term", TEACHER_TERMS, ids=lambda term: term.kind)
def test_a_scale_without_meaningful_differences_is_refused_with_the_rule(term: Any, scale: Any) -> None:
    rows = scored(rows_of({"q": [("x", 2.0, 1), ("y", 1.0, None)]}), "ce", [0.9, 0.1], scale)
    with pytest.raises(ScaleError) as error:
        candidates.require_scale(rows, "ce", term.SCALES, f"the objective {term.kind!r}", term.RULE)
    assert str(error.value) == (
        f"the objective {term.kind!r} cannot use the scores of teacher 'ce'\n"
        "  where: column teacher.ce\n"
        f"  seen: scale {scale!r}\n"
        "  allowed: logit, log_probability, cosine, unbounded, standardised\n"
        f"  next step: {term.RULE}"
    )
    assert "take the logit of a probability" in term.RULE


@pytest.mark.parametrize("kind", sorted(OBJECTIVES))
@pytest.mark.parametrize("weight", [0.0, -1.0])
def test_a_weight_is_positive(kind: str, weight: float) -> None:
    fields = {name: "ce" for name in ("teacher", "model") if name in OBJECTIVES[kind].model_fields}
    with pytest.raises(ValidationError, match="greater than 0"):
        OBJECTIVES[kind](weight=weight, **fields)


def test_which_terms_need_two_candidates_and_which_need_labels() -> None:
    terms = [*TEACHER_TERMS, InfoNCE(), InfoNCE(in_batch=False), InBatchKL(model="base")]
    assert [term.needs_lists for term in terms] == [True, True, False, True, False]
    assert [term.NEEDS_POSITIVES for term in terms] == [False, True, True, True, False]
    assert [term.teacher_name for term in terms] == ["ce", "ce", None, None, None]
