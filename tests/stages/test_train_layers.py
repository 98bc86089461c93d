"""The train stage with terms that read layers, and with a student of several exits."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.kl import KL
from retkd.objectives.layer_mse import LayerMSE
from retkd.objectives.lead import LEAD
from retkd.objectives.minilm_v2 import MiniLMv2
from retkd.objectives.multi_scale import MultiScale
from retkd.objectives.self_distillation import SelfDistillation
from retkd.objectives.ted import TED
from retkd.objectives.token_relations import TokenRelations
from retkd.objectives.unic import UNIC
from retkd.objectives.virt import VIRT
from retkd.stages.train import Config, run
from retkd.students.dense import Dense
from retkd.students.multi_exit import MultiExit
from tests.conftest import MakeInputs
from tests.faults import trained_in_two_sittings
from tests.tiny import WORDS, tiny_encoder

M = {"model": "teacher"}
LAYERS: list[Any] = [
    LEAD(redraw_every=2, pooling="mean", normalize=True, student_temperature=0.1, teacher_temperature=0.1, **M),
    MiniLMv2(relation_heads=4, weight=0.5, **M),
    LayerMSE(layers="uniform", **M),
    MultiScale(projection=True, **M),
    TED(filtering=0.5, **M),
    TokenRelations(num_tokens=32, **M),
    VIRT(**M),
]
OPTIMISATION: dict[str, Any] = {
    "candidates": "score",
    "batch_queries": 4,
    "learning_rate": 1e-3,
    "warmup_steps": 0,
    "save_every": 3,
    "steps": 8,
}
EXITS = MultiExit(base="base", exits=[1, 2], heads=True)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("teacher") / "wide", seed=5, layers=3, dim=48)


@pytest.fixture
def ready(inputs: MakeInputs, scored: Path, encoder_folder: Path, teacher: Path) -> Any:
    def make(**models: Path) -> Any:
        return inputs({"score": scored}, {"base": encoder_folder, "teacher": teacher, **models})

    return make


def test_layer_terms_resume_to_the_same_bytes_and_leave_nothing_in_the_student(
    ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder_folder: Path
) -> None:
    """Projectors, filters, draws of layers and of tokens, the change of TED's stages: all come back."""
    config = Config(student=Dense(base="base", layers=[1]), objective=LAYERS, **OPTIMISATION)
    trained_in_two_sittings(config, ready(), tmp_path, monkeypatch)
    trace = [json.loads(line) for line in (tmp_path / "out" / "trace.jsonl").read_text().splitlines()]
    names = ("lead", "minilm_v2", "layer_mse", "multi_scale", "ted", "token_relations", "virt")
    assert all(row[name] > 0 for row in trace for name in names)
    assert trace[-1]["layer_mse"] < trace[0]["layer_mse"]
    alone, base = Encoder.load(tmp_path / "out" / "model"), Dense(base="b", layers=[1]).build(encoder_folder, "cpu")
    assert alone.model.state_dict().keys() == base.model.state_dict().keys()


def test_a_ladder_of_blocks_resumes_to_the_same_bytes_and_is_left_behind(
    ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder_folder: Path
) -> None:
    """It reads the student's blocks and stored vectors of its teachers; what it draws goes on after a stop."""
    terms = [UNIC(models=["teacher", "base"], blocks=True), InfoNCE(weight=0.1)]
    config = Config(student=Dense(base="base"), objective=terms, **OPTIMISATION)
    trained_in_two_sittings(config, ready(), tmp_path, monkeypatch)
    trace = [json.loads(line) for line in (tmp_path / "out" / "trace.jsonl").read_text().splitlines()]
    assert all(row["unic"] > 0 for row in trace)
    alone, base = Encoder.load(tmp_path / "out" / "model"), Encoder.load(encoder_folder)
    assert alone.model.state_dict().keys() == base.model.state_dict().keys()


def test_the_corpus_is_not_encoded_for_a_teacher_whose_layers_are_read(ready: Any, tmp_path: Path) -> None:
    given = ready()
    run(
        Config(student=Dense(base="base"), objective=[VIRT(**M)], **{**OPTIMISATION, "steps": 1}),
        given,
        tmp_path / "out",
    )
    assert not (given.store / "vectors").exists()


def test_a_teacher_of_another_vocabulary_is_refused_before_any_step(ready: Any, tmp_path: Path) -> None:
    other = tiny_encoder(tmp_path / "other", words=WORDS[:50])
    config = Config(student=Dense(base="base"), objective=[MiniLMv2(relation_heads=4, **M)], **OPTIMISATION)
    with pytest.raises(ModelError, match="student and teacher read different tokens"):
        run(config, ready(teacher=other), tmp_path / "out")
    assert not (tmp_path / "out" / "work").exists()


def test_exits_are_published_as_models_that_stand_alone(
    ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import SentenceTransformer

    objective = [KL(teacher="bm"), InfoNCE(weight=0.1), SelfDistillation(weight=0.5)]
    config = Config(student=EXITS, objective=objective, **OPTIMISATION)
    trained_in_two_sittings(config, ready(), tmp_path, monkeypatch)
    out, texts = tmp_path / "out", ["baco difun", "gale"]
    for folder, layers in (("models/exit1", 1), ("model", 2)):
        model = SentenceTransformer(str(out / folder), device="cpu")
        assert len(model[0].auto_model.encoder.layer) == layers
        assert np.allclose(
            model.encode_document(texts), Encoder.load(out / folder).encode(texts, "document"), atol=1e-6
        )
        assert np.abs(model[2].linear.weight.detach().numpy() - np.eye(32)).max() > 1e-4
    first = json.loads((out / "trace.jsonl").read_text().splitlines()[0])
    terms = ("kl", "infonce", "self_distillation")
    assert {name for name in first if name.startswith("exit")} == {f"exit{n}_{term}" for n in (1, 2) for term in terms}


def test_how_fast_each_exit_is_stands_beside_it(ready: Any, tmp_path: Path) -> None:
    config = Config(student=EXITS, objective=[InfoNCE()], **{**OPTIMISATION, "steps": 0})
    timings = run(config, ready(), tmp_path / "out").timings
    whats = ("ms_per_single_query", "queries_per_second", "documents_per_second")
    assert timings.keys() == {f"exit{n}.{what}" for n in (1, 2) for what in whats}
    assert min(timings.values()) > 0
