"""Terms of vectors in the train stage: their parts are trained, resumed and left behind."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from retkd.encoders.encoder import Encoder
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.cosine import Cosine
from retkd.objectives.kl import KL
from retkd.objectives.matryoshka import Matryoshka
from retkd.objectives.unic import UNIC
from retkd.objectives.vkd import VKD
from retkd.objectives.wcord import WCoRD
from retkd.stages import teach
from retkd.stages.train import Config, run
from retkd.students.dense import Dense
from tests.conftest import MakeInputs, files
from tests.faults import StopError, stop_after
from tests.tiny import tiny_encoder

TERMS = [
    Matryoshka(dims=[32, 8], dims_per_step=1, terms=[KL(teacher="bm"), Cosine(model="wide", projector="linear")]),
    UNIC(models=["base", "wide"], projector="linear"),
    VKD(model="wide"),
    WCoRD(model="base", critic_dim=8),
    InfoNCE(weight=0.1),
]


def config(**changed: Any) -> Config:
    told = {
        "candidates": "score",
        "student": Dense(base="base", layers=[1]),
        "objective": TERMS,
        "steps": 8,
        "batch_queries": 4,
        "learning_rate": 1e-3,
        "warmup_steps": 0,
        "save_every": 3,
    }
    return Config(**{**told, **changed})


@pytest.fixture
def ready(inputs: MakeInputs, scored: Path, encoder_folder: Path, tmp_path: Path) -> Any:
    wide = tiny_encoder(tmp_path / "wide", seed=4, dim=48)
    return inputs({"score": scored}, {"base": encoder_folder, "wide": wide})


def test_stopped_and_run_again_it_gives_the_same_bytes_and_a_folder_without_projectors(
    ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(config(), ready, tmp_path / "undisturbed")
    with monkeypatch.context() as patch:
        stop_after(5, patch)
        with pytest.raises(StopError):
            run(config(), ready, tmp_path / "out")
    metrics = run(config(), ready, tmp_path / "out")
    assert files(tmp_path / "out") == files(tmp_path / "undisturbed")
    student = Encoder.load(tmp_path / "out" / "model")
    assert student.dim == 32
    assert sum(p.numel() for p in student.model.parameters()) == metrics.values["parameters"]


def test_no_steps_need_no_teacher(ready: Any, tmp_path: Path) -> None:
    run(config(steps=0), ready, tmp_path / "out")
    assert np.isfinite(Encoder.load(tmp_path / "out" / "model").encode(["baco"], "query")).all()


@pytest.mark.parametrize(
    ("term", "kind"),
    [(VKD(model="base"), "vkd"), (Matryoshka(dims=[8], terms=[InfoNCE(in_batch=False)]), "matryoshka")],
)
def test_what_teach_makes_has_no_vectors(term: Any, kind: str) -> None:
    with pytest.raises(
        ValidationError, match=f"the objective {kind} reads the student's vectors, and what `teach` makes has none"
    ):
        teach.Config(candidates="mine", base="base", objective=[term])
