"""Objectives over scores with a target of their own: moving, adaptive, of a batch, of both sides, absolute, weighted."""

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from retkd import candidates
from retkd.batch import Batch, ScoredBatch
from retkd.errors import RecipeError, ScaleError
from retkd.losses.adaptive_target import adaptive_cross_entropy
from retkd.losses.affinity import affinity_mimicking
from retkd.losses.contrastive import infonce, localised_contrastive
from retkd.losses.interpolated import interpolated_kl
from retkd.losses.listwise import kl
from retkd.losses.paraphrases import consensus_kl
from retkd.objectives import OBJECTIVES
from retkd.objectives.absolute import BCE, ScoreMSE
from retkd.objectives.affinity import Affinity
from retkd.objectives.agreement_kl import AgreementKL
from retkd.objectives.base import Objective, OrderObjective, Training
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.kl import KL
from retkd.objectives.moving_target import MovingTarget
from retkd.objectives.ofa import OFA
from retkd.objectives.quality_mix import QualityMix
from retkd.objectives.sinkd import SinKD
from retkd.objectives.taid import TAID
from retkd.objectives.xded import XDED
from retkd.recipe import load
from tests.distilling import same, trained
from tests.faults import stop_after
from tests.objectives.test_objectives import TEACHER, made
from tests.recipes import line_of, written
from tests.tables import rows_of, scored

OWN = torch.tensor([[True, True, True, False, False], [False, True, False, True, False]])
TEMPERATURES = {"student_temperature": 0.05, "teacher_temperature": 1.0}
OF_OWN_LISTS: list[Objective] = [
    TAID(teacher="ce"),
    OFA(teacher="ce"),
    SinKD(teacher="ce"),
    AgreementKL(teacher="ce"),
    QualityMix(teacher="ce", in_batch=False),
    BCE(teacher="ce", mapping="sigmoid"),
    ScoreMSE(teacher="ce", mapping="sigmoid"),
]


def with_(scored_batch: ScoredBatch, **fields: Any) -> ScoredBatch:
    """The same with other fields of its batch."""
    return replace(scored_batch, batch=Batch(**{**vars(scored_batch.batch), **fields}))


@pytest.mark.parametrize("term", OF_OWN_LISTS, ids=lambda term: term.kind)
def test_they_see_the_pairs_that_the_teacher_has_scored_and_no_other(term: Objective) -> None:
    scored_batch = made(0.1 * torch.randn((2, 5), generator=torch.Generator().manual_seed(0)))
    (found,) = torch.autograd.grad(term.bind(Training())(scored_batch), scored_batch.in_batch)
    assert (found[~OWN] == 0).all()
    assert (found[OWN] != 0).all()


def required(kind: str) -> dict[str, Any]:
    """What a term of this kind must be told."""
    needed = {
        "teacher": "ce",
        "teachers": ["ce", "other"],
        "model": "m",
        "models": ["m"],
        "mapping": "clip",
        "dims": [4],
        "terms": [{"kind": "kl", "teacher": "ce"}],
        "side": "document",
        "head": "teacher",
    }
    fields = OBJECTIVES[kind].model_fields
    return {name: value for name, value in needed.items() if name in fields and fields[name].is_required()}


@pytest.mark.parametrize("kind", sorted(OBJECTIVES))
def test_a_teacher_that_only_ranks_is_refused_wherever_its_differences_are_read(kind: str) -> None:
    term: Any = OBJECTIVES[kind](**required(kind))
    if not term.teacher_names:
        assert term.scales == ()
        return
    rows = scored(rows_of({"q": [("x", 2.0, 1), ("y", 1.0, None)]}), "ce", [2.0, 1.0], "rank")
    if isinstance(term, OrderObjective):
        candidates.require_scale(rows, "ce", term.scales, kind, term.RULE)
        return
    with pytest.raises(ScaleError) as error:
        candidates.require_scale(rows, "ce", term.scales, f"the objective {kind!r}", term.RULE)
    assert "seen: scale 'rank'" in str(error.value)
    assert len(term.RULE) > 30
    assert str(error.value).endswith(f"next step: {term.RULE}")


def test_taid_moves_as_its_authors_code_does() -> None:
    """Three batches with losses that are set: the share by hand, with pace 0.5 and momentum 0.9."""
    term = TAID(teacher="ce", pace=0.5, momentum=0.9)
    target = MovingTarget(term)
    target._rise(torch.tensor(2.0), 0.0)
    assert target.share.item() == pytest.approx(0.4)
    target._rise(torch.tensor(1.0), 0.1)
    change = 0.1 * (2.0 - 1.0) / 2.0
    share = 0.4 + 0.5 / (1 + 2.718281828459045**-change) * 0.6
    assert target.share.item() == pytest.approx(share, rel=1e-6)
    target._rise(torch.tensor(4.0), 0.95)
    assert target.share.item() == pytest.approx(0.4 + 0.6 * 0.95, rel=1e-6), "the steps ask for more"
    assert target.change.item() == pytest.approx(0.9 * change + 0.1 * (1.0 - 4.0) / 1.0, rel=1e-5)
    target._rise(torch.tensor(4.0), 1.0)
    assert target.share.item() == 1.0


def test_taids_share_never_falls_and_is_where_the_value_was_taken() -> None:
    target = TAID(teacher="ce", standardise=True).bind(Training())
    scored_batch = made()
    shares = []
    for step in range(12):
        shares.append(target.told()["share"].item())
        found = target(replace(scored_batch, own=scored_batch.own * (1 + step % 3), progress=step / 12))
        lists = (scored_batch.own * (1 + step % 3), target.term.teacher_scores(scored_batch), scored_batch.batch.mask)
        assert found.item() == pytest.approx(interpolated_kl(*lists, share=shares[-1], **TEMPERATURES).item(), rel=1e-5)
    assert shares[0] == pytest.approx(0.4)
    assert shares == sorted(shares)
    assert shares[-1] > 0.89


def test_taid_from_the_teacher_alone_is_kl() -> None:
    scored_batch = made()
    found = TAID(teacher="ce").at(1.0, scored_batch)
    assert found.item() == pytest.approx(KL(teacher="ce").loss(scored_batch).item(), rel=1e-6)


def test_taid_killed_and_resumed_goes_on_from_the_same_share(
    encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its state is in the checkpoint: the share, the momentum and the loss that the next is compared with."""
    objective = [TAID(teacher="ce", pace=0.05)]
    undisturbed = trained(encoder_folder, tmp_path / "undisturbed", objective=objective)
    with monkeypatch.context() as patch:
        stop_after(6, patch, how=lambda: os.kill(os.getpid(), signal.SIGKILL))
        process = multiprocessing.get_context("fork").Process(
            target=trained, args=(encoder_folder, tmp_path / "work"), kwargs={"objective": objective}
        )
        process.start()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    trace, weights = trained(encoder_folder, tmp_path / "work", objective=objective)
    assert trace == undisturbed[0]
    assert same(weights, undisturbed[1])
    shares = [row["taid.share"] for row in trace]
    assert shares == sorted(shares)
    assert not any("share" in name for name in weights)


def test_taid_does_not_begin_above_its_end() -> None:
    with pytest.raises(ValidationError, match=r"never falls: start 0.8 is above end 0.5"):
        TAID(teacher="ce", start=0.8, end=0.5)


def test_ofa_passes_everything_on() -> None:
    scored_batch = made()
    batch = scored_batch.batch
    told = {"epsilon": 2.0, "student_temperature": 0.5, "teacher_temperature": 3.0}
    expected = adaptive_cross_entropy(scored_batch.own, TEACHER, batch.positive, batch.mask, **told)
    assert OFA(teacher="ce", **told).loss(scored_batch).item() == pytest.approx(expected.item())
    needs = [OFA(teacher="ce", epsilon=epsilon).needs_positives for epsilon in (1.0, 1.5)]
    assert needs == [False, True]


def test_sinkd_alone_is_refused_and_so_is_xded(tmp_path: Path) -> None:
    path = written(tmp_path, **{"{kind: kl, teacher: ce}": "{kind: sinkd, teacher: ce}"})
    with pytest.raises(RecipeError) as error:
        load(path)
    (problem,) = error.value.problems
    told = str(problem).splitlines()
    assert told[0] == (
        "sinkd needs a term that reads the teacher, such as kl, beside it: its value stays the same when the teacher's "
        "lists are dealt to other queries"
    )
    assert told[1] == f"  where: {path}:{line_of('objective:')}, key stages.train.objective"
    assert load(path, ["stages.train.objective=[{kind: sinkd, teacher: ce}, {kind: kl, teacher: ce}]"])
    assert load(path, ["stages.train.objective=[{kind: xded}, {kind: infonce}]"])
    with pytest.raises(RecipeError, match="xded needs another term, such as infonce, beside it: alone it is zero for"):
        load(path, ["stages.train.objective=[{kind: xded}]"])


def test_affinity_asks_the_documents_that_some_query_wants() -> None:
    """0 and 3 are own positives, 2 is known to be relevant to the second query; 1 and 4 are wanted by none."""
    scored_batch = made()
    teacher = torch.randn((2, 5), generator=torch.Generator().manual_seed(5))
    scored_batch = with_(scored_batch, in_batch_teachers={"m": teacher})
    told = {"student_temperature": 0.5, "teacher_temperature": 2.0}
    for back, wanted in (("positive", [True, False, True, True, False]), ("all", [True] * 5)):
        expected = affinity_mimicking(scored_batch.in_batch, teacher, torch.tensor(wanted), **told)
        found = Affinity(model="m", back=back, **told).loss(scored_batch)  # type: ignore[arg-type]
        assert found.item() == pytest.approx(expected.item())


@pytest.mark.parametrize(
    ("mapping", "reads"), [("clip", "cosine"), ("shift", "cosine"), ("sigmoid", "logit"), ("as_is", "probability")]
)
@pytest.mark.parametrize("kind", [BCE, ScoreMSE])
def test_each_mapping_reads_one_scale(kind: Any, mapping: Any, reads: str) -> None:
    term = kind(teacher="ce", mapping=mapping)
    assert term.scales == (reads,)
    assert not term.needs_lists
    assert not term.needs_positives
    with pytest.raises(ValidationError, match="mapping"):
        kind(teacher="ce")


def test_a_cosine_is_not_taken_for_a_probability() -> None:
    rows = scored(rows_of({"q": [("x", 2.0, 1), ("y", 1.0, None)]}), "bi", [0.9, -0.1], "cosine")
    term = BCE(teacher="bi", mapping="as_is")
    with pytest.raises(ScaleError, match=r"allowed: probability\n  next step: each mapping reads one scale: clip and"):
        candidates.require_scale(rows, "bi", term.scales, "the objective 'bce'", term.RULE)


def test_bce_and_score_mse_by_hand() -> None:
    """One list of three, teacher cosines 0.6, -0.4, 0.2."""
    scored_batch = with_(made(), teachers={"bi": torch.tensor([[0.6, -0.4, 0.2], [0.5, 0.5, 9.0]])})
    clipped = torch.tensor([0.6, 0.0, 0.2, 0.5, 0.5])
    own = scored_batch.own[scored_batch.batch.mask]
    p = torch.sigmoid(3.0 * own)
    expected = -(clipped * p.log() + (1 - clipped) * (1 - p).log()).mean()
    found = BCE(teacher="bi", mapping="clip", student_scale=3.0).loss(scored_batch)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    shifted = torch.tensor([0.8, 0.3, 0.6, 0.75, 0.75])
    for student, values in (("as_is", own), ("sigmoid", torch.sigmoid(own)), ("shift", (own + 1) / 2)):
        found = ScoreMSE(teacher="bi", mapping="shift", student=student).loss(scored_batch)  # type: ignore[arg-type]
        assert found.item() == pytest.approx(((values - shifted) ** 2).mean().item(), rel=1e-5)


@pytest.mark.parametrize("in_batch", [True, False])
def test_a_teacher_that_ranks_a_list_badly_leaves_it_to_the_labels(in_batch: bool) -> None:
    """By reciprocal rank the teacher has 1 on query a and 1/2 on b, which counts half by KL and half by InfoNCE."""
    scored_batch = with_(made(), teachers={"ce": torch.tensor([[4.0, -1.0, 2.0], [0.5, 3.0, 0.0]])})
    batch = scored_batch.batch
    term = QualityMix(teacher="ce", measure="RR", in_batch=in_batch)
    weights = torch.tensor([1.0, 0.5])
    target = batch.own_positives
    labels = (
        infonce(scored_batch.in_batch, target, batch.positives | target, temperature=0.05, weights=1 - weights)
        if in_batch
        else localised_contrastive(scored_batch.own, batch.positive, batch.mask, temperature=0.05, weights=1 - weights)
    )
    lists = kl(scored_batch.own, batch.teachers["ce"], batch.mask, **TEMPERATURES, weights=weights)
    assert term.loss(scored_batch).item() == pytest.approx((labels + lists).item(), rel=1e-6)
    assert term.reads_in_batch == in_batch


@pytest.mark.parametrize(
    ("teacher", "quality"), [([[4.0, -1.0, 2.0], [3.0, 0.5, 0.0]], 1), ([[0.0, 1.0, 2.0], [0.0, 1.0, 0.0]], 0)]
)
def test_at_the_ends_it_is_kl_or_infonce(teacher: Any, quality: int) -> None:
    """Average precision at 1: the positive is first in both lists, or in neither."""
    scored_batch = with_(made(), teachers={"ce": torch.tensor(teacher)})
    expected = (KL(teacher="ce") if quality else InfoNCE()).loss(scored_batch)
    found = QualityMix(teacher="ce", cutoff=1).loss(scored_batch)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


def test_agreement_kl_without_sharpness_is_kl_and_with_it_is_not() -> None:
    scored_batch = made()
    expected = KL(teacher="ce").loss(scored_batch).item()
    assert AgreementKL(teacher="ce", sharpness=0.0).loss(scored_batch).item() == pytest.approx(expected, rel=1e-6)
    assert AgreementKL(teacher="ce", sharpness=3.0).loss(scored_batch).item() != pytest.approx(expected, rel=1e-3)


def test_xded_groups_queries_by_what_they_want() -> None:
    """Here a wants document 0, b wants 2 and 3: no group. With 0 wanted by both, they are one."""
    scored_batch = made()
    assert XDED().loss(scored_batch).item() == 0.0
    positives = scored_batch.batch.positives.clone()
    positives[1, 0] = True
    both = consensus_kl(scored_batch.in_batch, torch.ones((2, 2), dtype=torch.bool), temperature=0.05)
    assert XDED().loss(with_(scored_batch, positives=positives)).item() == pytest.approx(both.item())
    assert both.item() > 0


def test_xded_of_a_student_in_half_precision_is_made_in_full() -> None:
    """Two queries that see the batch alike and want the same are 0: a target in bfloat16 would not be a distribution."""
    alike = made(torch.tensor([[0.3, 0.1, 0.35, -0.2, 0.28]]).expand(2, 5).clone())
    alike = with_(alike, positives=torch.ones((2, 5), dtype=torch.bool))
    term = XDED().bind(Training())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = term(alike)
        (found,) = torch.autograd.grad(loss, alike.in_batch)
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    assert found.abs().max().item() < 1e-5
