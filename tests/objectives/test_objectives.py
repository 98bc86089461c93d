"""Objectives: their parameters around the losses, and which scores of a batch they may see."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from retkd import candidates
from retkd.batch import Batch, ScoredBatch
from retkd.errors import ScaleError
from retkd.losses.contrastive import infonce, localised_contrastive
from retkd.losses.listwise import kl, standardised
from retkd.losses.pairwise import margin_mse
from retkd.losses.plackett_luce import partial_ranking
from retkd.losses.pointwise import labels_and_scores
from retkd.objectives import OBJECTIVES
from retkd.objectives.adr_mse import ADRMSE
from retkd.objectives.approx_ndcg import ApproxNDCG
from retkd.objectives.base import Objective
from retkd.objectives.chatbot_mix import ChatbotMix
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.cprd import CPRD
from retkd.objectives.in_batch_kl import InBatchKL
from retkd.objectives.kl import KL
from retkd.objectives.label_bce import LabelBCE
from retkd.objectives.lambda_loss import LambdaLoss
from retkd.objectives.list_mle import ListMLE
from retkd.objectives.m3_kd import M3KD
from retkd.objectives.margin_mse import MarginMSE
from retkd.objectives.pld import PLD
from retkd.objectives.ranknet import RankNet
from retkd.objectives.soft_ce import SoftCE
from retkd.students.scoring import own_scores
from tests.tables import rows_of, scored

TEACHER = torch.tensor([[4.0, -1.0, 2.0], [0.5, 3.0, 0.0]])
TEACHER_TERMS: list[Objective] = [KL(teacher="ce"), MarginMSE(teacher="ce")]
ORDER_TERMS: list[Objective] = [
    RankNet(teacher="ce"),
    ADRMSE(teacher="ce"),
    ListMLE(teacher="ce"),
    ListMLE(teacher="ce", position_aware=True),
    LambdaLoss(teacher="ce"),
    LambdaLoss(teacher="ce", weighing="ndcg_loss2++"),
    ApproxNDCG(teacher="ce"),
]
OTHER_TERMS: list[Objective] = [
    PLD(teacher="ce"),
    M3KD(teacher="ce", in_batch=False),
    MarginMSE(teacher="ce", pairs="all"),
    ChatbotMix(teacher="ce"),
]


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


@pytest.mark.parametrize("term", [*TEACHER_TERMS, *OTHER_TERMS], ids=lambda term: term.kind)
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
    expected = localised_contrastive(scored_batch.own, batch.positive, batch.mask, temperature=0.5)
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


def test_soft_ce_reads_stored_weights_of_own_candidates() -> None:
    scored_batch = made()
    weights = torch.tensor([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
    batch = Batch(**{**vars(scored_batch.batch), "teachers": {"rs": weights}})
    term = SoftCE(teacher="rs", student_temperature=0.5)
    loss = term.loss(ScoredBatch(batch, scored_batch.own, scored_batch.in_batch))
    a, b = torch.log_softmax(scored_batch.own[0] / 0.5, 0), torch.log_softmax(scored_batch.own[1, :2] / 0.5, 0)
    assert loss.item() == pytest.approx(-(0.5 * a[0] + 0.25 * a[1] + 0.25 * a[2] + b[0]).item() / 2, abs=1e-6)
    (found,) = torch.autograd.grad(loss, scored_batch.in_batch)
    own = torch.tensor([[True, True, True, False, False], [False, True, False, True, False]])
    assert (found[~own] == 0).all()


def test_soft_ce_refuses_raw_scores_and_says_where_weights_come_from() -> None:
    rows = scored(rows_of({"q": [("x", 2.0, 1), ("y", 1.0, None)]}), "ce", [0.9, 0.1], "logit")
    with pytest.raises(
        ScaleError, match=r"allowed: distribution\n  next step: soft_ce reads the weights of a sparsify"
    ):
        candidates.require_scale(rows, "ce", SoftCE.SCALES, "the objective 'soft_ce'", SoftCE.RULE)


def test_labels_one_by_one_give_scores_a_zero() -> None:
    """By hand: a relevant candidate at logit 1 and others at -1 have each log(1 + e^-1); at 0 all have log 2."""
    scored_batch = made()
    positive, mask = scored_batch.batch.positive, scored_batch.batch.mask
    own = torch.where(positive, 1.0, -1.0)
    surer = LabelBCE().loss(ScoredBatch(scored_batch.batch, own, scored_batch.in_batch))
    assert surer.item() == pytest.approx(math.log1p(math.exp(-1)))
    neither = LabelBCE(student_scale=2.0, student_bias=-2.0)
    level = ScoredBatch(scored_batch.batch, torch.where(mask, 1.0, 9.0), scored_batch.in_batch)
    assert neither.loss(level).item() == pytest.approx(math.log(2))
    assert LabelBCE().needs_positives


def test_chatbot_mix_copies_the_teachers_numbers_of_own_candidates() -> None:
    scored_batch = made()
    batch = scored_batch.batch
    expected = labels_and_scores(scored_batch.own * 3.0 - 2.0, TEACHER, batch.positive, batch.mask, alpha=0.25)
    found = ChatbotMix(teacher="ce", alpha=0.25, student_scale=3.0, student_bias=-2.0).loss(scored_batch)
    assert found.item() == pytest.approx(expected.item())
    needs = [ChatbotMix(teacher="ce", alpha=alpha).needs_positives for alpha in (0.0, 0.5)]
    assert needs == [False, True]
    rows = scored(rows_of({"q": [("x", 2.0, 1), ("y", 1.0, None)]}), "ce", [0.9, 0.1], "cosine")
    with pytest.raises(ScaleError, match=r"allowed: logit, unbounded\n  next step: chatbot_mix copies raw scores"):
        candidates.require_scale(rows, "ce", ChatbotMix.SCALES, "the objective 'chatbot_mix'", ChatbotMix.RULE)


@pytest.mark.parametrize("scale", ["probability", "rank", "distribution"])
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
    given: dict[str, Any] = {
        "teacher": "ce",
        "model": "ce",
        "mapping": "clip",
        "models": ["ce"],
        "dims": [2],
        "terms": [{"kind": "infonce"}],
    }
    fields = {name: value for name, value in given.items() if name in OBJECTIVES[kind].model_fields}
    with pytest.raises(ValidationError, match="greater than 0"):
        OBJECTIVES[kind](weight=weight, **fields)


def test_which_terms_read_other_queries_documents() -> None:
    terms = [InfoNCE(), InfoNCE(in_batch=False), InBatchKL(model="m"), M3KD(teacher="ce"), KL(teacher="ce")]
    assert [term.reads_in_batch for term in terms] == [True, False, True, True, False]


@pytest.mark.parametrize(
    "term",
    [*TEACHER_TERMS, *ORDER_TERMS, *OTHER_TERMS, CPRD(teacher="ce"), M3KD(teacher="ce")],
    ids=lambda term: f"{term.kind}",
)
def test_a_term_needs_two_candidates_where_one_gives_it_no_gradient(term: Objective) -> None:
    scored_batch = made()
    alone = torch.tensor([[True, False, False], [True, False, False]])
    one = replace(scored_batch, batch=replace(scored_batch.batch, mask=alone))
    (found,) = torch.autograd.grad(term.loss(one), scored_batch.in_batch)
    assert term.needs_lists == (found.abs().max().item() < 1e-3)


def test_which_terms_need_two_candidates_and_which_need_labels() -> None:
    terms = [*TEACHER_TERMS, InfoNCE(), InfoNCE(in_batch=False), InBatchKL(model="base")]
    assert [term.needs_lists for term in terms] == [True, True, False, True, False]
    assert [term.needs_positives for term in terms] == [False, True, True, True, False]
    assert not MarginMSE(teacher="ce", pairs="all").needs_positives
    assert [term.teacher_name for term in terms] == ["ce", "ce", None, None, None]


@pytest.mark.parametrize("term", ORDER_TERMS, ids=lambda term: term.kind)
def test_an_order_term_takes_ranks_and_only_the_order_counts(term: Objective) -> None:
    assert "rank" in term.SCALES
    scored_batch = made()
    ranks = Batch(**{**vars(scored_batch.batch), "teachers": {"ce": torch.tensor([[3.0, 1.0, 2.0], [1.0, 2.0, 9.0]])}})
    ranked = ScoredBatch(ranks, scored_batch.own, scored_batch.in_batch)
    assert term.loss(ranked).item() == pytest.approx(term.loss(scored_batch).item())
    (found,) = torch.autograd.grad(term.loss(ranked), scored_batch.in_batch)
    assert (found[0, 3:] == 0).all()
    assert (found[0, :3] != 0).any()


def test_cprd_learns_the_order_of_the_valid_negatives() -> None:
    """Query a: negatives 2 (teacher 2.0) before 1 (teacher -1.0); query b has one negative and so no order."""
    scores = torch.tensor([[2.0, 1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 2.0, 0.0]])
    expected = math.log1p(math.exp(1.0)) / 2
    assert CPRD(teacher="ce", student_temperature=1.0).loss(made(scores)).item() == pytest.approx(expected, abs=1e-6)
    assert CPRD(teacher="ce", student_temperature=1.0, top=1).loss(made(scores)).item() == pytest.approx(
        expected, abs=1e-6
    )
    none = CPRD(teacher="ce", student_temperature=1.0, threshold=2.5)
    assert none.loss(made(scores)).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("top", [1, 2])
def test_cprd_takes_as_many_as_it_is_told_also_where_the_teacher_has_ties(top: int) -> None:
    """Three negatives that the teacher holds for equal, in the order of the list: the first ``top`` of them."""
    scored_batch = made(torch.tensor([[2.0, 1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 2.0, 0.0]]))
    batch = replace(
        scored_batch.batch,
        relevance=torch.zeros((2, 3), dtype=torch.int64),
        positives=torch.zeros((2, 5), dtype=torch.bool),
        teachers={"ce": torch.zeros((2, 3))},
    )
    term = CPRD(teacher="ce", student_temperature=1.0, top=top)
    valid = torch.arange(3).expand(2, 3) < top
    expected = partial_ranking(scored_batch.own, torch.zeros((2, 3)), valid, batch.mask)
    assert term.loss(replace(scored_batch, batch=batch)).item() == pytest.approx(expected.item())
    assert expected.item() > 0.2


def test_cprd_takes_one_rule() -> None:
    with pytest.raises(ValidationError, match="two rules for what is valid"):
        CPRD(teacher="ce", top=2, threshold=0.0)


def test_m3_kd_holds_other_queries_documents_below_but_never_a_relevant_one() -> None:
    """Query b's own are 3 and 1; document 2 is relevant to it and so in no denominator; 0 and 4 are."""
    scored_batch = made()
    (found,) = torch.autograd.grad(
        M3KD(teacher="ce", student_temperature=1.0).loss(scored_batch), scored_batch.in_batch
    )
    assert found[1, 2] == 0
    assert (found[1, [0, 4]] > 0).all()
    assert (found[0, 3:] > 0).all()
