"""UNIC's whole ladder: a step from each block of the student, on real passes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from retkd.batch import Batch
from retkd.encoders.encoder import Encoder
from retkd.losses.embedding import mixed_distance
from retkd.objectives.base import Training
from retkd.objectives.ladder import Ladder
from retkd.objectives.statistics import Standardise
from retkd.objectives.unic import UNIC
from retkd.training import collator
from retkd.training.collator import Collator
from retkd.training.distillation import DistilledEncoder
from retkd.training.layer_teachers import stack_of
from tests.distilling import examples
from tests.objectives.vectors import drawn
from tests.tiny import tiny_encoder

DIMS = {"wide": 8, "narrow": 4}


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """Four blocks of width 32."""
    return Encoder.load(tiny_encoder(tmp_path_factory.mktemp("student") / "model", seed=3, layers=4))


def module(student: Encoder, term: UNIC) -> DistilledEncoder:
    torch.manual_seed(1)
    stack = stack_of(student, "student") if term.reads_layers else None
    return DistilledEncoder(student, [term], Training(student.dim, DIMS, 10, 7, stack)).eval()


def batch_of(student: Encoder) -> Batch:
    batch = Collator(student)(examples(6))["batch"]
    queries = {name: drawn(len(batch.query_ids), dim, seed=dim) for name, dim in DIMS.items()}
    documents = {name: drawn(len(batch.doc_ids), dim, seed=dim + 1) for name, dim in DIMS.items()}
    return replace(batch, teacher_queries=queries, teacher_documents=documents)


def means(student: Encoder, batch: Batch) -> list[tuple[torch.Tensor, list[torch.Tensor]]]:
    """(vectors, mean of each block but the last over the valid tokens) of queries and documents, by transformers' own states."""
    told = []
    for features in (batch.queries, *batch.documents):
        states = student.model[0].auto_model(**features, output_hidden_states=True).hidden_states[1:-1]
        mask = features["attention_mask"].unsqueeze(-1).float()
        vectors = student.model(dict(features))["sentence_embedding"]
        told.append((vectors, [(state * mask).sum(1) / mask.sum(1) for state in states]))
    queries, *documents = told
    blocks = [torch.cat(each) for each in zip(*(each for _, each in documents), strict=True)]
    return [queries, (torch.cat([vectors for vectors, _ in documents]), blocks)]


def test_it_is_the_sum_of_the_steps_from_transformers_own_states(student: Encoder) -> None:
    model, batch = module(student, UNIC(models=["wide"], blocks=True)), batch_of(student)
    parts = model.objective.terms[0].trained
    expected = []
    with torch.no_grad():
        for side, (vectors, blocks) in zip(("queries", "documents"), means(student, batch), strict=True):
            ladder = parts["projector_0"]
            assert len(ladder.steps) == len(blocks) == 3
            assert [step[0].out_features for step in (*ladder.steps, ladder.last)] == [768, 768, 768, 3072]
            made = ladder.last(vectors) + sum(step(block) for step, block in zip(ladder.steps, blocks, strict=True))
            target = Standardise(8, 0.1).eval()(getattr(batch, f"teacher_{side}")["wide"])
            expected.append(mixed_distance(made, target).mean())
        found = model(batch)["loss"]
    assert found.item() == pytest.approx((sum(expected) / 2).item(), rel=1e-5)


def test_without_its_lower_steps_it_is_the_ladder_of_the_vector_alone(student: Encoder) -> None:
    batch, terms = batch_of(student), [UNIC(models=["wide", "narrow"], drop=0.0, blocks=told) for told in (False, True)]
    alone, whole = (module(student, term) for term in terms)
    for place in range(2):
        ladder, last = (each.objective.terms[0] for each in (whole, alone))
        ladder.trained[f"projector_{place}"].last.load_state_dict(last.parts[f"projector_{place}"].state_dict())
    with torch.no_grad():
        assert whole(batch)["loss"].item() != pytest.approx(alone(batch)["loss"].item(), rel=1e-3)
        for place in range(2):
            for step in whole.objective.terms[0].trained[f"projector_{place}"].steps:
                step[2].weight.zero_()
                step[2].bias.zero_()
        assert whole(batch)["loss"].item() == pytest.approx(alone(batch)["loss"].item(), rel=1e-5)


def test_lower_blocks_learn_through_their_own_steps(student: Encoder) -> None:
    """With the step of the vector cut off, the first block still moves and the last does not."""
    model = module(student, UNIC(models=["wide"], blocks=True))
    last = model.objective.terms[0].trained["projector_0"].last
    with torch.no_grad():
        last[2].weight.zero_()
    student.model.zero_grad()
    model(batch_of(student))["loss"].backward()
    first, *_, final = student.model[0].auto_model.encoder.layer
    assert all(p.grad.abs().sum() > 0 for p in first.parameters() if p.dim() == 2)
    assert all(p.grad is None or p.grad.abs().sum() == 0 for p in final.parameters())
    student.model.zero_grad()


def test_how_documents_are_cut_into_passes_changes_nothing(student: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    model, found = module(student, UNIC(models=["wide", "narrow"], drop=0.0, blocks=True)), []
    for size in (3, 100):
        cut = lambda lengths, *a, size=size: [(i, min(i + size, len(lengths))) for i in range(0, len(lengths), size)]  # noqa: E731
        monkeypatch.setattr(collator, "chunks", cut)
        batch = batch_of(student)
        found.append((len(batch.documents), model(batch)["loss"].item()))
    assert found[0][0] > found[1][0]
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-4)


def test_a_student_of_one_block_has_the_last_step_alone(tmp_path: Path) -> None:
    flat = Encoder.load(tiny_encoder(tmp_path / "flat", layers=1))
    model = module(flat, UNIC(models=["wide"], blocks=True))
    assert len(model.objective.terms[0].trained["projector_0"].steps) == 0
    assert model(batch_of(flat))["loss"] > 0


def test_a_step_per_block_is_summed() -> None:
    ladder = Ladder(2, 3, 2, 4)
    vectors, blocks = drawn(5, 2), [drawn(5, 3, seed=1), drawn(5, 3, seed=2)]
    expected = ladder.last(vectors) + ladder.steps[0](blocks[0]) + ladder.steps[1](blocks[1])
    assert torch.allclose(ladder(vectors, blocks), expected, atol=1e-6)


def test_blocks_are_steps_of_a_ladder() -> None:
    with pytest.raises(ValidationError, match="`blocks` are steps of a ladder: set `projector: ladder`"):
        UNIC(models=["wide"], blocks=True, projector="linear")
