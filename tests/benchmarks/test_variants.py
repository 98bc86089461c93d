"""What the benchmark of objectives varies is valid, each variant for itself."""

from pathlib import Path

import pytest

from benchmarks.students import RECIPE
from benchmarks.variants import STUDIES
from retkd.recipe import load


@pytest.mark.parametrize("study", STUDIES)
def test_every_variant_is_a_valid_recipe_and_no_two_are_the_same(
    study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETKD_DATA", str(tmp_path))
    monkeypatch.setenv("RETKD_POOL", str(tmp_path))
    stages = [load(RECIPE, changes).stages for changes in STUDIES[study].values()]
    assert len(stages) > 1
    assert not any(one == other for place, one in enumerate(stages) for other in stages[:place])
