"""`retkd ls KIND`: every key of every kind is told."""

import pytest

from retkd import recipes
from retkd.errors import RecipeError

KINDS = [kind for _, known in recipes.kinds() for kind in known.split(", ")]


@pytest.mark.parametrize("kind", sorted(set(KINDS)))
def test_every_kind_tells_its_keys(kind: str) -> None:
    rows = recipes.keys(kind)
    assert rows[0][0].endswith(f": {kind}")
    assert all(words and "typing" not in words and "FieldInfo" not in words for _, words in rows)


def test_what_a_key_takes() -> None:
    assert dict(recipes.keys("dense"))["  model"] == "a model, or a stage that gives encoder or asymmetric_encoder"
    keys = dict(recipes.keys("train"))
    assert keys["  candidates"] == "a stage that gives candidates"
    assert keys["  steps"] == "int = 200; optimiser steps; 0 publishes the model as initialised"
    assert dict(recipes.keys("infonce"))["  temperature"].startswith(
        "float | {learned_from: float, rate: float, within: float} = 0.05; a number, or {learned_from: NUMBER} to train it, "
    )
    assert keys["  keep"].startswith("last | best = 'last'; ")


def test_an_unknown_kind() -> None:
    with pytest.raises(RecipeError) as error:
        recipes.keys("bm2")
    assert str(error.value) == (
        "ls lists recipes, indexes, formats, kinds, or the keys of a kind\n"
        "  seen: bm2\n"
        "  allowed: recipes, indexes, formats, kinds, or one that `retkd ls kinds` shows\n"
        "  next step: did you mean 'bm25'?"
    )
