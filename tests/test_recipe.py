"""A recipe file becomes a typed recipe: overrides, budgets, extension, the environment, seeds."""

from pathlib import Path

import pytest

from retkd.errors import RecipeError
from retkd.recipe import load
from tests.recipes import TEXT, line_of, written

BUDGETS = TEXT + "budgets: {small: {stages.train.steps: 3, seed: 5}, nothing: {}}\n"


def error_of(path: Path, *overrides: str) -> str:
    with pytest.raises(RecipeError) as error:
        load(path, overrides)
    return str(error.value)


def test_the_recipe_is_typed_and_frozen(tmp_path: Path) -> None:
    recipe = load(written(tmp_path))
    assert recipe.name == "tiny"
    assert recipe.stages["train"].objective[1].temperature == 0.02
    assert recipe.stages["train"].student.layers == [0, 2]
    with pytest.raises(ValueError, match="frozen"):
        recipe.stages["train"].steps = 5


def test_overrides_win_over_the_budget_and_the_budget_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, BUDGETS)

    def told(*overrides: str) -> tuple[int, int]:
        recipe = load(path, overrides)
        return recipe.stages["train"].steps, recipe.seed

    assert told() == (30, 13)
    assert told("budget=small") == (3, 5)
    assert told("budget=nothing") == (30, 13)
    assert told("budget=small", "stages.train.steps=7") == (7, 5)
    assert told("stages.train.steps=7", "budget=small") == (7, 5)
    assert load(path, ["budget=small"], seed=9).seed == 9
    assert told("budget=new", "budgets.new={stages.train.steps: 4}") == (4, 13)


def test_an_unknown_budget(tmp_path: Path) -> None:
    path = written(tmp_path, BUDGETS)
    assert error_of(path, "budget=smal") == (
        "the recipe has no budget 'smal'\n"
        "  where: --set, key budget\n"
        "  seen: smal\n"
        "  allowed: small, nothing\n"
        "  next step: did you mean 'small'?"
    )
    path = written(tmp_path)
    assert error_of(path, "budget=small") == (
        "the recipe has no budget 'small'\n"
        "  where: --set, key budget\n"
        "  seen: small\n"
        "  allowed: none: the recipe has no `budgets`\n"
        "  next step: known: none"
    )


@pytest.mark.parametrize(
    ("line", "key", "seen"),
    [
        ("budget: a\nbudgets: [a]", "budgets", "['a']"),
        ("budget: a\nbudgets: {a: 3}", "budgets.a", "3"),
        ("set: [a]", "set", "['a']"),
    ],
)
def test_what_must_be_a_mapping(tmp_path: Path, line: str, key: str, seen: str) -> None:
    path = written(tmp_path, TEXT + line + "\n")
    where = f"{path}:{line_of(line.splitlines()[-1], TEXT + line)}"
    assert error_of(path) == f"`{key}` must be a mapping of keys to values\n  where: {where}, key {key}\n  seen: {seen}"


def test_a_stage_runs_with_its_own_seed_or_the_recipes(tmp_path: Path) -> None:
    recipe = load(written(tmp_path), ["stages.select.seed=0"], seed=21)
    assert (recipe.seed_of("select"), recipe.seed_of("train")) == (0, 21)


@pytest.mark.parametrize("setting", ["seed=-1", f"seed={2**32}", "stages.train.seed=-1"])
def test_a_seed_that_numpy_would_refuse_in_the_middle_of_a_run(tmp_path: Path, setting: str) -> None:
    assert "allowed: a whole number, at least 0, below 4294967296" in error_of(written(tmp_path), setting)


def test_no_such_file_and_a_file_that_is_no_recipe(tmp_path: Path) -> None:
    assert error_of(tmp_path / "none.yaml") == (
        "there is no such recipe\n"
        f"  where: {tmp_path / 'none.yaml'}\n"
        "  next step: `retkd ls` lists the recipes that come with retkd, `retkd cp quickstart my.yaml` copies one"
    )
    path = written(tmp_path, "- a\n- b\n")
    assert error_of(path) == f"a recipe is a mapping with name, collection and stages\n  where: {path}\n  seen: list"
    path = written(tmp_path, "name: tiny\nstages: {mine: [}\n")
    assert error_of(path).startswith(f"the recipe is not YAML\n  where: {path}:2\n  seen: ")


@pytest.mark.parametrize(
    ("encoding", "line", "seen"), [("utf-16", 1, "the byte ff, which begins UTF-16"), ("latin-1", 2, "the byte fc")]
)
def test_a_file_that_is_not_utf8(tmp_path: Path, encoding: str, line: int, seen: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(f"name: tiny\n# für\n{TEXT}".encode(encoding))
    assert error_of(path) == (
        f"the recipe is not UTF-8\n  where: {path}:{line}\n  seen: {seen}\n  next step: save it as UTF-8"
    )


def test_an_empty_recipe_misses_what_it_needs(tmp_path: Path) -> None:
    assert error_of(written(tmp_path, "{}")).count("is missing") == 3
    path = written(tmp_path, "name: a\ncollection: {kind: beir, path: x}\nstages: {}\n")
    assert "allowed: 1 or more entries" in error_of(path)


def extending(tmp_path: Path, text: str) -> Path:
    """other.yaml, which extends the tiny recipe beside it."""
    written(tmp_path)
    path = tmp_path / "other.yaml"
    path.write_text(f"extends: recipe.yaml\n{text}")
    return path


def test_a_recipe_extends_another(tmp_path: Path) -> None:
    path = extending(
        tmp_path,
        "name: other\ncollection: {kind: beir, path: /else}\nset: {stages.train.steps: 4, runtime.threads: 2}\n",
    )
    recipe = load(path)
    assert (recipe.name, str(recipe.collection.path)) == ("other", "/else")
    assert (recipe.stages["train"].steps, recipe.runtime.threads) == (4, 2)
    assert load(path, ["stages.train.steps=5"]).stages["train"].steps == 5
    assert list(recipe.stages) == list(load(tmp_path / "recipe.yaml").stages)


def test_a_recipe_that_extends_another_and_has_no_name_is_named_after_its_file(tmp_path: Path) -> None:
    extending(tmp_path, "set: {seed: 3}\n")
    (tmp_path / "third.yaml").write_text("extends: other.yaml\n")
    (tmp_path / "fourth.yaml").write_text("extends: third.yaml\nset: {name: own}\n")
    assert [load(tmp_path / f"{name}.yaml").name for name in ("recipe", "other", "third", "fourth")] == [
        *("tiny", "other", "third", "own")
    ]
    assert "the key 'name' is missing" in error_of(written(tmp_path, **{"name: tiny\n": ""}))


def test_a_recipe_that_picks_anothers_budget_knows_how_long_it_takes(tmp_path: Path) -> None:
    budgets = "budgets: {small: {takes: a minute, stages.train.steps: 3}}\n"
    extending(tmp_path, budgets)
    told = {}
    for name, own in (("own", "takes: an hour\nbudget: small\n"), ("none", "budget: small\n"), ("odd", "takes: 1 h\n")):
        (tmp_path / f"{name}.yaml").write_text(f"extends: other.yaml\n{own}")
        told[name] = load(tmp_path / f"{name}.yaml")
    assert {name: recipe.takes for name, recipe in told.items()} == {"own": "an hour", "none": "a minute", "odd": "1 h"}
    assert [told[name].stages["train"].steps for name in ("own", "none")] == [3, 3]
    assert load(tmp_path / "odd.yaml", ["budget=small"]).takes == "a minute"


def test_a_set_that_is_wrong_has_the_line_of_the_file_that_wrote_it(tmp_path: Path) -> None:
    base = tmp_path / "recipe.yaml"
    path = extending(
        tmp_path,
        "budgets:\n  small:\n    stages.train.batch_queries: few\nset:\n"
        "  stages.train.steps: many\n  stages.train.objective.1.weight: heavy\n"
        "  stages.mine.miner: {kind: bm25,\n    dept: 3}\n  stages.train.student.layer: [0]\n",
    )
    told = error_of(path, "budget=small", "stages.select.seed=x")
    assert {line.removeprefix("      where: ") for line in told.splitlines() if "where: " in line} == {
        f"{path}:9, key stages.mine.miner.dept",
        "--set, key stages.select.seed",
        f"{path}:10, key stages.train.student.layer",
        f"{path}:7, key stages.train.objective.1.weight",
        f"{path}:6, key stages.train.steps",
        f"{path}:4 (budget small), key stages.train.batch_queries",
    }
    path = extending(tmp_path, "set:\n  stages.train.objective.5.weight: 2\n")
    assert f"where: {path}:3, key stages.train.objective.5.weight\n" in error_of(path)
    path = extending(tmp_path, "set: {}\n")
    written(tmp_path, **{"steps: 30": "steps: -1"})
    assert f"where: {base}:{line_of('steps: 30')}, key stages.train.steps\n" in error_of(path)


def test_a_mistake_on_the_command_line_is_told_as_one(tmp_path: Path) -> None:
    path = extending(tmp_path, "set: {stages.train.steps: 4}\n")
    for setting, key in (
        ("stages.train.steps=-1", "stages.train.steps"),
        ("stages.train.student={kind: dense, bas: x, base: y}", "stages.train.student.bas"),
        ("stages.train.student.kind=sparse", "stages.train.student.base"),
        ("stages.train.objective.9.weight=2", "stages.train.objective.9.weight"),
        ("stages.contrl.steps=2", "stages.contrl.steps"),
        ("stages.control.steps=-2", "stages.control.steps"),
        ("stages.train.candidates=selct", "stages.train.candidates"),
    ):
        assert f"where: --set, key {key}\n" in f"{error_of(path, setting)}\n"
    with pytest.raises(RecipeError, match="where: --seed, key seed\n"):
        load(path, seed=-1)


def test_what_is_wrong_with_a_whole_stage_names_the_keys_that_were_set_over_it(tmp_path: Path) -> None:
    path = extending(tmp_path, "budgets:\n  small:\n    stages.train.steps: 3\nset: {stages.train.objective: []}\n")
    stage = f"where: {tmp_path}/recipe.yaml:{line_of('  train:')}, key stages.train"
    assert f"{stage}; set over it: objective ({path}:5)\n" in error_of(path)
    told = error_of(path, "budget=small", "stages.train.objective=[{kind: self_distillation}]")
    assert f"{stage}; set over it: objective (--set), steps ({path}:4 (budget small))\n" in told


def test_a_whole_stage_that_was_set_names_no_key_of_the_one_before(tmp_path: Path) -> None:
    path = extending(tmp_path, "set:\n  stages.train.steps: 3\n")
    told = error_of(
        path, "stages.train={kind: train, candidates: select, student: {kind: dense, base: x}, objective: []}"
    )
    assert "where: --set, key stages.train\n" in told


def test_what_another_kind_lacks_is_told_where_the_kind_is_set(tmp_path: Path) -> None:
    path = extending(tmp_path, "set:\n  stages.mine.miner.depth: 9\n  stages.mine.miner.kind: dense\n")
    assert f"the key 'model' is missing\n      where: {path}:4, key stages.mine.miner.model" in error_of(path)
    path = extending(tmp_path, "set:\n  stages.mine.miner.dept: 9\n  stages.mine.miner.kind: random\n")
    assert f"where: {path}:3, key stages.mine.miner.dept\n" in error_of(path)
    path = extending(tmp_path, "set: {stages.control.student.kind: sparse, stages.control.stepz: 3}\n")
    told = error_of(path, "stages.control.student={kind: dense}")
    assert "where: --set, key stages.control.student.base" in told
    assert f"where: {path}:2, key stages.control.stepz" in told


def test_a_key_of_a_budget_that_another_kind_does_not_know(tmp_path: Path) -> None:
    written(tmp_path, TEXT + "budgets:\n  small:\n    collection.share: 0.5\n")
    path = tmp_path / "other.yaml"
    path.write_text("extends: recipe.yaml\n")
    told = error_of(path, "budget=small")
    assert "unknown key 'share'\n" in told
    assert (
        f"where: {tmp_path / 'recipe.yaml'}:{len(TEXT.splitlines()) + 3} (budget small), key collection.share\n" in told
    )
    told = error_of(path, "budget=new", "budgets.new={collection.share: 0.5}")
    assert "where: --set (budget new), key collection.share\n" in told


def test_misspelt_stages_are_told_together_and_beside_shapes(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text('{"num_hidden_layers": 2, "hidden_size": 32}')
    path = extending(
        tmp_path, f"set:\n  stages.trian.steps: 3\n  stages.train.student.base: {base}\n  stages.contrl.steps: 3\n"
    )
    told = error_of(path)
    assert f"the recipe {path} cannot be run: 3 problems\n" in told
    for line, key in ((3, "trian.steps"), (5, "contrl.steps")):
        assert f"where: {path}:{line}, key stages.{key}\n" in told
    assert "key stages.train.student.layers\n" in told


def test_sets_is_told_to_be_set(tmp_path: Path) -> None:
    assert error_of(extending(tmp_path, "sets: {seed: 3}\n")).endswith("next step: did you mean 'set'?")
    assert error_of(written(tmp_path, TEXT + "extend: x\n")).endswith("next step: did you mean 'extends'?")


def test_a_file_whose_name_is_none_for_a_recipe(tmp_path: Path) -> None:
    written(tmp_path)
    path = tmp_path / "my first (try).yaml"
    path.write_text("extends: recipe.yaml\n")
    assert error_of(path) == (
        f"the recipe {path} is not valid: 1 problem\n"
        "  - the name of a recipe is of letters, digits, `.`, `_` and `-`, and begins with a letter or a digit\n"
        f"      where: {path}, which has no `name` and so takes that of its file, key name\n"
        "      seen: 'my first (try)'\n"
        "      next step: write `name: my-first-try` in the recipe, or --set name=my-first-try"
    )
    assert load(path, ["name=mine"]).name == "mine"
    path.write_text("extends: recipe.yaml\nname: a/b\n")
    assert f"where: {path}:2, key name\n" in error_of(path)


def test_a_misspelt_stage_or_key_under_set_is_told_with_the_right_one(tmp_path: Path) -> None:
    for words, allowed, meant in (
        ("stages.tran.steps: 3", "mine, score, ", "train"),
        ("stages.train.stepz: 3", "the keys of kind train: ", "steps"),
        ("stages.train.studnt.layers: [0]", "the keys of kind train: ", "student"),
    ):
        path = extending(tmp_path, f"set:\n  {words}\n")
        told = error_of(path)
        assert f"where: {path}:3, key {words.partition(':')[0].removesuffix('.layers')}\n" in told
        assert f"allowed: {allowed}" in told
        assert told.endswith(f"next step: did you mean {meant!r}?")


def test_a_new_stage_may_be_set_whole_and_changed_further(tmp_path: Path) -> None:
    whole = "{kind: mine, miner: {kind: bm25, depth: 5}}"
    path = extending(tmp_path, f"set:\n  stages.more: {whole}\n  stages.more.miner.k1: 1.5\n")
    assert (load(path).stages["more"].miner.k1, load(path).stages["more"].miner.depth) == (1.5, 5)


def test_set_of_a_file_and_a_budget_reach_implied_stages(tmp_path: Path) -> None:
    path = extending(
        tmp_path,
        "budget: small\nbudgets: {small: {stages.control.steps: 7}}\n"
        "set: {stages.control.learning_rate: 0.5, stages.control.steps: 9}\n",
    )
    control = load(path).stages["control"]
    assert (control.learning_rate, control.steps) == (0.5, 7)
    assert load(path, ["stages.control.steps=8"]).stages["control"].steps == 8


def test_another_kind_under_set_says_which_keys_are_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = extending(tmp_path, "set:\n  stages.mine.miner.kind: random\n")
    assert load(path).stages["mine"].miner.depth != 50
    assert capsys.readouterr().err == (
        f"{path}:3, key stages.mine.miner.kind: random in place of bm25 begins afresh, without depth\n"
    )
    path.write_text(path.read_text() + "  stages.mine.miner.depth: 50\n")
    assert load(path).stages["mine"].miner.depth == 50
    assert capsys.readouterr().err == ""


def test_stages_beside_extends_are_refused(tmp_path: Path) -> None:
    path = extending(tmp_path, "name: other\nstages: {train: {steps: 4}}\n")
    told = error_of(path)
    assert told.startswith("a recipe that extends another cannot have `stages`")
    assert "next step: put what differs under `set`, as in `set: {stages.train.steps: 10}`" in told


def test_recipes_that_extend_each_other(tmp_path: Path) -> None:
    for name, base in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.yaml").write_text(f"extends: {base}.yaml\n")
    assert error_of(tmp_path / "a.yaml").startswith("recipes extend each other in a circle\n")
    (tmp_path / "c.yaml").write_text("extends: none.yaml\n")
    assert error_of(tmp_path / "c.yaml").startswith(
        "the recipe that this one extends is not there\n"
        f"  where: {tmp_path / 'c.yaml'}, key extends\n"
        "  seen: none.yaml\n"
        "  allowed: a file beside it, or a name that `retkd ls` shows\n"
    )


def test_the_environment_fills_in_and_an_unset_name_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, **{"/data/own": "'${RETKD_TEST_DATA}/own'"})
    monkeypatch.setenv("RETKD_TEST_DATA", "/somewhere")
    assert str(load(path).collection.path) == "/somewhere/own"
    monkeypatch.delenv("RETKD_TEST_DATA")
    assert error_of(path) == (
        "the recipe reads the environment variable RETKD_TEST_DATA, which is not set\n"
        f"  where: {path}\n"
        "  seen: ${RETKD_TEST_DATA}/own\n"
        "  next step: export RETKD_TEST_DATA=..., or override the key with --set"
    )


def test_looks_at_dev_are_needed_by_what_goes_by_them(tmp_path: Path) -> None:
    path = written(tmp_path, **{"steps: 30": "steps: 30\n    keep: best"})
    told = error_of(path)
    assert "  - `patience` and `keep: best` go by looks at dev: set `evaluate_every`\n" in told
    assert f"where: {path}:{line_of('  train:')}, key stages.train\n" in told
    assert load(path, ["stages.train.evaluate_every=5"]).stages["train"].keep == "best"


def test_an_override_of_an_implied_stage(tmp_path: Path) -> None:
    path = written(tmp_path)
    recipe = load(path, ["stages.control.learning_rate=0.5", "stages.bm25.miner.k1=1.2"])
    assert recipe.stages["control"].learning_rate == 0.5
    assert recipe.stages["train"].learning_rate != 0.5
    assert recipe.stages["bm25"].miner.k1 == 1.2
    assert error_of(path, "stages.contrl.steps=3").endswith("  next step: did you mean 'control'?")


def test_a_key_that_stands_twice(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("name: x\nseed: 13\nseed: 14\n")
    with pytest.raises(RecipeError) as error:
        load(path)
    assert (
        str(error.value)
        == f"the recipe is not YAML\n  where: {path}:3\n  seen: the key 'seed' stands twice in one mapping"
    )


def test_a_merged_key_may_be_overridden(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "extends: quickstart.yaml\n"
        "set:\n"
        "  stages.a: &a {kind: index, model: train, recipe: flat}\n"
        "  stages.b: {<<: *a, recipe: hnsw}\n"
    )
    stages = load(path).stages
    assert (stages["a"].recipe.factory, stages["b"].recipe.factory) == ("Flat", "HNSW32,Flat")
