"""Terms that compare vectors: their projectors, their sides, and what student = teacher makes of them."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from retkd.errors import ModelError
from retkd.losses.contrastive import infonce
from retkd.losses.embedding import cosine_distance, vector_mse
from retkd.losses.listwise import kl
from retkd.objectives.base import Objective, Training
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.cosine import Cosine
from retkd.objectives.crd import CRD
from retkd.objectives.gradient import Gradient
from retkd.objectives.icl import ICL
from retkd.objectives.lelp import LELP
from retkd.objectives.matryoshka import Matryoshka
from retkd.objectives.mixup import Mixup
from retkd.objectives.projectors import normalised, projector, scaled
from retkd.objectives.quantised import Quantised
from retkd.objectives.relation import Relation
from retkd.objectives.spread import Alignment, Uniformity
from retkd.objectives.statistics import Principal, Standardise
from retkd.objectives.unic import UNIC
from retkd.objectives.vector_mse import VectorMSE
from retkd.objectives.vkd import VKD
from retkd.objectives.wcord import WCoRD
from tests.objectives.vectors import TRAINING, drawn, scored, taught_by

TERMS: list[Any] = [
    Cosine(model="wide", projector="linear"),
    VectorMSE(model="narrow", projector="orthogonal"),
    VKD(model="wide"),
    ICL(model="wide", projector="linear"),
    CRD(model="narrow", projector="ladder"),
    WCoRD(model="wide", projector="linear"),
    Relation(model="wide"),
    LELP(model="narrow", num_directions=2),
    Mixup(model="wide"),
    Gradient(model="wide", projector="linear", weight=100.0),
    UNIC(models=["wide", "narrow"]),
    Alignment(),
    Uniformity(),
]


def bound(term: Objective, seed: int = 0, training: Training = TRAINING) -> Any:
    torch.manual_seed(seed)
    return term.bind(training)


def turned(dim: int, seed: int = 20) -> torch.Tensor:
    return torch.linalg.qr(drawn(dim, dim, seed=seed)).Q


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.kind)
def test_every_term_trains_its_student_and_its_own_parts(term: Any) -> None:
    """Twenty steps of a free student and the term's parts bring the loss down; parts come back from their state."""
    made = scored()
    loss = bound(term)
    own = list(loss.parameters()) if isinstance(loss, torch.nn.Module) else []
    vectors = [made.queries.detach().requires_grad_(True), made.documents.detach().requires_grad_(True)]
    optimizer = torch.optim.AdamW([*own, *vectors], lr=0.02)
    values = []
    for _ in range(20):
        value = loss(replace(scored(*vectors), queries=vectors[0], documents=vectors[1]))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.99 * values[0] if values[0] > 0 else values[-1] < values[0] - 1e-3
    if isinstance(loss, torch.nn.Module):
        again = bound(term, seed=5)
        again.load_state_dict(loss.state_dict())
        assert again.eval()(scored()).item() == loss.eval()(scored()).item()


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.kind)
def test_a_student_in_half_precision_is_compared_in_full(term: Any) -> None:
    loss = bound(term).eval()
    expected = loss(scored()).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss(scored_outside()).item() == expected


def scored_outside() -> Any:
    """The batch of a student whose scores were made in full precision, as they are."""
    with torch.autocast("cpu", enabled=False):
        return scored()


def test_which_vectors_they_read() -> None:
    reading = [term.kind for term in TERMS if term.reads_vectors]
    assert reading == [
        "cosine",
        "vector_mse",
        "vkd",
        "icl",
        "crd",
        "wcord",
        "relation",
        "lelp",
        "mixup",
        "gradient",
        "unic",
    ]
    assert all(term.needs_vectors for term in TERMS)
    assert [term.encoders for term in TERMS[-3:]] == [("wide", "narrow"), (), ()]
    assert TERMS[0].encoders == ("wide",)
    assert [term.kind for term in TERMS if term.needs_positives] == ["icl", "gradient", "alignment"]
    assert not any(term.needs_lists for term in TERMS)
    assert LELP(model="m", num_directions=0).needs_lists


def test_sides_are_compared_apart_and_both_is_their_mean() -> None:
    made = scored()
    told = {side: bound(Cosine(model="same", sides=side))(made).item() for side in ("queries", "documents", "both")}
    batch = made.batch
    assert told["queries"] == pytest.approx(cosine_distance(made.queries, batch.teacher_queries["same"]).item())
    assert told["documents"] == pytest.approx(cosine_distance(made.documents, batch.teacher_documents["same"]).item())
    assert told["both"] == pytest.approx((told["queries"] + told["documents"]) / 2)


def test_a_student_that_is_its_teacher() -> None:
    """METHODS 1.9: FD and GD are 0, and ICL is the task at its scale. CRD's bound is InfoNCE's."""
    made = scored()
    made = taught_by(made, same=(made.queries.detach(), made.documents.detach()))
    terms: list[Any] = [Cosine(model="same"), VectorMSE(model="same"), Gradient(model="same"), Relation(model="same")]
    for term in [*terms, Relation(model="same", compared="mse")]:
        assert bound(term)(made).item() == pytest.approx(0.0, abs=1e-6)
    task = InfoNCE(temperature=0.2).loss(made).item()
    assert bound(ICL(model="same", sides="queries", temperature=0.2))(made).item() == pytest.approx(task, rel=1e-5)
    target, positive = made.batch.own_positives.T, (made.batch.positives | made.batch.own_positives).T
    reverse = infonce(made.in_batch.T, target, positive, temperature=0.2).item()
    assert bound(ICL(model="same", sides="documents", temperature=0.2))(made).item() == pytest.approx(reverse, rel=1e-5)


def test_a_joint_rotation_changes_no_term_that_looks_at_angles() -> None:
    """METHODS 1.9: of the teacher's vectors and the (projected) student's."""
    made, turn = scored(), turned(6)
    told = made.batch.teacher_queries["same"], made.batch.teacher_documents["same"]
    rotated = taught_by(scored(made.queries @ turn, made.documents @ turn), same=(told[0] @ turn, told[1] @ turn))
    for term in (ICL(model="same"), CRD(model="same"), Cosine(model="same"), VectorMSE(model="same")):
        assert bound(term)(rotated).item() == pytest.approx(bound(term)(made).item(), rel=1e-4)


def test_relation_needs_no_projector_and_does_not_see_a_rotation() -> None:
    made, turn = scored(), turned(8)
    told = made.batch.teacher_queries["wide"], made.batch.teacher_documents["wide"]
    rotated = taught_by(made, wide=(told[0] @ turn, told[1] @ turn))
    for compared in ("kl", "mse"):
        term = Relation(model="wide", compared=compared)
        assert bound(term)(rotated).item() == pytest.approx(bound(term)(made).item(), rel=1e-4)


@pytest.mark.parametrize("width", [6, 8, 4])
def test_an_orthogonal_projection_stays_one_through_training(width: int) -> None:
    """METHODS part 2, V_kD: W^T W = I where the student is not wider, so cosines are kept; also with weight decay."""
    torch.manual_seed(0)
    made = projector("orthogonal", 6, width, "vkd")
    start = made.weight.detach().clone()
    assert torch.allclose(start, torch.eye(width, 6), atol=1e-6)
    optimizer = torch.optim.AdamW(made.parameters(), lr=0.05, weight_decay=0.1)
    vectors, target = drawn(9, 6), drawn(9, width, seed=1)
    for _ in range(30):
        optimizer.zero_grad()
        vector_mse(made(vectors), target).backward()
        optimizer.step()
    weight = made.weight.detach()
    assert not torch.allclose(weight, start, atol=0.05)
    product = weight.T @ weight if width >= 6 else weight @ weight.T
    assert torch.allclose(product, torch.eye(min(width, 6)), atol=1e-5)
    if width >= 6:
        found = made(vectors).detach()
        assert torch.allclose(found @ found.T, vectors @ vectors.T, atol=1e-4)


def test_a_projector_begins_as_the_identity() -> None:
    vectors = drawn(3, 6)
    for kind in ("none", "linear", "orthogonal"):
        assert torch.allclose(projector(kind, 6, 6, "cosine")(vectors), vectors, atol=1e-6)  # type: ignore[arg-type]
    for kind in ("linear", "orthogonal"):
        assert torch.allclose(projector(kind, 6, 4, "cosine")(vectors), vectors[:, :4], atol=1e-6)  # type: ignore[arg-type]
    assert projector("ladder", 6, 4, "unic")(vectors).shape == (3, 4)


def test_normalisers_give_both_sides_one_length_and_leave_the_students_angles_alone() -> None:
    student, teacher = drawn(4, 8), drawn(4, 8, seed=1)
    for normaliser, length in (("l2", 1.0), ("layer_norm", 8**0.5)):
        assert scaled(student, normaliser).norm(dim=1).tolist() == pytest.approx([length] * 4, rel=1e-4)  # type: ignore[arg-type]
        assert normalised(teacher, normaliser).norm(dim=1).tolist() == pytest.approx([length] * 4, rel=1e-3)  # type: ignore[arg-type]
        cosines = torch.nn.functional.cosine_similarity(scaled(student, normaliser), student)  # type: ignore[arg-type]
        assert cosines.tolist() == pytest.approx([1.0] * 4)
    assert normalised(teacher, "layer_norm").mean(dim=1).tolist() == pytest.approx([0.0] * 4, abs=1e-6)


def test_two_widths_without_a_projector_are_refused() -> None:
    with pytest.raises(ModelError) as error:
        Cosine(model="wide").bind(TRAINING)
    assert str(error.value) == (
        "the objective 'cosine' compares vectors of two widths without a projector\n"
        "  where: objective\n"
        "  seen: the student's 6, the teacher's 8\n"
        "  allowed: equal widths, or a projector: linear, orthogonal, ladder\n"
        "  next step: set `projector: orthogonal`, which keeps the student's cosines, or `linear`"
    )


@pytest.mark.parametrize(
    "term", [*TERMS, Matryoshka(dims=[4], terms=[InfoNCE()]), Quantised(terms=[InfoNCE()])], ids=lambda term: term.kind
)
def test_a_student_without_vectors_is_refused(term: Any) -> None:
    with pytest.raises(
        ModelError, match=f"the objective '{term.kind}' reads vectors, and this student has none of one width"
    ):
        term.bind(Training(None, TRAINING.teacher_dims))


def test_the_critic_of_wcord_lengthens_nothing() -> None:
    """METHODS part 2: its Lipschitz constant is at most 1."""
    loss = bound(WCoRD(model="wide", projector="linear", critic_dim=5))
    for _ in range(30):
        loss(scored())
    loss.eval()
    for side in ("student", "teacher"):
        assert torch.linalg.matrix_norm(loss.parts[side].weight, 2).item() <= 1 + 1e-3


def test_wcord_is_the_sum_of_its_parts() -> None:
    made = scored()
    told = [bound(WCoRD(model="wide", projector="linear", dual=d, primal=p)) for d, p in ((1, 0), (0, 1), (2, 3))]
    dual, primal, both = (each.eval()(made).item() for each in told)
    assert both == pytest.approx(2 * dual + 3 * primal, rel=1e-5)
    assert 0 < primal < 2


def test_wcord_of_no_part_is_refused() -> None:
    with pytest.raises(ValidationError, match="dual and primal are both 0: give one of them a weight"):
        WCoRD(model="wide", dual=0.0, primal=0.0)


def test_lelp_without_directions_is_plain_kl() -> None:
    made = scored()
    teacher = made.batch.in_batch_teachers["wide"].gather(1, made.batch.candidates)
    expected = kl(made.own, teacher, made.batch.mask, student_temperature=0.05, teacher_temperature=0.05)
    assert bound(LELP(model="wide", num_directions=0))(made).item() == pytest.approx(expected.item(), rel=1e-5)
    assert bound(LELP(model="wide", num_directions=2))(made).item() > expected.item()


def test_principal_directions_are_those_of_the_first_batch() -> None:
    """Along them coordinates are uncorrelated, of mean 0 and deviation 1; a later batch does not move them."""
    first = drawn(200, 5) @ drawn(5, 5, seed=1) + 3.0
    made = Principal(5, 2)
    found = made(first)
    assert found.mean(dim=0).tolist() == pytest.approx([0.0, 0.0], abs=1e-4)
    assert torch.allclose(found.T @ found / 200, torch.eye(2), atol=1e-3)
    most = torch.linalg.eigvalsh(torch.cov(first.T, correction=0))[-1]
    assert (1 / made.directions[:, 0].norm() ** 2).item() == pytest.approx(most.item(), rel=1e-3)
    before = made.directions.clone()
    made(drawn(50, 5, seed=3))
    assert torch.equal(made.directions, before)


def test_running_statistics() -> None:
    """Those of the first batch, then moved by the momentum towards each new one; not at all in evaluation."""
    made = Standardise(3, momentum=0.25)
    first, second = drawn(40, 3) * 2 + 1, drawn(40, 3, seed=1) - 4
    found = made(first)
    assert found.mean(dim=0).tolist() == pytest.approx([0.0] * 3, abs=1e-5)
    assert found.std(dim=0, correction=0).tolist() == pytest.approx([1.0] * 3, rel=1e-4)
    made(second)
    expected = 0.75 * first.mean(dim=0) + 0.25 * second.mean(dim=0)
    assert torch.allclose(made.mean, expected, atol=1e-5)
    made.eval()
    made(first)
    assert torch.allclose(made.mean, expected, atol=1e-5)


def test_unic_without_dropping_is_the_plain_mean_over_teachers() -> None:
    made = scored()
    alone = [bound(UNIC(models=[name], sides="queries"), seed=place) for place, name in enumerate(["wide", "narrow"])]
    both = bound(UNIC(models=["wide", "narrow"], sides="queries", drop=0.0))
    for place, term in enumerate(alone):
        for name in ("projector", "queries"):
            both.parts[f"{name}_{place}"].load_state_dict(term.parts[f"{name}_0"].state_dict())
    expected = sum(term(made).item() for term in alone) / 2
    assert both(made).item() == pytest.approx(expected, rel=1e-5)


def test_unic_drops_teachers_only_by_chance_and_never_the_last() -> None:
    made = scored()
    term = bound(UNIC(models=["wide", "narrow"], drop=0.9)).eval()
    term.parts["lots"].train()
    values = {round(term(made).item(), 6) for _ in range(20)}
    assert len(values) > 1
    alone = bound(UNIC(models=["wide"], drop=0.9)).eval()
    alone.parts["lots"].train()
    assert len({alone(made).item() for _ in range(5)}) == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"models": []}, "at least 1 item"),
        ({"models": ["a", "a"]}, "the model a stands twice"),
        ({"models": ["a"], "drop": 1.0}, "less than 1"),
    ],
)
def test_what_unic_refuses(fields: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        UNIC(**fields)


def test_alignment_and_uniformity_take_the_batchs_own() -> None:
    """Two equal pairs: aligned at 0; the two queries at right angles, at t = 1: -2."""
    queries = torch.eye(6)[:3]
    documents = torch.cat([torch.eye(6)[:3], -torch.eye(6)[:4]])
    made = scored(queries, documents)
    assert Alignment().loss(made).item() == pytest.approx(0.0, abs=1e-6)
    assert Uniformity(sides="queries", temperature=1.0).loss(made).item() == pytest.approx(-2.0, abs=1e-6)


def test_mixup_of_one_alone_is_soft_cross_entropy_over_the_batch() -> None:
    made = scored()
    target = torch.softmax(made.batch.in_batch_teachers["wide"] / 0.05, 1)
    expected = -(target * torch.log_softmax(made.in_batch / 0.05, 1)).sum(1).mean()
    for share in (0.0, 1.0):
        found = Mixup(model="wide").mixed_loss(made, "queries", torch.tensor(share))
        assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    reverse = torch.softmax(made.batch.in_batch_teachers["wide"].T / 0.05, 1)
    expected = -(reverse * torch.log_softmax(made.in_batch.T / 0.05, 1)).sum(1).mean()
    found = Mixup(model="wide").mixed_loss(made, "documents", torch.tensor(1.0))
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(
    "term", [Mixup(model="wide"), UNIC(models=["wide", "narrow"])], ids=lambda term: str(term.kind)
)
def test_what_a_term_draws_depends_on_the_trainings_seed_and_the_step(term: Objective) -> None:
    """Not on what else is drawn, such as by dropout."""
    told = {}
    for seed in (0, 1):
        training = replace(TRAINING, seed=seed)
        for before in (3, 4):
            made = bound(term, training=training)
            torch.manual_seed(before)
            told[seed, before] = [made(scored()).item() for _ in range(3)]
    assert told[0, 3] == told[0, 4]
    assert told[1, 3] == told[1, 4] != told[0, 3]
    assert len(set(told[0, 3])) == 3
