"""Stage names inside a recipe: unknown ones, wrong ones, circles, the order to run in."""

from pathlib import Path

import pytest

from retkd.errors import RecipeError
from retkd.recipe import load
from retkd.references import inputs_of, models_of, run_order
from tests.recipes import TEXT, line_of, written

NO_CONTROLS = TEXT.replace("    controls: [bm25, zero_shot, contrastive, teacher]\n", "")


def error_of(path: Path, *overrides: str) -> str:
    with pytest.raises(RecipeError) as error:
        load(path, overrides)
    return str(error.value)


def test_an_unknown_stage(tmp_path: Path) -> None:
    path = written(tmp_path, **{"candidates: select": "candidates: selct"})
    assert error_of(path) == (
        f"the recipe {path} cannot be run: 1 problem\n"
        "  - there is no stage 'selct'\n"
        f"      where: {path}:{line_of('candidates: select')}, key stages.train.candidates\n"
        "      seen: selct\n"
        "      next step: did you mean 'select'?"
    )


def test_only_stages_that_fit_are_proposed(tmp_path: Path) -> None:
    path = written(tmp_path, **{"model: train, index: index": "model: train, index: indx"})
    told = error_of(path)
    assert "there is no stage 'indx'" in told
    assert told.endswith("next step: did you mean 'index'?")
    path = written(tmp_path, **{"model: train, index: index": "model: train, index: trai"})
    assert error_of(path).endswith("next step: known: index")


def test_a_stage_that_gives_something_else(tmp_path: Path) -> None:
    path = written(tmp_path, **{"candidates: select": "candidates: index"})
    assert error_of(path) == (
        f"the recipe {path} cannot be run: 1 problem\n"
        "  - the stage 'index' does not give candidates\n"
        f"      where: {path}:{line_of('candidates: select')}, key stages.train.candidates\n"
        "      seen: index is of kind index, which gives index\n"
        "      allowed: mine, score, select"
    )


def test_a_model_that_is_a_stage_of_the_wrong_kind(tmp_path: Path) -> None:
    path = written(tmp_path, **{"model: /models/teacher": "model: train"})
    assert "the stage 'train' does not give cross_encoder\n" in error_of(path)


def test_stages_that_read_each_other(tmp_path: Path) -> None:
    path = written(tmp_path, NO_CONTROLS, **{"candidates: mine": "candidates: select"})
    assert error_of(path) == (
        f"the recipe {path} cannot be run: 1 problem\n"
        "  - stages read each other in a circle\n"
        "      where: stages\n"
        "      seen: score -> select -> score"
    )


def test_a_stage_that_reads_itself_and_a_circle_through_models(tmp_path: Path) -> None:
    path = written(tmp_path, NO_CONTROLS, **{"candidates: score\n    f": "candidates: select\n    f"})
    assert error_of(path).endswith("seen: select -> select")
    path = written(tmp_path, NO_CONTROLS, **{"miner: {kind: bm25, depth: 50}": "miner: {kind: dense, model: train}"})
    assert error_of(path).endswith("seen: mine -> train -> select -> score -> mine")


def test_an_unknown_transfer_collection(tmp_path: Path) -> None:
    path = written(tmp_path, NO_CONTROLS + "transfer: {cranfield: {kind: beir, path: /data/c}}\n")
    assert error_of(path, "stages.index.collection=cranfeld") == (
        f"the recipe {path} cannot be run: 1 problem\n"
        "  - no such transfer collection or view\n"
        f"      where: {path}:{line_of('  index:')}, key stages.index.collection\n"
        "      seen: cranfeld\n"
        "      allowed: cranfield"
    )


VIEWS = """\
views: {german: {kind: beir, path: /data/german}}
transfer: {cranfield: {kind: beir, path: /data/c}}
"""


def test_a_stage_reads_a_view_and_nothing_is_copied_for_it(tmp_path: Path) -> None:
    path = written(tmp_path, NO_CONTROLS + VIEWS)
    recipe = load(path, ["stages.train.collection=german", "stages.index.collection=german"])
    assert str(recipe.collection_of("train").path) == "/data/german"
    assert str(recipe.collection_of("mine").path) == "/data/own"
    assert str(recipe.collection_of("index-cranfield").path) == "/data/c"
    assert not [name for name in recipe.stages if "german" in name]
    assert error_of(path, "stages.train.collection=germn").endswith("seen: germn\n      allowed: cranfield, german")


def test_a_view_and_a_transfer_collection_have_different_names(tmp_path: Path) -> None:
    path = written(tmp_path, NO_CONTROLS + VIEWS.replace("german:", "cranfield:"))
    assert "cranfield is a transfer collection already: give the view another name" in error_of(path)


def test_all_problems_come_together(tmp_path: Path) -> None:
    path = written(tmp_path, **{"candidates: mine": "candidates: min", "candidates: select": "candidates: selct"})
    assert "cannot be run: 2 problems" in error_of(path)


def test_the_order_is_as_written_where_nothing_else_is_asked(tmp_path: Path) -> None:
    stages = load(written(tmp_path, NO_CONTROLS)).stages
    written_order = ["mine", "score", "select", "train", "index", "evaluate"]
    assert run_order(stages) == written_order
    backwards = dict(reversed(stages.items()))
    order = run_order(backwards)
    assert all(order.index(other) < order.index(name) for name in order for other in inputs_of(backwards, name))
    assert sorted(order) == sorted(written_order)


def test_inputs_are_stages_and_models_are_what_stands_outside(tmp_path: Path) -> None:
    stages = load(written(tmp_path, NO_CONTROLS)).stages
    assert inputs_of(stages, "evaluate") == ["train", "index", "score"]
    assert inputs_of(stages, "mine") == []
    assert (models_of(stages, "score"), models_of(stages, "train")) == (["/models/teacher"], ["/models/base"])
    assert models_of(stages, "evaluate") == []


@pytest.mark.parametrize(
    ("head", "kind", "fits"),
    [
        ("uni", "uni_encoder", True),
        ("uni", "cross_encoder", False),
        ("beca", "beca", True),
        ("segments", "uni_encoder", False),
    ],
)
def test_what_a_teach_stage_gives_follows_its_head(tmp_path: Path, head: str, kind: str, fits: bool) -> None:
    teach = f"  teach: {{kind: teach, candidates: mine, base: /models/base, head: {head}}}\n"
    text = TEXT.replace("  score:\n", teach + "  score:\n")
    path = written(tmp_path, text, **{"kind: cross_encoder, model: /models/teacher": f"kind: {kind}, model: teach"})
    if fits:
        assert inputs_of(load(path).stages, "score") == ["mine", "teach"]
    else:
        assert f"the stage 'teach' does not give {kind}\n" in error_of(path)
