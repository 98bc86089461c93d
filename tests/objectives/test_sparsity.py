"""The regularisers of a sparse student, bound to a training, and the students that a term may teach."""

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from retkd.batch import Batch, ScoredBatch
from retkd.objectives.base import Training
from retkd.objectives.sparsity import L1, Flops
from retkd.stages.teach import Config as Teach
from retkd.stages.train import Config

QUERIES = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
DOCUMENTS = torch.tensor([[0.0, 2.0]])


def scored(progress: float) -> ScoredBatch:
    empty = torch.zeros((2, 1), dtype=torch.int64)
    batch = Batch(("q1", "q2"), ("d",), {}, (), empty, empty == 0, empty, torch.zeros((2, 1), dtype=torch.bool), {})
    return ScoredBatch(batch, torch.zeros(2, 1), torch.zeros(2, 1), QUERIES, DOCUMENTS, progress)


def test_each_reads_its_side() -> None:
    assert Flops(side="query").loss(scored(0.0)) == 4.0
    assert Flops(side="document").loss(scored(0.0)) == 4.0
    assert L1(side="query").loss(scored(0.0)) == 2.0
    assert L1(side="document").loss(scored(0.0)) == 2.0


def test_the_weight_grows_with_the_square_of_the_step_to_its_cap_at_step_t_plus_one() -> None:
    """T is half of 18 steps, 9: the cap is reached at step 10, and at step 5 a quarter of it."""
    term = L1(side="query", ramp=0.5).bind(Training(steps=18))
    values = [float(term(scored(step / 18))) for step in range(18)]
    assert values[0] == 0.0
    assert values[5] == pytest.approx(2.0 * 0.25)
    assert values[9] == pytest.approx(2.0 * 0.81)
    assert values[10:] == pytest.approx([2.0] * 8)


def test_a_dense_student_is_refused() -> None:
    told = {
        "candidates": "score",
        "student": {"kind": "dense", "base": "org/base"},
        "objective": [{"kind": "infonce"}, {"kind": "flops", "side": "query"}],
    }
    with pytest.raises(ValidationError) as error:
        TypeAdapter(Config).validate_python(told)
    assert (
        "the objective flops reads weights of terms, and a student of kind dense gives one dense vector for a text: "
        "leave it out, or take a student of kind sparse"
    ) in str(error.value)


def test_what_is_taught_pairs_has_no_terms() -> None:
    with pytest.raises(
        ValidationError, match="the objective l1 reads a text's vectors, and what is taught here scores"
    ):
        Teach(candidates="mine", base="org/base", objective=[L1(side="query")])
