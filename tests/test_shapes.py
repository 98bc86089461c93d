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
    path = written(tmp_path, **{"layers: [0, 2]": "layers: [0, 3]"})
    assert error_of(path, own) == (
        f"the recipe {path} cannot be run: 1 problem\n"
        "  - the student cannot keep these layers\n"
        f"      where: {path}:{line_of('student: {kind: dense, base')}, key stages.train.student.layers\n"
        "      seen: [0, 3]\n"
        "      allowed: rising indices from 0 to 2\n"
        "      next step: `every_second`, {first: n}, {every: n} with n from 2 on, or a list of indices such as [0, 2, 5], "
        "which count from 0 and are never negative"
    )
    assert "seen: [0, 1, 2, 3]\n" in error_of(path, own, "stages.train.student.layers={first: 4}")


def test_a_length_beyond_the_positions_of_the_base(tmp_path: Path) -> None:
    path, own = written(tmp_path), base(tmp_path / "base", max_position_embeddings=64)
    assert load(path, [own, "stages.train.student.max_length=64"])
    assert error_of(path, own, "stages.train.student.max_length=65") == (
        f"the recipe {path} cannot be run: 1 problem\n"
        "  - the student's max_length is beyond the positions that its base knows\n"
        "      where: --set, key stages.train.student.max_length\n"
        "      seen: 65\n"
        "      allowed: 4 to 64\n"
        "      next step: lower student.max_length, or choose a base for longer texts"
    )
    plain = base(tmp_path / "base")
    assert load(path, [plain, "stages.train.student.max_length=65"])


def test_a_length_beyond_the_positions_of_a_student_that_is_trained_on(tmp_path: Path) -> None:
    path, own = written(tmp_path), base(tmp_path / "base", max_position_embeddings=64)
    later = (
        "stages.later={kind: train, candidates: select, student: {kind: dense, base: train, max_length: %d}, steps: 3, "
    )
    later += "objective: [{kind: infonce}]}"
    assert "key stages.later.student.max_length\n      seen: 65\n" in error_of(path, own, later % 65)
    assert load(path, [own, later % 64])


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


def layered(term: str, *more: str) -> list[str]:
    return [f"stages.train.objective=[{{kind: infonce}}, {term}]", "stages.evaluate.controls=[]", *more]


@pytest.mark.parametrize(
    ("term", "what", "key", "seen"),
    [
        (
            "{kind: virt, layers: [[1, 2], [3, 6]], model: MODEL}",
            "the objective 'virt' reads a layer that the model does not have",
            "layers",
            "[3] of the student\n      allowed: 0 to 2 (0: the embeddings' output)",
        ),
        (
            "{kind: token_relations, layers: [[0, 7]], model: MODEL}",
            "the objective 'token_relations' reads a layer that the model does not have",
            "layers",
            "[7] of the teacher MODEL\n      allowed: 0 to 6 (0: the embeddings' output)",
        ),
        (
            "{kind: hidden_cosine, model: MODEL}",
            "the objective 'hidden_cosine' compares states of student and teacher directly, and their widths differ",
            "kind",
            "student 32, teacher 48\n      next step: use layer_mse",
        ),
        (
            "{kind: layer_mse, projection: false, model: MODEL}",
            "the objective 'layer_mse' compares states of student and teacher directly, and their widths differ",
            "projection",
            "student 32, teacher 48\n      next step: set `projection: true`",
        ),
        (
            "{kind: minilm_v2, relation_heads: 16, student_layer: 3, model: MODEL}",
            "minilm_v2 reads a layer that the model does not have",
            "student_layer",
            "3 of the student\n      allowed: 1 to 2",
        ),
        (
            "{kind: minilm_v2, relation_heads: 12, model: MODEL}",
            "states of this width cannot be split into so many relation heads",
            "relation_heads",
            "width 32 of the student, relation_heads 12\n      allowed: 1, 2, 4, 8, 16, 32\n",
        ),
        (
            "{kind: lead, num_layers: 3, model: MODEL}",
            "lead cannot draw so many layers",
            "num_layers",
            "num_layers 3, and 2 layers of the student\n      allowed: 1 to 2: ",
        ),
    ],
)
def test_layers_and_heads_that_a_term_asks_for(tmp_path: Path, term: str, what: str, key: str, seen: str) -> None:
    path, own = written(tmp_path), base(tmp_path / "base")
    base(tmp_path / "teacher", num_hidden_layers=6, hidden_size=48)
    model = str(tmp_path / "teacher")
    told = error_of(path, own, *layered(term.replace("MODEL", model)))
    assert "cannot be run: 1 problem\n" in told
    assert f"  - {what}\n" in told
    assert f"key stages.train.objective.1.{key}\n      seen: {seen.replace('MODEL', model)}" in told


def test_terms_that_fit_and_teachers_that_are_not_here(tmp_path: Path) -> None:
    path, own = written(tmp_path), base(tmp_path / "base")
    base(tmp_path / "teacher", num_hidden_layers=6, hidden_size=48)
    for term in (
        f"{{kind: virt, layers: [[2, 6]], model: {tmp_path / 'teacher'}}}",
        f"{{kind: minilm_v2, relation_heads: 16, teacher_layer: 6, model: {tmp_path / 'teacher'}}}",
        "{kind: virt, layers: [[2, 99]], model: org/name}",
    ):
        assert load(path, [own, *layered(term)])


def test_a_teacher_that_another_stage_trains(tmp_path: Path) -> None:
    path, own = written(tmp_path), base(tmp_path / "base")
    big = base(tmp_path / "big", num_hidden_layers=6).partition("=")[2]
    student = f"{{kind: dense, base: {big}, layers: {{first: 4}}}}"
    teacher = f"stages.big={{kind: train, candidates: select, objective: [{{kind: infonce}}], student: {student}}}"
    term = "{kind: virt, layers: [[1, 5]], model: big}"
    assert "seen: [5] of the teacher big\n      allowed: 0 to 4 " in error_of(path, own, teacher, *layered(term))
    smaller = "stages.train.student.base=big"
    assert "allowed: rising indices from 0 to 3\n" in error_of(
        path, teacher, smaller, "stages.train.student.layers=[4]"
    )
    assert load(path, [teacher, smaller, "stages.train.student.layers=[3]"])


def test_exits_that_do_not_end_with_the_last_layer(tmp_path: Path) -> None:
    path, own = written(tmp_path), base(tmp_path / "base")
    exits = ["stages.train.student.kind=multi_exit", "stages.train.student.layers=[0, 1, 2]"]
    told = error_of(path, *exits, own, "stages.train.student.exits=[1, 2]")
    assert "key stages.train.student.exits\n      seen: exits [1, 2], 3 layers\n" in told
    assert load(path, [*exits, own, "stages.train.student.exits=[1, 3]"])


def test_an_index_and_an_export_cut_to_more_than_there_is(tmp_path: Path) -> None:
    path, own = written(tmp_path), base(tmp_path / "base")
    export = "stages.export={kind: export, model: train, dim: 48}"
    told = error_of(path, own, export, "stages.index.dim=33")
    assert "cannot be run: 2 problems\n" in told
    assert told.count("  - vectors cannot be cut to more coordinates than they have\n") == 2
    assert "key stages.index.dim\n      seen: 33\n      allowed: 1 to 32\n" in told
    assert "key stages.export.dim\n      seen: 48\n      allowed: 1 to 32\n" in told
    assert load(path, [own, export.replace("48", "32"), "stages.index.dim=32"])


def test_the_width_of_a_folder_is_that_of_its_last_module(tmp_path: Path) -> None:
    path, folder = written(tmp_path), tmp_path / "base"
    base(folder)
    kinds = ("Transformer", "Pooling", "Dense", "Normalize")
    names = [("" if number == 0 else f"{number}_{kind}") for number, kind in enumerate(kinds)]
    modules = [
        {"type": f"sentence_transformers.models.{kind}", "path": name} for kind, name in zip(kinds, names, strict=True)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "config.json").write_text(json.dumps({"in_features": 32, "out_features": 64}))
    index = f"stages.own={{kind: index, model: {folder}, recipe: flat, dim: DIM}}"
    assert "seen: 65\n      allowed: 1 to 64\n" in error_of(path, index.replace("DIM", "65"))
    assert load(path, [index.replace("DIM", "64")])
    modules[1]["type"] = "somebody.elses.Module"
    (folder / "modules.json").write_text(json.dumps(modules))
    assert load(path, [index.replace("DIM", "999")])
