"""A training in several processes is that of one: trace, weights, looks at dev, checkpoints, errors."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from retkd import processes
from retkd.batch import Example
from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError, RecipeError
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.in_batch_kl import InBatchKL
from retkd.objectives.ranknet import RankNet
from retkd.resources import device
from retkd.training.dense_teacher import dense_teachers
from retkd.training.passes import Passes
from retkd.training.teaching import TaughtModel, collator, new_scorer, require_own_lists
from tests.conftest import MakeInputs
from tests.distilling import trained
from tests.together import near, together
from tests.training.test_teaching import EXAMPLES, config


@pytest.mark.parametrize(("num_processes", "grad_cache"), [(2, False), (3, True)])
def test_the_trace_and_the_weights_are_those_of_one_process(
    encoder_folder: Path, tmp_path: Path, num_processes: int, grad_cache: bool
) -> None:
    """Batches of four queries among two and three processes, two of them to a step; dev is looked at in the first one."""

    def dev(encoder: Encoder) -> dict[str, float]:
        assert processes.is_first()
        return {"nDCG@10": float(encoder.encode(["baco fuga"], "query")[0].max())}

    def run(place: str, passes: Passes | None = None) -> Any:
        work = tmp_path / place
        told = {"steps": 6, "accumulation": 2, "evaluate_every": 2, "save_every": 2, "keep": "best", "patience": 3}
        return trained(encoder_folder, work, dev=dev, dropout=0.0, passes=passes, **told)

    trace, weights = run("alone")
    for own_trace, own_weights in together(lambda: run("shared", Passes(grad_cache)), num_processes):
        assert [row.keys() for row in own_trace] == [row.keys() for row in trace]
        for own, one in zip(own_trace, trace, strict=True):
            assert own.get("dev", {}) == pytest.approx(one.get("dev", {}), abs=1e-5)
            assert own.get("loss", 0) == pytest.approx(one.get("loss", 0), rel=1e-5)
            assert own.get("grad_norm", 0) == pytest.approx(one.get("grad_norm", 0), rel=1e-3)
        assert near(own_weights, weights, 1e-4)
    assert [path.name for path in tmp_path.glob("shared/checkpoint-*/complete")] == ["complete"] * 2


def test_with_dropout_the_processes_draw_their_own_and_twice_the_same(encoder_folder: Path, tmp_path: Path) -> None:
    """And none of them has weights of its own."""

    def run(place: str) -> Any:
        return trained(encoder_folder, tmp_path / place, steps=3)

    first, again = together(lambda: run("first")), together(lambda: run("again"))
    assert first[0][0] == first[1][0] == again[0][0]
    assert near(first[0][1], first[1][1], 0.0)
    assert near(first[0][1], again[1][1], 0.0)
    assert first[0][0] != run("alone")[0]


def test_a_batch_with_fewer_queries_than_processes(encoder_folder: Path, tmp_path: Path) -> None:
    for told in together(lambda: trained(encoder_folder, tmp_path, batch_queries=1)):
        assert isinstance(told, RecipeError)
        assert str(told) == (
            "a batch has fewer queries than this run has processes, so that some would have nothing to do\n"
            "  where: train, key batch_queries\n"
            "  seen: 1 queries, 2 processes\n"
            "  allowed: 2 or more; a batch is divided among the processes, whatever their number\n"
            "  next step: raise batch_queries, or start fewer processes"
        )


@pytest.mark.parametrize("head", ["classifier", "segments", "uni", "beca"])
@pytest.mark.parametrize("examples", [EXAMPLES, EXAMPLES[:3]], ids=["eleven queries", "three queries"])
def test_a_shared_teacher_has_the_gradient_of_the_whole_batch(
    encoder_folder: Path, head: str, examples: list[Example]
) -> None:
    def gradients() -> dict[str, Tensor]:
        import torch.distributed as dist

        torch.manual_seed(0)
        objective = [InfoNCE(temperature=1.0, in_batch=False), RankNet(teacher="t", student_scale=1.0)]
        scorer = new_scorer(encoder_folder, "cpu", config(head=head))
        model = TaughtModel(scorer, objective).eval()
        loss = model(collator(scorer, {})(examples)["batch"])["loss"]
        loss.backward()
        found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        processes.wait()
        if processes.count() > 1:
            for gradient in found.values():
                dist.all_reduce(gradient)
                gradient /= processes.count()
        return {**found, "loss": loss.detach()}

    alone = gradients()
    for shared in together(gradients):
        assert near(shared, alone, 1e-5)


def test_a_shared_teacher_cannot_learn_from_other_queries_documents() -> None:
    objective = [InfoNCE(in_batch=False), InBatchKL(model="m")]
    require_own_lists(objective)
    (told, _) = together(lambda: require_own_lists(objective))
    assert str(told) == (
        "the objective 'in_batch_kl' reads scores of other queries' documents, and the processes share the queries\n"
        "  where: torchrun\n"
        "  seen: 2 processes\n"
        "  allowed: terms that read a query's own candidates\n"
        "  next step: set `in_batch: false`, or train this teacher in one process"
    )


def test_the_first_process_encodes_the_corpus_for_all(encoder_folder: Path, inputs: MakeInputs, tmp_path: Path) -> None:
    """The others find it: a second set of vectors would have another time of writing."""
    given = inputs(models={"m": encoder_folder})

    def made() -> tuple[int, float]:
        (teacher,) = dense_teachers([InBatchKL(model="m")], "train", given, "cpu", tmp_path / "work").values()
        (written,) = given.store.rglob("vectors.npy")
        return written.stat().st_mtime_ns, float(teacher.documents.sum() + teacher.queries.sum())

    one, other = together(made)
    assert one == other


def test_each_process_has_a_device_of_its_own() -> None:
    from retkd.resources import _own_device

    def own(asked: str, num_gpus: int) -> str:
        return str(_own_device(asked, num_gpus))

    assert together(lambda: own("cuda", 2)) == ["cuda:0", "cuda:1"]
    assert together(lambda: device("cpu")) == ["cpu", "cpu"]
    (_, told) = together(lambda: own("cuda", 1) if processes.number() else "")
    assert isinstance(told, ModelError)
    assert str(told) == (
        "process 2 of this machine has no device of its own\n"
        "  where: runtime.device\n"
        "  seen: cuda; 1 CUDA devices are here\n"
        "  allowed: cuda, with at most one process for each CUDA device, or cpu\n"
        "  next step: start fewer processes (--nproc_per_node), or set runtime.device=cpu"
    )
    assert all(isinstance(told, ModelError) for told in together(lambda: own("cuda:1", 2)))


def test_without_a_launcher_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert (processes.count(), processes.number(), processes.is_first()) == (1, 0, True)
    assert processes.from_first(lambda: "told") == "told"
