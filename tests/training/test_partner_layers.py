"""Terms that read layers of the model that is trained beside the student: what they see, whom they move, a run that stopped."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError, RecipeError
from retkd.layers import stack
from retkd.losses.layers import gold_nll, layer_weights
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.lead import LEAD
from retkd.objectives.virt import VIRT
from retkd.parts import substituted
from retkd.recipe import load
from retkd.references import models_of
from retkd.stages.train import Config, run
from retkd.students.dense import Dense
from retkd.training.co_training import JointModel
from retkd.training.distillation import DistilledEncoder
from retkd.training.partners import CrossEncoderPartner, EncoderPartner
from retkd.training.student_training import assembled
from tests.conftest import MakeInputs
from tests.distilling import examples
from tests.faults import trained_in_two_sittings
from tests.objectives.test_layer_objectives import TERMS
from tests.recipes import written
from tests.test_shapes import base, error_of
from tests.tiny import WORDS, tiny_encoder

P = {"model": "partner"}
OWN = [InfoNCE(temperature=1.0)]
OPTIMISATION: dict[str, Any] = {"steps": 6, "learning_rate": 1e-3, "warmup_steps": 0, "save_every": 2}


def config(*objective: Any, **told: Any) -> Config:
    settings: dict[str, Any] = {
        "candidates": "score",
        "student": Dense(base="base", dropout=0.0),
        "batch_queries": 4,
        "co_train": EncoderPartner(encoder=Dense(base="wide", dropout=0.0), objective=OWN, to_student=0.0),
    }
    return Config(objective=list(objective), **{**settings, **OPTIMISATION, **told})


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four layers of width 48, with the student's tokeniser."""
    return tiny_encoder(tmp_path_factory.mktemp("wide") / "partner", seed=5, layers=4, dim=48)


@pytest.fixture
def ready(inputs: MakeInputs, scored: Path, encoder_folder: Path, wide: Path) -> Any:
    return inputs({"score": scored}, {"base": encoder_folder, "wide": wide})


@pytest.fixture
def joint(ready: Any, encoder_folder: Path, tmp_path: Path) -> Callable[..., tuple[JointModel, Any]]:
    """(the student and its partner under these terms, a batch of both)."""

    def make(*objective: Any, **told: Any) -> tuple[JointModel, Any]:
        torch.manual_seed(0)
        settings = config(*objective, **told)
        made = assembled(settings, ready, settings.student.made(ready.models, "cpu"), tmp_path, "cpu", [])
        assert isinstance(made.model, JointModel)
        return made.model, made.collator(examples(6))["batch"]

    return make


def moved(model: Any) -> bool:
    return any(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in model.parameters())


def lead(**told: Any) -> LEAD:
    return LEAD(num_layers=2, layer_temperature=0.5, teacher_temperature=40.0, **P, **told)


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.kind)
def test_a_term_sees_the_partner_as_it_is_and_leaves_it(term: Any, joint: Any, tmp_path: Path) -> None:
    """The value is that of a fixed teacher with the weights that the partner has now, not those that it began with."""
    model, batch = joint(term.model_copy(update=P))
    about, before = model.student.objective.terms[0].about, model(batch, 0.5)[term.kind].item()
    with torch.no_grad():
        for parameter in model.partner.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.partner.source.save(tmp_path / "now")
    about = replace(about, teacher_stacks={"teacher": about.teacher_stacks["partner"]})
    fixed = DistilledEncoder(model.student.source, [term], about, {"teacher": Encoder.load(tmp_path / "now")})
    fixed.objective.load_state_dict(model.student.objective.state_dict())
    found = model(batch, 0.5)
    assert found[term.kind].item() == pytest.approx(fixed(batch.student, 0.5)["loss"].item(), rel=1e-4)
    assert found[term.kind].item() != pytest.approx(before, rel=1e-3)
    alone = model.student.objective(model._both(batch, 0.5)[0])["loss"]
    alone.backward()
    assert (moved(model.student), moved(model.partner)) == (True, False)


def test_lead_draws_the_partner_to_the_student_where_told(joint: Any) -> None:
    """Value and gradient in both models, against transformers' own hidden states of both and KL by hand, not detached."""
    model, batch = joint(lead(detach=False))
    term = model.student.objective.reading[0]
    model.student.objective(model._both(batch, 0.5)[0])["loss"].backward()
    both = (model.student.encoder, model.partner.encoder)
    found = [gradients(each) for each in both]
    model.zero_grad()
    lists, losses, nlls = batch.student, [], []
    mask = torch.ones_like(lists.positives)
    for pair in term.objective.pairs(term.about, 3):
        own, other = (of_cls(m[0].auto_model, lists, layer) for m, layer in zip(both, pair, strict=True))
        losses.append(by_hand(own, other / 40.0))
        nlls.append(gold_nll(other / 40.0, lists.positives, mask))
    expected = (layer_weights(torch.stack(nlls), 0.5) * torch.stack(losses)).sum()
    assert model(batch, 0.5)["lead"].item() == pytest.approx(expected.item(), rel=1e-4)
    expected.backward()
    for one, module in zip(found, both, strict=True):
        other = gradients(module)
        assert one.keys() == other.keys()
        assert one
        assert all(torch.allclose(one[name], other[name], rtol=1e-2, atol=1e-5) for name in one)


@pytest.mark.parametrize(("term", "constant"), [(VIRT(**P), True), (lead(), True), (lead(detach=False), False)])
def test_a_term_gets_constants_unless_it_asks_for_more(term: Any, constant: bool, joint: Any, monkeypatch: Any) -> None:
    model, batch = joint(term)
    of_pass, seen = type(term).of_pass, []
    monkeypatch.setattr(type(term), "of_pass", lambda self, told, by: seen.append(told) or of_pass(self, told, by))
    model(batch, 0.5)
    assert len(seen) == 1 + len(batch.student.documents)
    for told in seen:
        assert {state.requires_grad for state in told.student.hidden.values()} == {True}
        assert {state.requires_grad for state in told.teacher.hidden.values()} == {not constant}


def gradients(module: Any) -> Mapping[str, torch.Tensor]:
    return {name: p.grad for name, p in module.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}


def of_cls(transformer: Any, batch: Any, layer: int) -> torch.Tensor:
    """Products of [CLS] of a layer, ``[query, doc]``."""
    passes = [transformer(**each, output_hidden_states=True) for each in (batch.queries, *batch.documents)]
    cls = [each.hidden_states[layer][:, 0] for each in passes]
    return cls[0] @ torch.cat(cls[1:]).T


def by_hand(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    p, q = teacher.softmax(dim=1), student.softmax(dim=1)
    return (p * (p.log() - q.log())).sum(dim=1).mean()


def test_each_model_makes_one_pass_of_the_queries_and_of_each_chunk(joint: Any) -> None:
    model, batch = joint(lead(), InfoNCE())
    calls = {"student": 0, "partner": 0}
    for name, each in (("student", model.student), ("partner", model.partner)):
        layer = stack(each.encoder[0].auto_model)[0]
        layer.register_forward_hook(lambda *_, name=name: calls.update({name: calls[name] + 1}))
    model(batch, 0.5)
    assert calls == dict.fromkeys(calls, 1 + len(batch.student.documents))


def test_the_passes_of_both_hold_the_same_tokens(joint: Any) -> None:
    _, batch = joint(lead())
    for own, other in zip(
        (batch.student.queries, *batch.student.documents),
        (batch.partner.queries, *batch.partner.documents),
        strict=True,
    ):
        assert torch.equal(own["input_ids"], other["input_ids"])


def test_the_scores_of_the_partner_are_those_of_a_training_that_reads_no_layers(joint: Any) -> None:
    values = [model(batch, 0.5)["partner_infonce"].item() for model, batch in (joint(lead()), joint(InfoNCE()))]
    assert values[0] == values[1]


@pytest.mark.parametrize("detach", [True, False])
def test_a_stage_goes_on_to_the_same_bytes(
    detach: bool, ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout in both, and layers drawn anew every second step."""
    told = config(lead(detach=detach, redraw_every=2), InfoNCE())
    partner = told.co_train.model_copy(update={"encoder": Dense(base="wide", dropout=0.1), "to_student": 1.0})
    told = told.model_copy(update={"co_train": partner, "student": Dense(base="base", dropout=0.1)})
    trained_in_two_sittings(told, ready, tmp_path, monkeypatch)
    trace = [json.loads(line) for line in (tmp_path / "out" / "trace.jsonl").read_text().splitlines()]
    assert {"lead", "infonce", "partner_infonce", "to_student"} <= trace[0].keys()


def test_without_steps_nothing_is_read(ready: Any, tmp_path: Path) -> None:
    run(config(lead(), steps=0), ready, tmp_path / "out")
    assert (tmp_path / "out" / "partner" / "modules.json").is_file()


@pytest.mark.parametrize(
    ("co_train", "told"),
    [
        (None, "this stage has no `co_train`: set `co_train: "),
        (CrossEncoderPartner(base="x", to_partner=1.0), "this stage trains a cross-encoder, which reads pairs: set "),
    ],
)
def test_layers_of_a_partner_that_has_none(co_train: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=f"the objective lead reads layers of the partner, and {told}"):
        config(lead(), co_train=co_train)


def test_a_partner_that_cuts_texts_elsewhere(ready: Any, tmp_path: Path) -> None:
    """Told when the recipe is read where both lengths stand in it, else before the first step."""
    partner = EncoderPartner(encoder=Dense(base="wide", max_length=48), objective=OWN)
    with pytest.raises(
        ValidationError, match=r"lead compares layers .* which cut texts at 32 and 48 tokens: give both the"
    ):
        config(lead(), co_train=partner, student=Dense(base="base", max_length=32))
    with pytest.raises(ModelError) as error:
        run(config(lead(), co_train=partner), ready, tmp_path / "out")
    assert str(error.value) == (
        "student and partner cut texts at different lengths, so their layers cannot be compared pass by pass\n"
        "  where: a query\n"
        "  seen: student 64 tokens, partner 48\n"
        "  next step: give both the same `max_length`"
    )


def test_a_partner_that_reads_other_tokens(
    inputs: MakeInputs, scored: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    other = tiny_encoder(tmp_path / "other", words=WORDS[:50])
    with pytest.raises(ModelError, match=r"student and teacher read different tokens[\s\S]*the teacher partner"):
        run(config(lead()), inputs({"score": scored}, {"base": encoder_folder, "wide": other}), tmp_path / "out")


def test_what_is_fixed_cannot_be_moved() -> None:
    with pytest.raises(ValidationError, match="`detach: false` lets a term move a partner, and this model is fixed"):
        LEAD(model="some/encoder", detach=False)
    assert "detach" not in substituted(LEAD(model="some/encoder"), lambda marker, value: value)


def co_trained(folder: Path, term: str) -> list[str]:
    partner = f"{{kind: encoder, encoder: {{kind: dense, base: {folder}}}, objective: [{{kind: infonce}}]}}"
    return [f"stages.train.objective=[{{kind: infonce}}, {term}]", f"stages.train.co_train={partner}"]


def test_a_recipe_names_the_partner_and_is_held_to_its_depth(tmp_path: Path) -> None:
    """`partner` is no model to be found, also where a stage has that name."""
    path, own = written(tmp_path), base(tmp_path / "base")
    base(tmp_path / "big", num_hidden_layers=6, hidden_size=48)
    told = error_of(path, own, *co_trained(tmp_path / "big", "{kind: virt, layers: [[2, 7]], model: partner}"))
    assert "key stages.train.objective.1.layers\n      seen: [7] of the teacher partner\n      allowed: 0 to 6 " in told
    fitting = [own, *co_trained(tmp_path / "big", "{kind: virt, layers: [[2, 6]], model: partner}")]
    published = "stages.partner={kind: partner, train: train, model: encoder}"
    for recipe in (load(path, fitting), load(path, [*fitting, published])):
        assert list(models_of(recipe.stages, "train").values()) == [str(tmp_path / "base"), str(tmp_path / "big")]
    with pytest.raises(RecipeError, match="there is no stage and no folder 'partner'"):
        load(path, [own, *co_trained(tmp_path / "big", "{kind: in_batch_kl, model: partner}")])


def test_a_chain_leaves_the_partner_to_teach(tmp_path: Path) -> None:
    path, own = written(tmp_path), base(tmp_path / "base")
    base(tmp_path / "big", num_hidden_layers=6)
    recipe = load(
        path,
        [own, *co_trained(tmp_path / "big", "{kind: lead, model: partner}"), "chain={train: train, generations: 1}"],
    )
    assert [term.model for term in recipe.stages["train"].objective if term.kind == "lead"] == ["partner"]
