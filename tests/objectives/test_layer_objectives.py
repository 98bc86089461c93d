"""Terms that read layers, on real passes of a student and of an encoder that teaches."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from retkd.batch import Batch
from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError
from retkd.losses.contrastive import infonce
from retkd.losses.layers import gold_nll, layer_weights
from retkd.losses.listwise import kl
from retkd.objectives.base import Objective, Training
from retkd.objectives.hidden_cosine import HiddenCosine
from retkd.objectives.layer_mse import LayerMSE
from retkd.objectives.lead import LEAD
from retkd.objectives.minilm_v2 import MiniLMv2
from retkd.objectives.multi_scale import MultiScale
from retkd.objectives.ted import TED
from retkd.objectives.token_relations import TokenRelations
from retkd.objectives.virt import VIRT
from retkd.stage import Model
from retkd.students.asymmetric import Asymmetric, DocumentTower
from retkd.students.dense import Dense
from retkd.training import collator
from retkd.training.collator import Collator
from retkd.training.distillation import DistilledEncoder
from retkd.training.layer_teachers import require_same_tokens, stack_of
from tests.distilling import examples
from tests.objectives.test_objectives import made
from tests.objectives.vectors import drawn
from tests.tiny import WORDS, tiny_encoder

M = {"model": "teacher"}
TERMS: list[Any] = [
    LEAD(num_layers=2, pooling="mean", normalize=True, **M),
    LEAD(num_layers=1, in_batch=False, adaptive=False, **M),
    MiniLMv2(relation_heads=4, **M),
    LayerMSE(layers="uniform", **M),
    MultiScale(layers="uniform", projection=True, **M),
    TED(**M),
    TokenRelations(num_tokens=24, **M),
    VIRT(**M),
    VIRT(difference="kl", both_ways=True, layers=[(1, 2), (2, 4)], **M),
]
SAME_WIDTH: list[Any] = [
    LEAD(num_layers=2, **M),
    MiniLMv2(relation_heads=4, **M),
    LayerMSE(projection=False, layers="uniform", **M),
    HiddenCosine(layers=[(0, 0), (2, 2)], **M),
    MultiScale(layers=[(1, 1), (2, 2)], spans=[1, 3], **M),
    TokenRelations(contrast=0.0, **M),
    VIRT(both_ways=True, **M),
]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """A teacher of four layers of width 48, with the student's tokeniser."""
    return Encoder.load(tiny_encoder(tmp_path_factory.mktemp("wide") / "teacher", seed=5, layers=4, dim=48))


@pytest.fixture
def student(encoder_folder: Path) -> Encoder:
    return Dense(base="base", dropout=0.0).build(encoder_folder, "cpu")


def module(student: Encoder, teacher: Encoder, *terms: Objective, steps: int = 100) -> DistilledEncoder:
    stacks = stack_of(student, "student"), {"teacher": stack_of(teacher, "teacher")}
    torch.manual_seed(1)
    return DistilledEncoder(student, terms, Training(student.dim, {}, steps, 7, *stacks), {"teacher": teacher})


def batch_of(student: Encoder) -> Batch:
    return Collator(student)(examples(6))["batch"]


def values(model: DistilledEncoder, batch: Batch, progress: float = 0.5) -> dict[str, float]:
    return {name: value.item() for name, value in model(batch, progress).items()}


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.kind)
def test_a_term_moves_the_student_and_not_the_teacher(term: Any, student: Encoder, wide: Encoder) -> None:
    model = module(student, wide, term)
    loss = model(batch_of(student), 0.5)["loss"]
    loss.backward()
    assert torch.isfinite(loss)
    assert loss.item() > 0
    moved = [p.grad for p in student.model.parameters() if p.grad is not None]
    assert sum(float(grad.abs().sum()) for grad in moved) > 0
    assert all(p.grad is None for p in wide.model.parameters())
    assert not any(name.startswith("teachers") for name in model.state_dict())


@pytest.mark.parametrize("term", SAME_WIDTH, ids=lambda term: term.kind)
def test_a_student_that_is_its_teacher_has_nothing_to_learn(term: Any, student: Encoder, encoder_folder: Path) -> None:
    model = module(student, Encoder.load(encoder_folder), term)
    assert values(model, batch_of(student))["loss"] == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("term", [t for t in TERMS if t.kind != "token_relations"], ids=lambda term: term.kind)
def test_how_documents_are_cut_into_passes_changes_nothing(
    term: Any, student: Encoder, wide: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Token relations are drawn from each pass, and so depend on it."""
    model, found = module(student, wide, term), []
    for size in (3, 5, 100):
        cut = lambda lengths, *a, size=size: [(i, min(i + size, len(lengths))) for i in range(0, len(lengths), size)]  # noqa: E731
        monkeypatch.setattr(collator, "chunks", cut)
        batch = batch_of(student)
        found.append((len(batch.documents), values(model, batch)["loss"]))
    assert len({passes for passes, _ in found}) == 3
    assert [value for _, value in found] == pytest.approx([found[0][1]] * 3, rel=1e-4)


def hidden_states(encoder: Encoder, batch: Batch, layer: int) -> list[torch.Tensor]:
    """[CLS] of a layer, by transformers' own hidden states: of the queries and of all documents."""
    with torch.no_grad():
        passes = [
            encoder.model[0].auto_model(**each, output_hidden_states=True) for each in (batch.queries, *batch.documents)
        ]
    cls = [each.hidden_states[layer][:, 0] for each in passes]
    return [cls[0], torch.cat(cls[1:])]


def test_lead_by_transformers_own_hidden_states(student: Encoder, wide: Encoder) -> None:
    """METHODS 1.3: sum over the pairs of weight x KL of [CLS] products, the weights by the teacher's own loss."""
    term, batch = LEAD(num_layers=2, layer_temperature=0.5, teacher_temperature=40.0, **M), batch_of(student)
    model = module(student, wide, term)
    mask = torch.ones(batch.positives.shape, dtype=torch.bool)
    losses, nlls = [], []
    for one, other in term.pairs(model.objective.terms[0].about, 50):  # type: ignore[union-attr]
        scores, target = (q @ d.T for q, d in (hidden_states(student, batch, one), hidden_states(wide, batch, other)))
        losses.append(kl(scores, target, mask, student_temperature=1.0, teacher_temperature=40.0))
        nlls.append(gold_nll(target / 40.0, batch.positives, mask))
    weights = layer_weights(torch.stack(nlls), 0.5)
    assert weights[0] != pytest.approx(weights[1].item(), abs=1e-3)
    assert values(model, batch)["lead"] == pytest.approx((weights * torch.stack(losses)).sum().item(), rel=1e-4)


def test_lead_does_not_see_a_rotation_and_takes_any_widths(student: Encoder, wide: Encoder) -> None:
    """METHODS 1.3: one orthogonal matrix on all states of the student changes nothing; equal states cost nothing."""
    term, scored = LEAD(num_layers=1, **M), made()
    bound = module(student, wide, term).objective.terms[0]
    own, other = [drawn(2, 6), drawn(5, 6, seed=1)], [drawn(2, 9, seed=2), drawn(5, 9, seed=3)]
    turn = torch.linalg.qr(drawn(6, 6, seed=4)).Q

    def value(states: list[torch.Tensor], taught: list[torch.Tensor]) -> float:
        parts = [[pair] for pair in zip(states, taught, strict=True)]
        return float(term.value(parts, scored, bound))  # type: ignore[arg-type]

    expected = value(own, other)
    assert expected > 0.1
    assert value([each @ turn for each in own], other) == pytest.approx(expected, rel=1e-5)
    assert value([own[0] @ turn, own[1]], other) != pytest.approx(expected, rel=1e-2)
    assert value(own, own) == pytest.approx(0.0, abs=1e-6)


def test_lead_draws_layers_anew_every_so_many_steps_and_never_the_last(student: Encoder, wide: Encoder) -> None:
    term = LEAD(num_layers=1, redraw_every=10, **M)
    about = module(student, wide, term).objective.terms[0].about  # type: ignore[union-attr]
    drawn = [term.pairs(about, step) for step in range(600)]
    assert all(drawn[step] == drawn[step - step % 10] for step in range(600))
    assert {pair for pairs in drawn for pair in pairs} == {(one, other) for one in (0, 1) for other in (0, 1, 2, 3)}
    assert drawn == [term.pairs(about, step) for step in range(600)]
    assert drawn != [term.pairs(replace(about, seed=8), step) for step in range(600)]
    several = LEAD(num_layers=2, **M).pairs(about, 3)
    assert [one for one, _ in several] == [0, 1]
    assert several[0][1] < several[1][1]


def test_lead_looks_at_own_candidates_alone_where_told(student: Encoder, wide: Encoder) -> None:
    """All queries but the first keep one candidate, whose KL is 0: what is left is the first query's own list."""
    batch = batch_of(student)
    model = module(student, wide, LEAD(in_batch=False, **M))
    alone = Collator(student)(examples(6)[:1])["batch"]
    first = replace(batch, mask=batch.mask & (torch.arange(6) == 0)[:, None] | (torch.arange(batch.mask.shape[1]) == 0))
    assert first.mask[1:].sum(dim=1).tolist() == [1] * 5
    expected = values(module(student, wide, LEAD(in_batch=False, adaptive=False, **M)), alone)["lead"]
    assert values(model, first)["lead"] * 6 == pytest.approx(expected, rel=1e-3)


def test_hidden_cosine_and_layer_mse_by_hand(student: Encoder, encoder_folder: Path, tmp_path: Path) -> None:
    """Against transformers' own states of both models, over the valid tokens of queries and documents."""
    teacher = Encoder.load(tiny_encoder(tmp_path / "other", seed=3))
    batch = batch_of(student)
    own, other = [], []
    for features in (batch.queries, *batch.documents):
        for encoder, found in ((student, own), (teacher, other)):
            with torch.no_grad():
                states = encoder.model[0].auto_model(**features, output_hidden_states=True).hidden_states
            found.append(torch.stack(states)[:, features["attention_mask"].bool()])
    one, two = torch.cat(own, dim=1), torch.cat(other, dim=1)
    cosine = values(module(student, teacher, HiddenCosine(layers=[(1, 2)], **M)), batch)["loss"]
    assert cosine == pytest.approx((1 - torch.cosine_similarity(one[1], two[2], dim=-1)).mean().item(), rel=1e-5)
    mse = values(module(student, teacher, LayerMSE(layers="uniform", projection=False, **M)), batch)["loss"]
    assert mse == pytest.approx(((one[1:] - two[1:]) ** 2).mean().item(), rel=1e-5)


def test_ted_fits_its_filters_first_and_then_its_student(student: Encoder, wide: Encoder) -> None:
    """METHODS, TED: first the task loss of the filters alone, then the difference, for which the teacher's filters stay."""
    model, batch = module(student, wide, TED(filtering=0.3, **M)), batch_of(student)
    filters = model.objective.terms[0].trained  # type: ignore[union-attr]

    def moved(progress: float) -> tuple[bool, bool, bool]:
        model.zero_grad()
        model(batch, progress)["loss"].backward()
        parts = (student.model, filters["student"], filters["teacher"])
        return tuple(any(p.grad is not None and p.grad.abs().sum() > 0 for p in each.parameters()) for each in parts)  # type: ignore[return-value]

    assert moved(0.29) == (False, True, True)
    assert moved(0.3) == (True, True, False)


def test_ted_fits_filters_by_infonce_over_the_batch(student: Encoder, wide: Encoder) -> None:
    """With one pair of layers, by hand: the mean of both models' losses on means over filtered tokens."""
    model, batch = module(student, wide, TED(layers="last", temperature=0.2, **M)), batch_of(student)
    filters, losses = model.objective.terms[0].trained, []  # type: ignore[union-attr]
    for name, encoder in (("student", student), ("teacher", wide)):
        means = []
        for features in (batch.queries, *batch.documents):
            with torch.no_grad():
                states = filters[name][0](encoder.model[0].auto_model(**features).last_hidden_state)
            valid = features["attention_mask"].unsqueeze(-1)
            means.append(torch.nn.functional.normalize((states * valid).sum(1) / valid.sum(1), dim=-1))
        scores = means[0] @ torch.cat(means[1:]).T
        losses.append(infonce(scores, batch.positives, batch.positives, temperature=0.2).item())
    assert values(model, batch, 0.0)["loss"] == pytest.approx(sum(losses) / 2, rel=1e-4)


def test_positives_of_the_table_count_also_where_the_collection_does_not_judge_them(
    student: Encoder, wide: Encoder
) -> None:
    """Generated queries and transcribed labels are in no qrels: TED's filters and LEAD's weights learn from them all the same."""
    batch = batch_of(student)
    assert batch.own_positives.any()
    bare = replace(batch, positives=torch.zeros_like(batch.positives))
    both = replace(batch, positives=batch.own_positives)
    for term, progress in ((TED(**M), 0.0), (LEAD(num_layers=2, layer_temperature=0.01, **M), 0.5)):
        model = module(student, wide, term)
        assert values(model, bare, progress)["loss"] == pytest.approx(values(model, both, progress)["loss"], rel=1e-6)


def test_a_training_without_such_terms_records_nothing(student: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    from retkd.objectives.contrastive import InfoNCE
    from retkd.training import layer_term

    monkeypatch.setattr(layer_term, "recorded", None)
    model = DistilledEncoder(student, [InfoNCE()])
    assert model.objective.reading == []
    assert values(model, batch_of(student))["loss"] > 0


def test_widths_that_differ(student: Encoder, wide: Encoder) -> None:
    with pytest.raises(ModelError) as error:
        module(student, wide, HiddenCosine(**M))
    assert str(error.value) == (
        "the objective 'hidden_cosine' compares states of student and teacher directly, and their widths differ\n"
        "  where: the teacher teacher\n"
        "  seen: student 32, teacher 48\n"
        "  next step: use layer_mse, which has a `projection`"
    )
    with pytest.raises(ModelError, match="next step: set `projection: true`"):
        module(student, wide, LayerMSE(projection=False, **M))


def test_relation_heads_divide_both_widths(student: Encoder, wide: Encoder) -> None:
    with pytest.raises(ModelError) as error:
        module(student, wide, MiniLMv2(**M))
    assert str(error.value) == (
        "states of this width cannot be split into so many relation heads\n"
        "  where: the student\n"
        "  seen: width 32 of the student, relation_heads 12\n"
        "  allowed: 1, 2, 4, 8, 16, 32\n"
        "  next step: set `relation_heads` to a number that divides both widths"
    )


def test_forms_of_layer_pairs_are_told_once() -> None:
    for layers in ("first", [[1]], [], [[1, -1]]):
        with pytest.raises(
            ValidationError, match=r"1 validation error[\s\S]*last, uniform, or pairs \(student, teacher\)"
        ):
            LayerMSE(layers=layers, **M)


def test_layers_that_are_not_there(student: Encoder, wide: Encoder) -> None:
    with pytest.raises(ModelError, match="lead cannot draw so many layers\n  where: the student\n  seen: num_layers 3"):
        module(student, wide, LEAD(num_layers=3, **M))
    with pytest.raises(
        ModelError, match=r"'virt' reads a layer that the model does not have\n.*\n  seen: \[5\] of the teacher"
    ):
        module(student, wide, VIRT(layers=[(2, 5)], **M))
    with pytest.raises(
        ModelError, match=r"a layer that the model does not have\n.*\n  seen: 3 of the student\n.*1 to 2"
    ):
        module(student, wide, MiniLMv2(relation_heads=4, student_layer=3, **M))


def test_a_teacher_of_two_towers(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path / "teacher")
    two = Asymmetric(document=DocumentTower(base="t")).made({"t": Model("t", folder, "t")}, "cpu")
    with pytest.raises(ModelError) as error:
        stack_of(two, "big")
    assert str(error.value) == (
        "terms that read layers need a transformer\n"
        "  where: big\n"
        "  seen: Router\n"
        "  allowed: a sentence-transformers encoder whose first module is a transformer\n"
        "  next step: name such an encoder as the term's `model`, or learn from this one's scores or vectors"
    )


def test_a_teacher_that_reads_other_tokens(student: Encoder, tmp_path: Path) -> None:
    other = Encoder.load(tiny_encoder(tmp_path / "other", words=WORDS[:50]))
    size, own = len(other.model.tokenizer), len(student.model.tokenizer)
    with pytest.raises(ModelError) as error:
        require_same_tokens(student, other, "big")
    assert str(error.value) == (
        "student and teacher read different tokens, so their layers cannot be compared token by token\n"
        "  where: the teacher big\n"
        f"  seen: vocabularies of {own} and {size} tokens, {own - size} of them not shared\n"
        "  allowed: a teacher with the student's tokeniser\n"
        "  next step: begin the student from the same family as the teacher, or learn from its scores or vectors"
    )
    prompted = Encoder.load(tiny_encoder(tmp_path / "prompted", prompts={"query": "q: ", "document": ""}))
    with pytest.raises(ModelError, match=r"different prompts before a query.*\n.*\n  seen: student '', teacher 'q: '"):
        require_same_tokens(student, prompted, "big")
    short = Encoder.load(tiny_encoder(tmp_path / "short", max_length=48))
    with pytest.raises(ModelError, match=r"student.max_length 64\n  allowed: at most 48 tokens"):
        require_same_tokens(student, short, "big")


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.kind)
def test_in_half_precision_the_sums_are_made_in_float32(term: Any, student: Encoder, wide: Encoder) -> None:
    """The passes run in bfloat16; the value is near that of whole precision, of type float32, and has a gradient."""
    model, batch = module(student, wide, term), batch_of(student)
    expected = model(batch, 0.5)["loss"].item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(batch, 0.5)["loss"]
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected, rel=0.1)
    loss.backward()


def test_multi_scale_weighs_its_scales_alike(student: Encoder, encoder_folder: Path) -> None:
    """Of both scales the mean of each alone, though quarters are four times as many as whole texts."""
    other = Encoder.load(tiny_encoder(encoder_folder.parent / "other-scale", seed=9))
    batch = batch_of(student)
    alone = [values(module(student, other, MultiScale(spans=[n], **M)), batch)["loss"] for n in (1, 4)]
    both = values(module(student, other, MultiScale(spans=[1, 4], **M)), batch)["loss"]
    assert alone[0] != pytest.approx(alone[1], rel=1e-2)
    assert both == pytest.approx(sum(alone) / 2, rel=1e-5)
    with pytest.raises(ValidationError, match=r"`spans` rise, each once: not \[2, 1\]"):
        MultiScale(spans=[2, 1], **M)
