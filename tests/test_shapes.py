"""Layers and widths that a base does not have are told when the recipe is read, where the base is on this machine."""

import json
from pathlib import Path

import pytest

from retkd.errors import RecipeError
from retkd.recipe import load
from tests.recipes import line_of, written

WRAPPED = "[{kind: matryoshka, dims: [64, 32], terms: [{kind: infonce}]}]"


def base(folder: Path, **more: object) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"num_hidden_layers": 3, "hidden_size": 32, **more}))
    return f"stages.train.student.base={folder}"


def error_of(path: Path, *overrides: str) -> str:
    with pytest.raises(RecipeError) as error:
        load(path, overrides)
    return str(error.value)


def test_layers_beyond_those_of_the_base(tmp_path: Path) -> None:
    path, own = written(tmp_path), base(tmp_path / "base")
    assert load(path, [own]).stages["train"].student.layers == [0, 2]
    assert error_of(path, own, "stages.train.student.layers=[0, 3]") == (
        f"the recipe {path} cannot be run: 1 problem\n"
        "  - the student cannot keep these layers\n"
        f"      where: {path}:{line_of('student: {kind: dense, base')}, key stages.train.student.layers\n"
        "      seen: [0, 3]\n"
        "      allowed: rising indices from 0 to 2\n"
        "      next step: `every_second`, {first: n}, {every: n} with n from 2 on, or a list such as [0, 2, 5]"
    )
    assert "seen: [0, 1, 2, 3]\n" in error_of(path, own, "stages.train.student.layers={first: 4}")


def test_matryoshka_widths_beyond_that_of_the_base(tmp_path: Path) -> None:
    path, own = written(tmp_path), base(tmp_path / "base")
    told = error_of(path, own, f"stages.train.objective={WRAPPED}", "stages.evaluate.controls=[]")
    assert "  - the student's vectors are narrower than the widest of the Matryoshka widths\n" in told
    assert "key stages.train.objective.0.dims\n      seen: dims [64, 32], vectors of 32\n" in told
    wide = base(tmp_path / "base", hidden_size=64)
    assert load(path, [wide, f"stages.train.objective={WRAPPED}"])


def test_poolings_put_together_make_vectors_wider_than_the_base(tmp_path: Path) -> None:
    path, own = written(tmp_path), base(tmp_path / "base")
    (tmp_path / "base" / "1_Pooling").mkdir()
    modes = {"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}
    (tmp_path / "base" / "1_Pooling" / "config.json").write_text(json.dumps(modes))
    objective = f"stages.train.objective={WRAPPED}"
    assert load(path, [own, objective])
    assert "dims [64, 32]" in error_of(path, own, objective, "stages.train.student.pooling=cls")


def test_a_base_that_is_not_here_is_left_to_the_run(tmp_path: Path) -> None:
    path = written(tmp_path)
    for name in ("org/name", str(tmp_path / "none"), "package:no_such_package/model"):
        assert load(path, [f"stages.train.student.base={name}", "stages.train.student.layers=[0, 99]"])
