"""Passes one at a time, and shared between processes: the loss and the gradient are those of the whole batch at once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from retkd import processes
from retkd.batch import Batch, ScoredBatch
from retkd.errors import RecipeError
from retkd.objectives.base import Objective, Training
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.kl import KL
from retkd.objectives.margin_mse import MarginMSE
from retkd.objectives.matryoshka import Matryoshka
from retkd.stage import Runtime
from retkd.training.collator import Collator
from retkd.training.distillation import DistilledEncoder
from retkd.training.passes import Passes, drawing_apart, passes
from tests.distilling import OBJECTIVE, examples, student, trained
from tests.together import together

CACHED = Passes(grad_cache=True)


class Scaled(Objective):
    """A term with a trained part, a scale of scores, to which it may add random numbers."""

    kind: Literal["scaled"] = "scaled"
    noise: float = 1.0

    def bind(self, training: Training) -> nn.Module:
        return Scale(self.noise)


class Scale(nn.Module):
    def __init__(self, noise: float) -> None:
        super().__init__()
        self.noise = noise
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, scored: ScoredBatch) -> Tensor:
        noisy = scored.in_batch + self.noise * torch.rand(scored.in_batch.shape)
        return (self.scale * noisy).logsumexp(dim=1).mean()


def terms(noise: float) -> list[Objective]:
    by_lot = Matryoshka(dims=[16, 8, 4], dims_per_step=1, terms=[InfoNCE()], weight=0.2)
    return [KL(teacher="ce"), InfoNCE(), MarginMSE(teacher="ce", weight=0.1), Scaled(weight=0.5, noise=noise), by_lot]


def model_of(base: Path, how: Passes | None = None, *, still: bool = False) -> DistilledEncoder:
    """``still``: without dropout and noise."""
    return DistilledEncoder(student(base, 0.0 if still else None), terms(1.0 - still), passes=how).train()


def batch_of(base: Path, num_queries: int = 6) -> Batch:
    return Collator(student(base))(examples(num_queries))["batch"]


def gradients(model: DistilledEncoder, batches: Sequence[Batch]) -> dict[str, Tensor]:
    """Of the sum of the losses; ``loss`` is the last one's, ``next draw`` what the generator gives afterwards."""
    torch.manual_seed(5)
    for batch in batches:
        loss = model(batch)["loss"]
        loss.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return {**found, "loss": loss.detach(), "next draw": torch.rand(1)}


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor], tolerance: float = 1e-6) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=0, atol=tolerance, msg=lambda told, n=name: f"{n}: {told}")


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16"])
def test_the_cached_gradient_is_the_plain_one_with_dropout_on(encoder_folder: Path, autocast: bool) -> None:
    """Of the encoder, its word embeddings and the trained part of a term, over two accumulated batches."""
    batches = [batch_of(encoder_folder), batch_of(encoder_folder, 3)]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        plain = gradients(model_of(encoder_folder), batches)
        cached = gradients(model_of(encoder_folder, CACHED), batches)
    assert_same(plain, cached, 1e-6 if not autocast else 1e-2)
    assert cached["objective.trained.0.scale"].abs() > 0.1
    without = gradients(model_of(encoder_folder, still=True), batches)
    assert not torch.allclose(without["loss"], plain["loss"], atol=1e-4)


def test_a_pass_is_bounded_and_a_text_longer_than_the_bound_is_a_pass_of_its_own(
    encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(encoder_folder)
    plain = gradients(model_of(encoder_folder, still=True), [batch])
    for most in (1, 20):
        seen: list[int] = []
        model = model_of(encoder_folder, Passes(grad_cache=True, most_tokens=most), still=True)
        encode = model.vectors
        monkeypatch.setattr(
            model, "vectors", lambda f, encode=encode, seen=seen: (seen.append(len(f["attention_mask"])), encode(f))[1]
        )
        assert_same(plain, gradients(model, [batch]))
        assert max(seen) == max(most // min(c["input_ids"].shape[1] for c in (batch.queries, *batch.documents)), 1)
        assert sum(seen) == 2 * (6 + len(batch.doc_ids))


def test_of_a_cached_pass_nothing_is_kept_but_its_vectors(encoder_folder: Path) -> None:
    kept: dict[bool, int] = {}
    for cached in (False, True):
        kept[cached] = 0

        def pack(tensor: Tensor, cached: bool = cached) -> Tensor:
            kept[cached] += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model_of(encoder_folder, Passes(cached))(batch_of(encoder_folder))
    assert kept[True] < kept[False] / 20


def test_a_training_with_cached_passes_is_the_plain_one(encoder_folder: Path, tmp_path: Path) -> None:
    """Dropout on, two batches to a step, half precision too."""
    for precision in ("fp32", "bf16"):
        told: dict[str, Any] = {"steps": 4, "accumulation": 2, "precision": precision}
        plain, _ = trained(encoder_folder, tmp_path / f"{precision}-plain", **told)
        cached, _ = trained(encoder_folder, tmp_path / f"{precision}-cached", passes=CACHED, **told)
        for name, tolerance in (("loss", 1e-5), ("grad_norm", 1e-3)):
            assert [row[name] for row in cached] == pytest.approx([row[name] for row in plain], rel=tolerance)


def test_what_needs_whole_passes_is_refused() -> None:
    assert passes(Runtime(), ["the objective 'ted'"]) == Passes(False, 16_384)
    assert passes(Runtime(grad_cache=True, tokens_per_batch=512)) == Passes(True, 512)
    with pytest.raises(RecipeError) as error:
        passes(Runtime(grad_cache=True), ["the objective 'ted'"])
    assert str(error.value) == (
        "the objective 'ted' needs whole training passes, and here the vectors of a pass alone are shared or kept\n"
        "  seen: runtime.grad_cache: true\n"
        "  allowed: terms that read scores and vectors, and a student of one model that is trained as it is\n"
        "  next step: --set runtime.grad_cache=false, with smaller batches"
    )
    (told, _) = together(lambda: passes(Runtime(), ["an asymmetric student"]))
    assert "\n  seen: 2 processes of torchrun\n" in str(told)
    assert str(told).endswith("next step: train in one process")


def shared_gradients(base: Path, how: Passes | None) -> dict[str, Tensor]:
    """As DistributedDataParallel takes them: the mean over the processes. The loss is each process' own."""
    import torch.distributed as dist

    processes.wait()
    found = gradients(model_of(base, how, still=True), [batch_of(base), batch_of(base, 5)])
    del found["next draw"]
    for name in found.keys() - {"loss"}:
        dist.all_reduce(found[name])
        found[name] /= processes.count()
    return found


@pytest.mark.parametrize("num_processes", [2, 3])
@pytest.mark.parametrize("how", [None, CACHED], ids=["plain", "cached"])
def test_the_shared_gradient_is_that_of_one_process(
    encoder_folder: Path, num_processes: int, how: Passes | None
) -> None:
    """Ragged lists, shared documents, five and six queries, terms over the whole batch, one trained, one drawing by lot."""
    whole = gradients(model_of(encoder_folder, still=True), [batch_of(encoder_folder), batch_of(encoder_folder, 5)])
    del whole["next draw"]
    for own in together(lambda: shared_gradients(encoder_folder, how), num_processes):
        assert_same(whole, own, 1e-5)


def test_more_processes_than_texts(encoder_folder: Path) -> None:
    """Of two queries and their few documents some processes have no part: they take part in the gathering all the same."""

    def vectors() -> list[Tensor]:
        encoder = student(encoder_folder, dropout=0.0)
        model = DistilledEncoder(encoder, OBJECTIVE).eval()
        queries = encoder.features(encoder.tokenize(["baco fuga", "lemi"], "query"), "query")
        (found,) = Passes().through(model.encode, [queries])
        return [found.detach()]

    (alone,) = vectors()
    for (found,) in together(vectors, 3):
        torch.testing.assert_close(found, alone, rtol=0, atol=1e-6)


def test_processes_draw_apart_inside_and_alike_outside() -> None:
    def draws() -> tuple[float, float, float]:
        torch.manual_seed(3)
        before = torch.rand(1)
        with drawing_apart():
            inside = torch.rand(1)
        return float(before), float(inside), float(torch.rand(1))

    one, other = together(draws)
    assert one[0] == other[0]
    assert one[1] != other[1]
    assert one[2] == other[2]
