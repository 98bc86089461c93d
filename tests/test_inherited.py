"""What a recipe takes over from the one it extends: of the budget not the keys of parts that have another kind now, and
no numbers of another collection."""

from pathlib import Path

import pytest

from retkd.errors import RecipeError
from retkd.recipe import load
from tests.recipes import TEXT, written

Told = pytest.CaptureFixture[str]
BASE = TEXT.replace("{kind: beir, path: /data/own}", "{kind: pycode}") + "budgets: {small: {%s}}\n"


def extending(folder: Path, budget: str, text: str) -> Path:
    written(folder, BASE % budget)
    path = folder / "mine.yaml"
    path.write_text("extends: recipe.yaml\nbudget: small\n" + text)
    return path


def error_of(path: Path, *overrides: str) -> str:
    with pytest.raises(RecipeError) as error:
        load(path, overrides)
    return str(error.value)


@pytest.mark.parametrize(
    "text", ["collection: {kind: beir, path: /own}\n", "set: {collection.kind: beir, collection.path: /own}\n"]
)
def test_another_collection_goes_without_what_the_budget_says_of_the_old_one(
    tmp_path: Path, capsys: Told, text: str
) -> None:
    path = extending(tmp_path, "collection.share: 0.25, stages.train.steps: 3", text)
    recipe = load(path)
    assert (recipe.collection.kind, str(recipe.collection.path), recipe.stages["train"].steps) == ("beir", "/own", 3)
    assert capsys.readouterr().err == (
        f"{path}:3, key collection.kind: beir in place of pycode begins afresh, without share (budget small)\n"
    )
    again = tmp_path / "again.yaml"
    again.write_text("extends: mine.yaml\n")
    assert load(again).collection == recipe.collection


def test_the_same_kind_keeps_what_the_budget_says(tmp_path: Path, capsys: Told) -> None:
    path = extending(tmp_path, "collection.share: 0.25", "collection: {kind: pycode}\n")
    assert load(path).collection.share == 0.25
    assert capsys.readouterr().err == ""


def test_a_key_that_the_new_kind_has_too_is_set(tmp_path: Path, capsys: Told) -> None:
    budget = "stages.mine.miner.depth: 7, stages.mine.miner.k1: 1.5, stages.train.objective.0.teacher_temperature: 2"
    path = extending(
        tmp_path,
        budget,
        "set:\n  stages.mine.miner: {kind: random}\n  stages.train.objective.0.kind: margin_mse\n"
        "  stages.train.objective.0.teacher: ce\n",
    )
    assert load(path).stages["mine"].miner.depth == 7
    assert capsys.readouterr().err.splitlines()[-2:] == [
        f"{path}:4, key stages.mine.miner.kind: random in place of bm25 begins afresh, without k1 (budget small)",
        f"{path}:5, key stages.train.objective.0.kind: margin_mse in place of kl begins afresh, "
        "without teacher_temperature (budget small)",
    ]


def test_a_key_that_is_wrong_for_the_kind_it_was_written_for_is_refused(tmp_path: Path) -> None:
    path = extending(tmp_path, "collection.shrae: 0.25", "collection: {kind: beir, path: /own}\n")
    assert "unknown key 'shrae'" in error_of(path)
    own = "budgets: {small: {collection.share: 0.25}}\n"
    path = extending(tmp_path, "seed: 3", "collection: {kind: beir, path: /own}\n" + own)
    assert "unknown key 'share'" in error_of(path)


def test_a_budget_that_gives_the_kind_itself_is_taken_whole(tmp_path: Path) -> None:
    budget = "stages.mine.miner.kind: bm25, stages.mine.miner.k1: 1.5"
    path = extending(tmp_path, budget, "set: {stages.mine.miner: {kind: random}}\n")
    assert load(path).stages["mine"].miner.k1 == 1.5


NUMBER = "expected: [{system: student, value: 0.5}]\n"
OF_BUDGET = "collection.share: 0.25"
OWN = "collection: {kind: beir, path: /own}\n"


def said(path: Path, capsys: Told, *overrides: str) -> str:
    """What the reading of a recipe says of its expected numbers; empty where it still expects them."""
    capsys.readouterr()
    expects = bool(load(path, overrides).expected)
    told = [line for line in capsys.readouterr().err.splitlines() if "expected numbers" in line]
    assert len(told) == (not expects)
    return "".join(told)


def test_numbers_of_another_collection_are_not_expected(tmp_path: Path, capsys: Told) -> None:
    path = extending(tmp_path, OF_BUDGET, NUMBER)
    where = f"{path}:3, key expected: expected numbers are those of"
    assert said(path, capsys) == ""
    assert said(path, capsys, "collection.kind=beir", "collection.path=/own") == (
        f"{where} pycode; they are not held against beir"
    )
    assert said(path, capsys, "collection.share=0.5") == (
        f"{where} pycode share 0.25; they are not held against pycode share 0.5"
    )
    assert said(path, capsys, "budget=null") == f"{where} budget small; they are not held against budget none"
    copy = tmp_path / "copy.yaml"
    copy.write_text("extends: mine.yaml\n" + OWN)
    assert said(copy, capsys) == f"{where} pycode; they are not held against beir"


def test_numbers_are_expected_of_the_collection_that_their_file_has(tmp_path: Path, capsys: Told) -> None:
    path = extending(tmp_path, OF_BUDGET, OWN + NUMBER)
    assert said(path, capsys) == ""
    assert said(path, capsys, "collection.path=/own", "stages.train.steps=5") == ""
    copy = tmp_path / "copy.yaml"
    copy.write_text("extends: mine.yaml\nseed: 5\n")
    assert said(copy, capsys) == ""
    copy.write_text("extends: mine.yaml\ncollection: {kind: beir, path: /else}\nexpected: [{value: 0.7}]\n")
    assert said(copy, capsys) == ""
    numbers = "expected=[{value: 0.6}]"
    assert said(path, capsys, "collection.path=/else", numbers) == ""
