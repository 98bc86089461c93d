"""The train stage with masked words: it resumes, publishes no head, and refuses students whose words cannot be masked."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from retkd.encoders.encoder import Encoder
from retkd.expansion import _contrastive
from retkd.objectives import OBJECTIVES
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.kl import KL
from retkd.objectives.matryoshka import Matryoshka
from retkd.objectives.mlm import MLM
from retkd.stages.teach import Config as Teach
from retkd.stages.train import Config, run
from retkd.students.dense import Dense
from retkd.students.lora import Lora
from retkd.students.pruning import Prune
from retkd.students.vocabulary import Vocabulary
from tests.conftest import MakeInputs
from tests.faults import trained_in_two_sittings
from tests.tiny import tiny_word_encoder

OPTIMISATION: dict[str, Any] = {
    "candidates": "score",
    "batch_queries": 4,
    "learning_rate": 1e-3,
    "warmup_steps": 0,
    "save_every": 3,
    "steps": 8,
}


@pytest.fixture
def ready(inputs: MakeInputs, scored: Path, encoder_folder: Path, tmp_path: Path) -> Any:
    return inputs({"score": scored}, {"base": tiny_word_encoder(tmp_path / "base"), "bare": encoder_folder})


@pytest.mark.parametrize("base", ["base", "bare"])
def test_it_resumes_to_the_same_bytes_and_leaves_no_head_in_the_student(
    base: str, ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the head of the base and under a new one."""
    config = Config(student=Dense(base=base, layers=[1]), objective=[KL(teacher="bm"), MLM(weight=2.0)], **OPTIMISATION)
    trained_in_two_sittings(config, ready, tmp_path, monkeypatch)
    trace = [json.loads(line) for line in (tmp_path / "out" / "trace.jsonl").read_text().splitlines()]
    values = [row["mlm"] for row in trace if "mlm" in row]
    assert len(values) == 8
    assert sum(values[-3:]) < sum(values[:3])
    alone = Encoder.load(tmp_path / "out" / "model")
    plain = Dense(base="b", layers=[1]).build(ready.models[base].path, "cpu")
    assert alone.model.state_dict().keys() == plain.model.state_dict().keys()


@pytest.mark.parametrize(
    "student",
    [
        Dense(base="base", initialisation=[Vocabulary(min_count=2)]),
        Dense(base="base", freeze_embeddings=True),
        Dense(base="base", adaptation=Lora(rank=2)),
    ],
    ids=["trimmed", "frozen_embeddings", "lora"],
)
def test_students_of_other_words_frozen_words_and_adapters(student: Dense, ready: Any, tmp_path: Path) -> None:
    config = Config(student=student, objective=[InfoNCE(), MLM()], **{**OPTIMISATION, "steps": 2})
    metrics = run(config, ready, tmp_path / "out")
    rows = [json.loads(line) for line in (tmp_path / "out" / "trace.jsonl").read_text().splitlines()]
    assert all(row["mlm"] > 0 for row in rows if "mlm" in row)
    assert metrics.values["parameters"] == Encoder.load(tmp_path / "out" / "model").num_parameters


TERMS: list[Any] = [{"kind": "infonce"}, {"kind": "mlm"}]


@pytest.mark.parametrize(
    ("student", "message"),
    [
        ({"kind": "sparse", "base": "b"}, "the objective mlm reads one dense vector for a text"),
        (
            {"kind": "multi_exit", "base": "b", "exits": [1]},
            "mlm masks words, which a student of kind multi_exit cannot",
        ),
        (
            {"kind": "two_heads", "base": "b", "share": 0.5},
            "mlm masks words, which a student of kind two_heads cannot guess",
        ),
        (
            {"kind": "dense", "base": "b", "adaptation": Prune(sparsity=0.5)},
            "the adaptation prune keeps what its layers",
        ),
    ],
    ids=lambda each: each["kind"] if isinstance(each, dict) else "",
)
def test_whose_words_cannot_be_masked(student: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Config(candidates="score", student=student, objective=TERMS)


def test_where_it_does_not_stand() -> None:
    with pytest.raises(ValidationError, match="mlm needs another term, such as infonce, beside it: words of a text do"):
        Config(candidates="score", student={"kind": "dense", "base": "b"}, objective=[{"kind": "mlm"}])
    with pytest.raises(ValidationError, match="mlm reads layers, exits or words, which have no other vectors"):
        Matryoshka(dims=[4], terms=TERMS)
    with pytest.raises(ValidationError, match="mlm reads layers, exits or words of a student"):
        Teach(candidates="c", base="b", objective=[{"kind": "infonce", "in_batch": False}, {"kind": "mlm"}])
    with pytest.raises(ValidationError, match="mlm reads layers, exits or words of the student: a partner cannot"):
        Config(
            candidates="score",
            student={"kind": "dense", "base": "b"},
            objective=[{"kind": "infonce"}],
            co_train={"kind": "encoder", "encoder": {"kind": "dense", "base": "b"}, "objective": TERMS},
        )


def test_the_control_masks_words_too() -> None:
    """It restrains the student whatever it learns from."""
    assert OBJECTIVES["mlm"].REGULARISES
    mlm = {"kind": "mlm", "weight": 2.0}
    train = {
        "kind": "train",
        "student": {"kind": "dense", "base": "b"},
        "objective": [{"kind": "kl", "teacher": "t"}, mlm],
    }
    assert _contrastive(train)["objective"] == [{"kind": "infonce", "temperature": 0.05, "weight": 1.0}, mlm]
