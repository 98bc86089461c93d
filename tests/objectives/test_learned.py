"""A learned temperature, and with it the seam of bound terms: trained, told, resumed, and not in what is published."""

import math
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from retkd.errors import RecipeError
from retkd.losses.contrastive import infonce
from retkd.objectives.base import Training
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.kl import KL
from retkd.objectives.rescaled import Rescaled
from retkd.recipe import load
from retkd.training.distillation import WeightedObjective
from tests.distilling import same, trained
from tests.faults import stop_after
from tests.objectives.test_objectives import made
from tests.recipes import line_of, written

LEARNED: Any = {"learned_from": 0.05}
OBJECTIVE = [KL(teacher="ce", student_temperature=LEARNED), InfoNCE(weight=0.5, temperature=LEARNED)]


def test_a_plain_number_binds_to_the_loss_itself() -> None:
    term = InfoNCE()
    assert term.bind(Training()) == term.loss
    assert term.model_dump() == {"weight": 1.0, "kind": "infonce", "temperature": 0.05, "in_batch": True}
    assert list(WeightedObjective([term], Training()).parameters()) == []


@pytest.mark.parametrize(
    "plain",
    [InfoNCE(temperature=0.2), InfoNCE(temperature=0.2, in_batch=False), KL(teacher="ce", student_temperature=0.2)],
)
def test_it_begins_as_the_term_at_that_number(plain: Any) -> None:
    key = "student_temperature" if plain.kind == "kl" else "temperature"
    bound = type(plain)(**{**plain.model_dump(), key: {"learned_from": 0.2}}).bind(Training())
    scored = made()
    assert bound(scored).item() == pytest.approx(plain.loss(scored).item(), rel=1e-6)
    assert bound.told()[key].item() == pytest.approx(0.2)


def test_its_gradient_is_that_of_the_logarithm_times_the_rate() -> None:
    scored = made()
    bound = InfoNCE(temperature={"learned_from": 0.5, "rate": 4.0}).bind(Training())  # type: ignore[arg-type]
    bound(scored).backward()
    target = torch.tensor([[True, False, False, False, False], [False, False, False, True, False]])
    known = scored.batch.positives | target
    log = torch.tensor(math.log(0.5), requires_grad=True)
    infonce(scored.in_batch, target, known, temperature=log.exp()).backward()  # type: ignore[arg-type]
    assert bound.position.grad.item() == pytest.approx(4.0 * log.grad.item(), rel=1e-5)  # type: ignore[union-attr]


@pytest.mark.parametrize("position", [-1e3, -0.2, 0.0, 0.2, 1e3])
def test_it_stays_within_its_bounds_and_rises_with_the_parameter(position: float) -> None:
    bound = InfoNCE(temperature={"learned_from": 0.1, "within": 4.0}).bind(Training())  # type: ignore[arg-type]
    assert isinstance(bound, Rescaled)
    nn.init.constant_(bound.position, position)
    found = bound.told()["temperature"].item()
    assert 0.025 - 1e-7 <= found <= 0.4 + 1e-7
    assert math.copysign(1.0, found - 0.1 + 1e-9) == math.copysign(1.0, position)


def test_it_is_trained_told_in_the_trace_and_no_part_of_the_student(encoder_folder: Path, tmp_path: Path) -> None:
    trace, weights = trained(encoder_folder, tmp_path / "learned", objective=OBJECTIVE)
    _, plain = trained(encoder_folder, tmp_path / "plain", objective=[KL(teacher="ce"), InfoNCE(weight=0.5)])
    assert weights.keys() == plain.keys()
    assert not same(weights, plain)
    for name in ("kl.student_temperature", "infonce.temperature"):
        values = [row[name] for row in trace]
        assert values[0] == pytest.approx(0.05)
        assert len(set(values[1:])) == 9, "warming up, the rate of the first step is zero"
    assert trace[-1]["kl.student_temperature"] != trace[-1]["infonce.temperature"]


def test_killed_and_resumed_it_has_the_same_value(
    encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = trained(encoder_folder, tmp_path / "undisturbed", objective=OBJECTIVE)

    def run() -> Any:
        return trained(encoder_folder, tmp_path / "work", objective=OBJECTIVE)

    with monkeypatch.context() as patch:
        stop_after(6, patch, how=lambda: os.kill(os.getpid(), signal.SIGKILL))
        process = multiprocessing.get_context("fork").Process(target=run)
        process.start()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    trace, weights = run()
    assert trace == undisturbed[0]
    assert same(weights, undisturbed[1])


@pytest.mark.parametrize("value", [0.0, -0.1, {"learned_from": 0.0}, {"learned_from": 0.1, "within": 1.0}, {}])
def test_what_is_no_temperature(value: Any) -> None:
    with pytest.raises(ValidationError):
        InfoNCE(temperature=value)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("{learned_from: -1}", "{fit}\n  where: {at}.learned_from\n  seen: -1\n  allowed: a number, above 0"),
        ("{learnt_from: 0.1}", "the key 'learned_from' is missing\n  where: {at}.learned_from"),
        ("-1", "{fit}\n  where: {at}\n  seen: -1\n  allowed: a number, above 0"),
        ("warm", "{fit}\n  where: {at}\n  seen: 'warm'\n  allowed: a number"),
    ],
)
def test_the_error_names_the_key(tmp_path: Path, value: str, told: str) -> None:
    with pytest.raises(RecipeError) as error:
        load(written(tmp_path, **{"temperature: 0.02": f"temperature: {value}"}))
    at = f"{tmp_path}/recipe.yaml:{line_of('kind: infonce')}, key stages.train.objective.1.temperature"
    assert str((error.value.problems or [error.value])[0]) == told.replace("{at}", at).replace(
        "{fit}", "this value does not fit"
    )
