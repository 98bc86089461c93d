"""Training: the trace, resuming to the same numbers, early stopping, the best weights, the order of the data."""

import json
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from retkd.encoders.encoder import Encoder
from retkd.errors import DataError, RetkdError
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.kl import KL
from retkd.objectives.margin_mse import MarginMSE
from retkd.training import checkpoints, trainer
from retkd.training.optimisation import Optimisation
from retkd.training.trace import trace_row, write_trace
from tests.distilling import OBJECTIVE, examples, same, student, trained
from tests.faults import StopError, stop_after, stop_before

CONSTANT = {"schedule": "constant_with_warmup", "warmup_steps": 0}


def distance(base: Path) -> Callable[[Encoder], float]:
    """How far a fixed text has moved from where the untrained student puts it: grows as the training goes on."""
    untrained = student(base).encode(["baco fuga lemi"], "document")[0]
    return lambda encoder: float(((encoder.encode(["baco fuga lemi"], "document")[0] - untrained) ** 2).sum())


@pytest.fixture(scope="module")
def peaked(encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Encoder], dict[str, float]]:
    """A dev measure that is best at step 4 of a training at a constant rate with looks at every second step."""
    moved = distance(encoder_folder)
    work = tmp_path_factory.mktemp("peak")
    trace, _ = trained(encoder_folder, work, dev=lambda e: {"nDCG@10": moved(e)}, evaluate_every=2, **CONSTANT)
    peak = next(row["dev"]["nDCG@10"] for row in trace if row["step"] == 4 and "dev" in row)
    return lambda encoder: {"nDCG@10": -abs(moved(encoder) - peak)}


@pytest.fixture(scope="module")
def undisturbed(encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Trace and weights of ten steps that nobody stopped."""
    return trained(encoder_folder, tmp_path_factory.mktemp("undisturbed"))


EARLY = {"evaluate_every": 2, "save_every": 2, "steps": 30, "patience": 2, **CONSTANT}


@pytest.fixture(scope="module", params=["best", "last"])
def stopping_early(
    request: pytest.FixtureRequest, encoder_folder: Path, peaked: Any, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """(what to keep, trace, weights) of a training that stops early."""
    work = tmp_path_factory.mktemp("early")
    return request.param, *trained(encoder_folder, work, dev=peaked, keep=request.param, **EARLY)


def test_the_trace_has_a_row_per_step_and_per_look(encoder_folder: Path, tmp_path: Path) -> None:
    moved = distance(encoder_folder)
    trace, _ = trained(encoder_folder, tmp_path, dev=lambda e: {"nDCG@10": moved(e)}, steps=5, evaluate_every=2)
    steps = [row for row in trace if "dev" not in row]
    assert [row["step"] for row in steps] == [1, 2, 3, 4, 5]
    for row in steps:
        assert set(row) == {"step", "loss", "grad_norm", "learning_rate", "kl", "infonce"}
        assert row["loss"] == pytest.approx(row["kl"] + 0.5 * row["infonce"], rel=1e-6)
    assert [(row["step"], set(row["dev"])) for row in trace if "dev" in row] == [(s, {"nDCG@10"}) for s in (2, 4, 5)]
    assert steps[1]["learning_rate"] == pytest.approx(1e-3 * 0.5)
    json.dumps(trace, allow_nan=False)


def test_two_terms_of_a_kind_are_both_told(encoder_folder: Path, tmp_path: Path) -> None:
    twice = [KL(teacher="ce"), KL(teacher="ce", teacher_temperature=0.1, weight=2.0)]
    (row,), _ = trained(encoder_folder, tmp_path, objective=twice, steps=1)
    assert row["loss"] == pytest.approx(row["kl"] + 2 * row["kl_2"], rel=1e-6)
    assert row["kl"] != row["kl_2"]


def test_twice_gives_the_same_and_another_seed_gives_another(encoder_folder: Path, tmp_path: Path) -> None:
    trace, weights = trained(encoder_folder, tmp_path / "first", steps=4)
    again, weights_again = trained(encoder_folder, tmp_path / "second", steps=4)
    other, weights_other = trained(encoder_folder, tmp_path / "other", steps=4, seed=4)
    assert trace == again
    assert same(weights, weights_again)
    assert trace != other
    assert not same(weights, weights_other)


def test_no_steps_leave_the_model_as_it_was(encoder_folder: Path, tmp_path: Path) -> None:
    trace, weights = trained(encoder_folder, tmp_path, steps=0)
    assert trace == []
    assert same(weights, student(encoder_folder).model.state_dict())


@pytest.mark.parametrize("step", [2, 4, 7, 10], ids=lambda step: f"after step {step}")
def test_stopped_and_resumed_it_is_as_if_nothing_had_happened(
    encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Any, step: int
) -> None:
    """Before the first checkpoint, before one is written at the same step, between two, and at the last step."""
    with monkeypatch.context() as patch:
        stop_after(step, patch)
        with pytest.raises(StopError):
            trained(encoder_folder, tmp_path)
    torch.rand(7)
    trace, weights = trained(encoder_folder, tmp_path)
    assert trace == undisturbed[0]
    assert same(weights, undisturbed[1])


def test_killed_and_resumed_it_is_as_if_nothing_had_happened(
    encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By SIGKILL, with two batches to a step."""

    def run(work: Path) -> Any:
        return trained(encoder_folder, work, accumulation=2, batch_queries=2)

    undisturbed = run(tmp_path / "undisturbed")
    with monkeypatch.context() as patch:
        stop_after(6, patch, how=lambda: os.kill(os.getpid(), signal.SIGKILL))
        process = multiprocessing.get_context("fork").Process(target=run, args=(tmp_path / "work",))
        process.start()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "work").glob("checkpoint-*")] == ["checkpoint-4"]
    trace, weights = run(tmp_path / "work")
    assert trace == undisturbed[0]
    assert same(weights, undisturbed[1])


@pytest.fixture
def listening() -> Iterator[None]:
    """SIGINT as at a terminal, also where the tests were started to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listening")
def test_an_interrupted_training_keeps_the_step_at_hand(
    encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Any
) -> None:
    """By Ctrl-C, long before a checkpoint is due; the handler from before is back afterwards."""
    before = signal.getsignal(signal.SIGINT)
    for step in (3, 5):
        with monkeypatch.context() as patch:
            stop_before(step, patch, how=lambda: os.kill(os.getpid(), signal.SIGINT))
            with pytest.raises(KeyboardInterrupt, match=f"and step {step} of 10 of this training are kept"):
                trained(encoder_folder, tmp_path, save_every=100)
        assert (tmp_path / f"checkpoint-{step}" / checkpoints.COMPLETE).read_text() == ""
    assert signal.getsignal(signal.SIGINT) is before
    trace, weights = trained(encoder_folder, tmp_path, save_every=100)
    assert trace == undisturbed[0]
    assert same(weights, undisturbed[1])


@pytest.mark.usefixtures("listening")
def test_a_second_interrupt_stops_at_once(
    encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once more after the first was noted: two at one moment would be one."""

    def twice() -> None:
        noting, deadline = signal.getsignal(signal.SIGINT), time.monotonic() + 20
        os.kill(os.getpid(), signal.SIGINT)
        while signal.getsignal(signal.SIGINT) is noting and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(20)

    stop_before(3, monkeypatch, how=twice)
    with pytest.raises(KeyboardInterrupt):
        trained(encoder_folder, tmp_path, save_every=100)
    assert not list(tmp_path.glob("checkpoint-*"))


def test_where_interrupts_are_ignored_they_go_on_being_ignored(
    encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Any
) -> None:
    """As in what a shell starts in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        stop_before(3, monkeypatch, how=lambda: os.kill(os.getpid(), signal.SIGINT))
        assert trained(encoder_folder, tmp_path, save_every=100)[0] == undisturbed[0]
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_finished_training_that_was_not_published_is_not_trained_again(
    encoder_folder: Path, tmp_path: Path, undisturbed: Any
) -> None:
    trained(encoder_folder, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    trace, weights = trained(encoder_folder, tmp_path)
    assert trace == undisturbed[0]
    assert same(weights, undisturbed[1])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_checkpoint_that_was_not_written_to_its_end_is_ignored(
    encoder_folder: Path, tmp_path: Path, undisturbed: Any
) -> None:
    trained(encoder_folder, tmp_path)
    (tmp_path / "checkpoint-10" / "complete").unlink()
    (tmp_path / "checkpoint-10" / "optimizer.pt").unlink()
    (tmp_path / "checkpoint-9").mkdir()
    assert checkpoints.last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-8"
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-8"]
    trace, weights = trained(encoder_folder, tmp_path)
    assert trace == undisturbed[0]
    assert same(weights, undisturbed[1])
    assert checkpoints.last_whole_checkpoint(tmp_path / "nothing here") is None


@pytest.mark.parametrize("save_every", [2, 100])
def test_keep_best_publishes_the_weights_of_the_best_look(
    encoder_folder: Path, tmp_path: Path, peaked: Any, save_every: int
) -> None:
    """Also where checkpoints are further apart than looks at dev."""
    _, at_four = trained(encoder_folder, tmp_path / "four", steps=4, **CONSTANT)
    best = {"dev": peaked, "evaluate_every": 2, "save_every": save_every, **CONSTANT}
    trace, kept = trained(encoder_folder, tmp_path / "best", keep="best", **best)
    looks = {row["step"]: row["dev"]["nDCG@10"] for row in trace if "dev" in row}
    assert max(looks, key=lambda step: looks[step]) == 4
    assert same(kept, at_four)
    _, last = trained(encoder_folder, tmp_path / "last", keep="last", **best)
    assert not same(last, at_four)


def test_early_stopping(encoder_folder: Path, tmp_path: Path, stopping_early: Any) -> None:
    """The best look is at step 4; two looks later, at step 8, it stops; what is kept is a question of its own."""
    keep, trace, weights = stopping_early
    assert max(row["step"] for row in trace) == 8
    _, expected = trained(encoder_folder, tmp_path, steps=4 if keep == "best" else 8, **CONSTANT)
    assert same(weights, expected)


@pytest.mark.parametrize("step", [3, 7, 8], ids=lambda step: f"after step {step}")
def test_early_stopping_survives_a_stop(
    encoder_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    peaked: Any,
    stopping_early: Any,
    step: int,
) -> None:
    """The count of looks without a gain and the best weights are not forgotten."""
    keep, trace, weights = stopping_early
    with monkeypatch.context() as patch:
        stop_after(step, patch)
        with pytest.raises(StopError):
            trained(encoder_folder, tmp_path, dev=peaked, keep=keep, **EARLY)
    trace_after, weights_after = trained(encoder_folder, tmp_path, dev=peaked, keep=keep, **EARLY)
    assert trace_after == trace
    assert same(weights_after, weights)


def test_a_training_that_stopped_early_does_not_go_on_when_asked_again(
    encoder_folder: Path, tmp_path: Path, peaked: Any, stopping_early: Any
) -> None:
    keep, trace, weights = stopping_early
    for _ in range(2):
        trace_after, weights_after = trained(encoder_folder, tmp_path, dev=peaked, keep=keep, **EARLY)
        assert trace_after == trace
        assert same(weights_after, weights)


def test_an_accumulated_step_is_the_step_of_the_whole_batch(encoder_folder: Path, tmp_path: Path) -> None:
    """KL is a mean over queries, so two batches of two are one of four; without dropout the gradients agree."""
    told: dict[str, Any] = {"objective": [KL(teacher="ce")], "dropout": 0.0, "steps": 3}
    whole, _ = trained(encoder_folder, tmp_path / "whole", batch_queries=4, **told)
    halves, _ = trained(encoder_folder, tmp_path / "halves", batch_queries=2, accumulation=2, **told)
    for name, tolerance in (("loss", 1e-6), ("grad_norm", 1e-4)):
        assert [row[name] for row in halves] == pytest.approx([row[name] for row in whole], abs=tolerance)


def test_a_loss_that_is_not_finite_stops_before_it_spoils_the_weights(encoder_folder: Path, tmp_path: Path) -> None:
    lists = examples()
    lists = [type(e)(**{**vars(e), "teachers": {"ce": tuple(1e30 * i for i in range(len(e.doc_ids)))}}) for e in lists]
    with pytest.raises(RetkdError) as error:
        trained(encoder_folder, tmp_path, lists, objective=[InfoNCE(), MarginMSE(teacher="ce")], steps=3)
    lines = str(error.value).splitlines()
    assert lines[0] == "the training loss is not finite"
    assert lines[1] == "  where: step 1"
    assert lines[2].startswith("  seen: {'loss': inf, 'infonce': ")
    assert lines[2].endswith("'margin_mse': inf}")
    assert lines[3] == "  next step: lower the learning rate, or look at the teacher scores in the audit"


def test_best_and_patience_need_looks_at_dev(encoder_folder: Path, tmp_path: Path) -> None:
    for told in ({"keep": "best"}, {"patience": 3}):
        with pytest.raises(ValueError, match="`patience` and `keep: best` go by looks at dev: set `evaluate_every`"):
            Optimisation(**told)  # type: ignore[arg-type]
    with pytest.raises(
        DataError, match="`keep: best` and `patience` go by the dev split, and the candidates have none"
    ):
        trained(encoder_folder, tmp_path, keep="best", evaluate_every=2)


def test_the_order_of_the_data_is_whole_passes_drawn_by_the_seed() -> None:
    rows = trainer.Examples(list(range(10)), 35, seed=5)
    torch.manual_seed(1)
    order = [rows[i] for i in range(len(rows))]
    passes = [order[start : start + 10] for start in (0, 10, 20)]
    assert all(sorted(each) == list(range(10)) for each in passes)
    assert len({tuple(each) for each in passes}) == 3
    torch.manual_seed(2)
    again = trainer.Examples(list(range(10)), 35, seed=5)
    assert [again[i] for i in reversed(range(35))] == order[::-1]
    assert [trainer.Examples(list(range(10)), 35, seed=6)[i] for i in range(35)] != order


def test_batches_follow_that_order(encoder_folder: Path, tmp_path: Path) -> None:
    """Two trainings see the same queries in each step, though one of them draws more random numbers."""
    seen: dict[str, list[tuple[str, ...]]] = {"one": [], "two": []}

    def collating(label: str) -> Any:
        from retkd.training.collator import Collator

        collate = Collator(student(encoder_folder))

        def call(lists: Any) -> Any:
            seen[label].append(tuple(e.query_id for e in lists))
            torch.rand(1 if label == "one" else 5)
            return collate(lists)

        return call

    for label in seen:
        from retkd.training.distillation import DistilledEncoder

        torch.manual_seed(len(label))
        model = DistilledEncoder(student(encoder_folder), OBJECTIVE)
        trainer.train(
            model,
            examples(),
            collating(label),
            Optimisation(steps=6),
            batch_queries=4,
            seed=9,
            work=tmp_path / label,
            device="cpu",
            label="train",
        )
    rows = trainer.Examples([e.query_id for e in examples()], 24, seed=9)
    assert seen["one"] == seen["two"] == [tuple(rows[4 * b + i] for i in range(4)) for b in range(6)]


def test_precision(encoder_folder: Path, tmp_path: Path) -> None:
    """bf16 is what it says: near, not equal, and the weights stay in float32."""
    assert trainer.resolved_precision("auto", "cpu") == "fp32"
    assert trainer.resolved_precision("bf16", "cpu") == "bf16"
    full, _ = trained(encoder_folder, tmp_path / "fp32", dropout=0.0, steps=1)
    half, weights = trained(encoder_folder, tmp_path / "bf16", dropout=0.0, steps=1, precision="bf16")
    assert half[0]["loss"] == pytest.approx(full[0]["loss"], rel=0.05)
    assert half[0]["loss"] != full[0]["loss"]
    assert {weight.dtype for weight in weights.values() if weight.is_floating_point()} == {torch.float32}


def test_the_trace_is_one_json_row_per_line_without_clock_times(tmp_path: Path) -> None:
    log = [
        {"loss": 1.5, "grad_norm": float("inf"), "learning_rate": 0.1, "epoch": 0.1, "step": 1},
        {"eval_nDCG@10": 0.5, "epoch": 0.1, "step": 1},
        {"train_runtime": 3.2, "train_loss": 1.0, "epoch": 1.0, "step": 1},
    ]
    rows = [row for entry in log if (row := trace_row(entry)) is not None]
    assert rows == [{"loss": 1.5, "learning_rate": 0.1, "step": 1}, {"step": 1, "dev": {"nDCG@10": 0.5}}]
    write_trace(rows, tmp_path / "trace.jsonl")
    assert [json.loads(line) for line in (tmp_path / "trace.jsonl").read_text().splitlines()] == rows


@pytest.fixture(autouse=True)
def _tidy(tmp_path: Path) -> Any:
    """Checkpoints are 20 times a tiny model: not kept after the test."""
    yield
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_weights_that_two_modules_share_are_written_once() -> None:
    first, second = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    second.weight = first.weight
    state = torch.nn.ModuleDict({"first": first, "second": second}).state_dict()
    assert list(checkpoints.once(state)) == ["first.weight", "first.bias", "second.bias"]
