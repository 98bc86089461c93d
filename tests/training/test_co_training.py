"""Two models in one training: what each learns from, what the other moves, and a run that was stopped."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from retkd import processes
from retkd.digests import FileDigests
from retkd.encoders.encoder import Encoder
from retkd.errors import RecipeError
from retkd.losses.mutual import mutual_kl
from retkd.matchers.cross_encoder import PairScorer
from retkd.objectives.base import Training
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.kl import KL
from retkd.parts import Part
from retkd.recipe import load
from retkd.stage import Model
from retkd.stages import partner as partner_stage
from retkd.stages.train import Config
from retkd.students.dense import Dense
from retkd.students.initialisation import set_dropout
from retkd.training import trainer
from retkd.training.co_training import load_partner
from retkd.training.collator import Collator
from retkd.training.distillation import DistilledEncoder
from retkd.training.optimisation import Optimisation
from retkd.training.partners import AnyPartner, CrossEncoderPartner, EncoderPartner
from retkd.training.student_training import assembled
from tests.conftest import MakeInputs, files
from tests.distilling import OBJECTIVE, examples, same, student, trained
from tests.faults import trained_in_two_sittings
from tests.recipes import written
from tests.together import near
from tests.together import together as in_processes

OWN = [InfoNCE(temperature=1.0, in_batch=False)]
TOLD: dict[str, Any] = {"objective": OWN, "to_student": 1.0, "to_partner": 0.5}
OPTIMISATION = Optimisation(steps=6, learning_rate=1e-3, warmup_steps=2, save_every=4, max_grad_norm=1e9)


def cross(**told: Any) -> CrossEncoderPartner:
    return CrossEncoderPartner(base="cross", max_length=48, query_max_length=16, **{**TOLD, **told})


def encoder(**told: Any) -> EncoderPartner:
    return EncoderPartner(encoder=Dense(base="base", dropout=0.0), **{**TOLD, **told})


@pytest.fixture
def loaded(encoder_folder: Path, cross_encoder_folder: Path, tmp_path: Path) -> Callable[[Part], Any]:
    """The partner, without dropout, from the tiny checkpoints."""
    digests = FileDigests(tmp_path / "digests.json")
    folders = {"base": encoder_folder, "cross": cross_encoder_folder}
    models = {ref: Model(ref, folder, digests.model(folder)) for ref, folder in folders.items()}

    def make(told: Part) -> Any:
        torch.manual_seed(0)
        found = load_partner(told, models, "cpu", Training(32, {}, 6, 3), {}, None)
        set_dropout(
            found.reader.model if isinstance(found.reader, PairScorer) else found.reader.model[0].auto_model, 0.0
        )
        return found

    return make


def together(
    base: Path, partner: Any, work: Path, objective: Any = OBJECTIVE, rate: Any = None
) -> tuple[Any, Any, Any]:
    """(trace, weights of the student, weights of the partner) after a joint training."""
    own = student(base, 0.0)
    joint, collate, optimizer = partner.beside(DistilledEncoder(own, objective), Collator(own), OPTIMISATION)
    trace = trainer.train(
        joint,
        examples(),
        collate,
        OPTIMISATION,
        batch_queries=4,
        seed=3,
        work=work,
        device="cpu",
        label="x",
        optimizer=optimizer,
    )
    return trace, weights(own.model), weights(partner.reader.model)


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def alone(model: Any, collate: Any, work: Path) -> None:
    trainer.train(model, examples(), collate, OPTIMISATION, batch_queries=4, seed=3, work=work, device="cpu", label="x")


@pytest.mark.parametrize("kind", [cross, encoder], ids=["cross_encoder", "encoder"])
def test_at_weight_zero_both_are_trained_as_if_alone(
    kind: Any, loaded: Any, encoder_folder: Path, tmp_path: Path
) -> None:
    """Bit for bit, where no gradient is clipped: the norm is that of both together."""
    told = kind(to_student=0.0, to_partner=0.0)
    _, student_weights, partner_weights = together(encoder_folder, loaded(told), tmp_path / "both")
    of_optimisation = OPTIMISATION.model_dump()
    _, expected = trained(encoder_folder, tmp_path / "student", dropout=0.0, **of_optimisation)
    assert same(student_weights, expected)
    lone = loaded(told)
    alone(lone.model, lone.collator, tmp_path / "partner")
    assert same(partner_weights, weights(lone.reader.model))
    before = weights(loaded(told).reader.model)
    assert not same(partner_weights, before)


@pytest.mark.parametrize("kind", [cross, encoder], ids=["cross_encoder", "encoder"])
@pytest.mark.parametrize("per", ["query", "candidate"])
def test_the_loss_is_the_sum_of_its_parts(kind: Any, per: Any, loaded: Any, encoder_folder: Path) -> None:
    """RocketQAv2's mean over elements is each list's KL divided by its length, here of ragged lists."""
    partner = loaded(kind(per=per))
    own = student(encoder_folder, 0.0)
    joint, collate, _ = partner.beside(DistilledEncoder(own, OBJECTIVE), Collator(own), OPTIMISATION)
    joint.eval()
    batch = collate(examples(5))["batch"]
    terms = joint(batch)
    scores = joint.student.score(batch.student)
    others = joint._scored(batch.partner)
    mask = scores.batch.mask
    assert torch.equal(others.batch.mask, mask)
    temperatures = (0.05, partner.told.partner_temperature)
    to_student, to_partner = mutual_kl(scores.own, others.own, mask, temperatures=temperatures)
    share = 1.0 / mask.sum(dim=1) if per == "candidate" else torch.ones(len(mask))
    expected = {"to_student": (to_student * share).mean().item(), "to_partner": (to_partner * share).mean().item()}
    assert {name: terms[name].item() for name in expected} == pytest.approx(expected, abs=1e-6)
    whole = (
        terms["kl"]
        + 0.5 * terms["infonce"]
        + terms["partner_infonce"]
        + terms["to_student"]
        + 0.5 * terms["to_partner"]
    )
    assert terms["loss"].item() == pytest.approx(whole.item(), abs=1e-5)


def test_the_partner_scores_the_same_pairs_as_alone(loaded: Any, encoder_folder: Path) -> None:
    """Place [query, cand] is the same document for both, though each sorts texts by its own lengths."""
    lists = examples(5)
    for told in (cross(), encoder()):
        partner = loaded(told)
        own = student(encoder_folder, 0.0)
        joint, collate, _ = partner.beside(DistilledEncoder(own, OBJECTIVE), Collator(own), OPTIMISATION)
        found = joint.eval()._scored(collate(lists)["batch"].partner).own
        for q, example in enumerate(lists):
            expected = _scores(partner.reader, example)
            assert found[q, : len(expected)].tolist() == pytest.approx(expected, abs=1e-5)


def _scores(reader: Any, example: Any) -> list[float]:
    if isinstance(reader, Encoder):
        query, documents = reader.encode([example.query], "query"), reader.encode(example.documents, "document")
        return (documents @ query[0]).tolist()  # type: ignore[no-any-return]
    return reader.score([(example.query, text) for text in example.documents]).tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("told", "moved"),
    [
        ({"to_student": 1.0, "to_partner": 0.0}, (True, False)),
        ({"to_student": 0.0, "to_partner": 1.0}, (False, True)),
        ({"to_student": 1.0, "to_partner": 0.0, "detach": False}, (True, True)),
    ],
)
def test_who_is_moved_by_whom(
    told: dict[str, Any], moved: tuple[bool, bool], loaded: Any, encoder_folder: Path
) -> None:
    """The gradient of the mutual part alone."""
    partner = loaded(cross(**told))
    own = student(encoder_folder, 0.0)
    joint, collate, _ = partner.beside(DistilledEncoder(own, [KL(teacher="ce")]), Collator(own), OPTIMISATION)
    batch = collate(examples(4))["batch"]
    loss = sum(
        weight * value
        for _, weight, value in joint._mutual(joint.student.score(batch.student), joint._scored(batch.partner))
        if weight
    )
    loss.backward()
    found = tuple(
        any(p.grad is not None and p.grad.abs().sum() > 0 for p in m.parameters())
        for m in (joint.student, joint.partner)
    )
    assert found == moved


def test_a_rate_of_its_own_moves_the_partner_and_leaves_the_student(
    loaded: Any, encoder_folder: Path, tmp_path: Path
) -> None:
    """Also the same rate told aloud is the trainer's own optimiser: matrices decay, biases and norms do not."""
    apart = {"to_student": 0.0, "to_partner": 0.0}
    plain = together(encoder_folder, loaded(encoder(**apart)), tmp_path / "plain")
    told = together(encoder_folder, loaded(encoder(**apart, learning_rate=1e-3)), tmp_path / "told")
    fast = together(encoder_folder, loaded(encoder(**apart, learning_rate=5e-3)), tmp_path / "fast")
    assert same(fast[1], told[1])
    for place in (1, 2):
        # The true gradient of a key's bias is 0: its steps are noise.
        for name, value in plain[place].items():
            assert "key.bias" in name or torch.allclose(told[place][name], value, atol=1e-5), name
    assert not same(fast[2], told[2])


def test_several_processes_share_the_pairs_of_a_cross_encoder(loaded: Any, encoder_folder: Path) -> None:
    """Each scores those of its own queries; the gradient is that of the whole batch."""

    def gradients() -> dict[str, torch.Tensor]:
        partner, own = loaded(cross()), student(encoder_folder, 0.0)
        joint, collate, _ = partner.beside(DistilledEncoder(own, OBJECTIVE), Collator(own), OPTIMISATION)
        batch = collate(examples(5))["batch"]
        read = batch.partner if processes.count() == 1 else batch.partner.own
        joint.eval()(batch)["loss"].backward()
        found = {name: p.grad for name, p in joint.named_parameters() if p.grad is not None}
        processes.wait()
        if processes.count() > 1:
            for gradient in found.values():
                torch.distributed.all_reduce(gradient)
                gradient /= processes.count()
        return {**found, "pairs": torch.tensor([sum(len(chunk["input_ids"]) for chunk in read.inputs)])}

    alone = gradients()
    shared = in_processes(gradients)
    pairs = [int(each.pop("pairs")) for each in shared]
    assert (sum(pairs), min(pairs) > 0) == (int(alone.pop("pairs")), True)
    for each in shared:
        assert near(each, alone, 1e-5)


def test_texts_go_through_an_encoder_as_they_go_through_the_student(
    inputs: MakeInputs, scored: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    ready = inputs({"score": scored}, {"base": encoder_folder})
    ready = replace(ready, runtime=ready.runtime.model_copy(update={"grad_cache": True}))
    config = Config(**CONFIG, co_train=encoder())
    made = assembled(config, ready, student(encoder_folder), tmp_path, "cpu", [])
    assert made.partner.model.passes == made.student.passes
    assert made.student.passes.grad_cache


def test_what_a_partner_must_have() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(AnyPartner)
    with pytest.raises(
        ValidationError, match="the partner would learn nothing: give it an `objective`, or `to_partner` above 0"
    ):
        adapter.validate_python({"kind": "cross_encoder", "base": "x"})
    with pytest.raises(ValidationError, match="the objective infonce reads other queries' documents or vectors"):
        adapter.validate_python({"kind": "cross_encoder", "base": "x", "objective": [{"kind": "infonce"}]})
    assert adapter.validate_python({"kind": "cross_encoder", "base": "x", "to_partner": 1.0}).objective == []
    weights_of_terms = {"objective": [{"kind": "flops", "side": "document"}]}
    with pytest.raises(ValidationError, match="the objective flops reads other queries' documents or vectors"):
        adapter.validate_python({"kind": "cross_encoder", "base": "x", **weights_of_terms})
    with pytest.raises(
        ValidationError, match="the objective flops reads weights of terms, and a partner gives one dense vector"
    ):
        adapter.validate_python({"kind": "encoder", "encoder": {"kind": "dense", "base": "x"}, **weights_of_terms})


@pytest.mark.parametrize(
    ("term", "languages", "message"),
    [
        ({"kind": "language_consistency"}, None, "language_consistency compares languages: give `document_languages"),
        (
            {"kind": "in_batch_kl", "model": "m/m"},
            {"languages": ["en", "de"]},
            "in_batch_kl reads vectors of an encoder, which has read each document in one language",
        ),
    ],
)
def test_a_partner_reads_the_lists_of_the_student(term: Any, languages: Any, message: str) -> None:
    partner = {"kind": "encoder", "encoder": {"kind": "dense", "base": "x"}, "objective": [term]}
    with pytest.raises(ValidationError, match=message):
        Config(**CONFIG, co_train=partner, document_languages=languages)


def test_nothing_but_the_partner_may_teach_the_student(loaded: Any, encoder_folder: Path, tmp_path: Path) -> None:
    """RocketQAv2; without a partner that teaches, an empty objective is refused."""
    trace, weights, _ = together(encoder_folder, loaded(cross()), tmp_path / "work", objective=[])
    assert trace[0]["loss"] == pytest.approx(
        trace[0]["partner_infonce"] + trace[0]["to_student"] + 0.5 * trace[0]["to_partner"], rel=1e-5
    )
    assert not same(
        weights, {name: value.clone() for name, value in student(encoder_folder, 0.0).model.state_dict().items()}
    )
    told = {**CONFIG, "objective": []}
    assert Config(**told, co_train=cross()).objective == []
    for partner in (None, cross(to_student=0.0)):
        with pytest.raises(ValidationError, match="the student would learn nothing: give it an `objective`"):
            Config(**told, co_train=partner)


CONFIG: dict[str, Any] = {
    "candidates": "score",
    "student": Dense(base="base", layers=[1]),
    "objective": [InfoNCE()],
    "steps": 6,
    "batch_queries": 4,
    "learning_rate": 1e-3,
    "warmup_steps": 0,
    "save_every": 2,
}


@pytest.mark.parametrize("kind", [cross, encoder], ids=["cross_encoder", "encoder"])
def test_the_stage_publishes_both_and_goes_on_to_the_same_bytes(
    kind: Any,
    inputs: MakeInputs,
    scored: Path,
    encoder_folder: Path,
    cross_encoder_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = Config(**CONFIG, co_train=kind())
    ready = inputs({"score": scored}, {"base": encoder_folder, "cross": cross_encoder_folder})
    metrics = trained_in_two_sittings(config, ready, tmp_path, monkeypatch)
    read = Encoder.load if kind is encoder else lambda path: PairScorer.load(path, "cpu", 48, 16)
    model = read(tmp_path / "out" / "partner").model
    assert metrics.values["partner"] == {
        "kind": config.co_train.kind,
        "parameters": sum(p.numel() for p in model.parameters()),
    }
    trace = [json.loads(line) for line in (tmp_path / "out" / "trace.jsonl").read_text().splitlines()]
    assert {"infonce", "partner_infonce", "to_student", "to_partner"} <= trace[0].keys()

    published = partner_stage.Config(train="train", model=config.co_train.kind)
    given = inputs({"train": tmp_path / "out"})
    partner_stage.run(published, given, tmp_path / "partner")
    assert files(tmp_path / "partner" / "model") == files(tmp_path / "out" / "partner")
    other = {"encoder": "cross_encoder", "cross_encoder": "encoder"}[config.co_train.kind]
    with pytest.raises(
        RecipeError, match=f"allowed: {config.co_train.kind}\n  next step: set model: {config.co_train.kind}"
    ):
        partner_stage.run(partner_stage.Config(train="train", model=other), given, tmp_path / "wrong")


def test_a_recipe_names_the_partner_by_a_stage_of_its_own(tmp_path: Path) -> None:
    stages = [
        "stages.big={kind: partner, train: train, model: cross_encoder}",
        "stages.again={kind: score, candidates: mine, teachers: {big: {kind: cross_encoder, model: big}}}",
    ]
    path = written(tmp_path)
    with pytest.raises(RecipeError, match="the stage 'train' does not give partner"):
        load(path, stages)
    both = "stages.train.co_train={kind: cross_encoder, base: /models/teacher, to_partner: 1.0}"
    recipe = load(path, [*stages, both])
    assert recipe.stages["train"].gives == ("encoder", "partner")
    assert recipe.stages["control"].co_train is None
