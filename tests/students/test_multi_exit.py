"""The student with exits: METHODS 1.14."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from retkd.batch import Batch
from retkd.encoders.encoder import Encoder
from retkd.encoders.exits import ExitEncoder
from retkd.errors import ModelError
from retkd.losses.listwise import kl
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.kl import KL
from retkd.objectives.self_distillation import SelfDistillation
from retkd.students.dense import Dense
from retkd.students.multi_exit import MultiExit, exit_model
from retkd.training.collator import Collator
from retkd.training.distillation import DistilledEncoder
from retkd.training.exit_distillation import DistilledExits
from tests.architectures import ARCHITECTURES, made
from tests.distilling import OBJECTIVE, examples
from tests.tiny import tiny_encoder, tiny_tokenizer

TEXTS = ["baco difun fuga", "gale"]


@pytest.fixture(scope="module")
def four_layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("deep") / "base", layers=4)


def built(folder: Path, **fields: Any) -> tuple[MultiExit, ExitEncoder]:
    torch.manual_seed(0)
    part = MultiExit(**{"base": "base", "exits": [1, 2, 4], "dropout": 0.0, **fields})
    return part, part.build(folder, "cpu")


def batch_of(encoder: Encoder) -> Batch:
    return Collator(encoder)(examples(6))["batch"]


def module(part: MultiExit, encoder: ExitEncoder, *objective: Any) -> DistilledExits:
    return DistilledExits(encoder, objective, part.weights)


def features(encoder: Encoder) -> dict[str, Any]:
    return encoder.features(encoder.tokenize(TEXTS, "document"), "document")


@pytest.mark.parametrize("heads", [False, True])
def test_an_exit_is_the_truncated_model_with_its_head_also_from_disk(
    four_layers: Path, tmp_path: Path, heads: bool
) -> None:
    _, encoder = built(four_layers, heads=heads)
    for head in encoder.heads.values():  # as if trained
        torch.nn.init.normal_(head.linear.weight, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = encoder.vectors(features(encoder))
    assert sorted(found) == [1, 2, 4]
    for exit, vectors in found.items():
        exit_model(encoder, exit).model.save_pretrained(str(tmp_path / str(exit)), create_model_card=False)
        alone = Encoder.load(tmp_path / str(exit))
        assert len(alone.model[0].auto_model.encoder.layer) == exit
        assert np.allclose(alone.encode(TEXTS, "document"), vectors.numpy(), atol=1e-6)
    plain = Dense(base="base", layers=[0, 1]).build(four_layers, "cpu").encode(TEXTS, "document")
    assert np.allclose(found[2].numpy(), plain, atol=1e-6) is not heads


def test_heads_begin_as_the_identity(four_layers: Path) -> None:
    with torch.no_grad():
        plain, headed = (
            each.vectors(features(each)) for _, each in (built(four_layers), built(four_layers, heads=True))
        )
    for exit in (1, 2, 4):
        assert torch.allclose(plain[exit], headed[exit], atol=1e-6)


@pytest.mark.parametrize("kind", sorted(ARCHITECTURES))
def test_exits_of_other_architectures(kind: str, tmp_path: Path) -> None:
    """Building one compares each exit with the truncated model: a final norm that was forgotten would be an error."""
    tokenizer = tiny_tokenizer()
    model = made(kind, vocab_size=len(tokenizer))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(2))
    model.save_pretrained(tmp_path / kind)
    tokenizer.save_pretrained(tmp_path / kind)
    built(tmp_path / kind, exits=[2, 4], dropout=None, max_length=16)


def test_an_exit_that_cannot_stand_alone(four_layers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from retkd.students import multi_exit

    monkeypatch.setattr(multi_exit, "exit_model", lambda encoder, exit: Dense(base="b").build(four_layers, "cpu"))
    with pytest.raises(ModelError) as error:
        built(four_layers)
    told = str(error.value)
    assert told.startswith("an early exit of this architecture is not what its first layers alone give")
    assert "  where: student.exits of base\n  seen: exit 1: vectors differ by " in told
    assert told.endswith("train a student of kind dense with {first: n} layers for each depth")


def test_one_exit_is_the_plain_student(four_layers: Path) -> None:
    """METHODS 1.14: with exits = {L} it reduces to the base loss."""
    part, encoder = built(four_layers, exits=[4])
    found = module(part, encoder, *OBJECTIVE)(batch_of(encoder))
    plain = Dense(base="base", dropout=0.0).build(four_layers, "cpu")
    expected = DistilledEncoder(plain, OBJECTIVE)(batch_of(plain))
    assert found["loss"].item() == pytest.approx(expected["loss"].item(), rel=1e-6)
    assert found.keys() == {"loss", "exit4_kl", "exit4_infonce"}


def test_weights_go_by_depth_or_by_the_recipe() -> None:
    """METHODS 1.14: (4, 9, 18, 27, 36) / 36 add up to 2.6111."""
    assert sum(MultiExit(base="b", exits=[4, 9, 18, 27, 36]).weights) == pytest.approx(2.6111, abs=5e-5)
    assert MultiExit(base="b", exits=[2, 4], exit_weights=[1.0, 0.5]).weights == [1.0, 0.5]


def test_the_loss_is_the_weighted_sum_of_each_truncated_students_loss(four_layers: Path) -> None:
    part, encoder = built(four_layers)
    found, total = module(part, encoder, *OBJECTIVE)(batch_of(encoder)), 0.0
    for exit, weight in ((1, 0.25), (2, 0.5), (4, 1.0)):
        alone = Dense(base="base", layers=list(range(exit)), dropout=0.0).build(four_layers, "cpu")
        expected = DistilledEncoder(alone, OBJECTIVE)(batch_of(alone))
        assert found[f"exit{exit}_kl"].item() == pytest.approx(expected["kl"].item(), rel=1e-4)
        total += weight * expected["loss"].item()
    assert found["loss"].item() == pytest.approx(total, rel=1e-4)


def test_an_early_exit_has_no_gradient_on_later_layers(four_layers: Path) -> None:
    """METHODS 1.14. The last exit's weight is next to nothing, and its layers' gradient with it."""
    _, encoder = built(four_layers)
    encoder.vectors(features(encoder))[2][:, 0].sum().backward()
    layers = encoder.model[0].auto_model.encoder.layer
    touched = [any(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters()) for layer in layers]
    assert touched == [True, True, False, False]


def test_self_distillation_is_a_kl_to_the_last_exit_which_is_detached(four_layers: Path) -> None:
    part, encoder = built(four_layers)
    model, batch = module(part, encoder, SelfDistillation(temperature=0.1)), batch_of(encoder)
    found = model(batch)
    assert found["exit4_self_distillation"].item() == 0.0
    scores = {}
    for exit in (1, 4):
        with torch.no_grad():
            vectors = [encoder.vectors(each)[exit] for each in (batch.queries, *batch.documents)]
        scores[exit] = vectors[0] @ torch.cat(vectors[1:]).T
    mask = torch.ones_like(scores[1], dtype=torch.bool)
    expected = kl(scores[1], scores[4], mask, student_temperature=0.1, teacher_temperature=0.1)
    assert found["exit1_self_distillation"].item() == pytest.approx(expected.item(), rel=1e-4)
    found["loss"].backward()
    layers = encoder.model[0].auto_model.encoder.layer
    touched = [any(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters()) for layer in layers]
    assert touched == [True, True, False, False]
    vectors = module(part, encoder, SelfDistillation(by="vectors"))(batch)
    assert 0 < vectors["exit1_self_distillation"].item() < 2


def test_exits_that_make_no_sense(four_layers: Path) -> None:
    with pytest.raises(
        ValidationError, match=r"exits are numbers of layers that rise, such as \[2, 4, 6\], not \[4, 2\]"
    ):
        MultiExit(base="b", exits=[4, 2])
    with pytest.raises(ValidationError, match="2 exits, but 1 exit_weights: give one each"):
        MultiExit(base="b", exits=[2, 4], exit_weights=[1.0])
    with pytest.raises(ModelError) as error:
        built(four_layers, exits=[1, 3])
    assert str(error.value) == (
        "the last exit is after the last layer, and the student has another number of layers\n"
        "  where: student.exits of base\n"
        "  seen: exits [1, 3], 4 layers\n"
        "  allowed: exits that end with 4\n"
        "  next step: add 4 to `exits`, or keep fewer `layers`"
    )


def test_what_a_stage_may_combine() -> None:
    from retkd.objectives.lead import LEAD
    from retkd.stages.teach import Config as Teach
    from retkd.stages.train import Config

    exits = {"kind": "multi_exit", "base": "b", "exits": [2]}
    with pytest.raises(ValidationError, match="self_distillation learns from a student's last exit"):
        Config(candidates="c", student=Dense(base="b"), objective=[SelfDistillation()])
    with pytest.raises(ValidationError, match="lead reads layers, which a student of kind multi_exit does not give"):
        Config(candidates="c", student=exits, objective=[LEAD(model="t")])
    with pytest.raises(
        ValidationError, match="lead reads layers, exits or words of a student: it is for stages of kind train"
    ):
        Teach(candidates="c", base="b", objective=[LEAD(model="t", in_batch=False)])
    told = Config(candidates="c", student={**exits, "exits": [1, 2]}, objective=[InfoNCE(), KL(teacher="t")])
    assert told.folders == {"exit1": "models/exit1", "exit2": "model"}
