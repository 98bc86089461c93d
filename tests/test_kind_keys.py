"""`retkd ls KIND`: every key of every kind is told."""

import pytest

from retkd import kind_keys, recipes
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


def test_a_large_family_is_named_and_a_small_one_written_out() -> None:
    rows = dict(recipes.keys("objective"))
    told = "list of `retkd ls objectives`"
    assert {words.partition(";")[0] for words in rows.values()} == {
        told,
        f"{told} = []",
        f"{told} = [{{weight: 1.0, kind: 'infonce', temperature: 1.0, in_batch: false}}]",
    }
    assert dict(recipes.keys("train"))["  objective"].startswith(f"{told}; weighted terms")
    assert dict(recipes.keys("mine"))["  miner"] == "one of `retkd ls miners`"
    assert dict(recipes.keys("train"))["  batches"].startswith("{kind: shuffled} | {kind: by_topic} | ")
    assert len(recipes.keys("miners")) > kind_keys.MOST_KINDS


def test_kind_itself_is_told_once_with_the_families() -> None:
    (kind, told), (families, named) = recipes.keys("kind")
    assert (kind, families) == ("kind", "families")
    assert told.startswith("the name of a part in its family")
    assert {"stages", "miners", "objectives"} <= set(named.partition(";")[0].split(", "))


def test_an_unknown_kind() -> None:
    with pytest.raises(RecipeError) as error:
        recipes.keys("bm2")
    assert str(error.value) == (
        "nothing of that name can be listed\n"
        "  seen: bm2\n"
        "  allowed: recipes, indexes, formats, kinds; a name that one of these shows; a family such as objectives; "
        "a key of a recipe\n"
        "  next step: did you mean 'bm25'?"
    )
    with pytest.raises(RecipeError) as error:
        recipes.keys("huber")
    assert str(error.value).endswith("  next step: `retkd ls kinds` shows the families and all their kinds")


def test_a_family_tells_its_kinds_and_a_name_of_a_list_its_purpose() -> None:
    rows = dict(recipes.keys("objectives"))
    assert len(rows) > 50
    assert rows["objectives: minilm_v2"].startswith("retkd.losses.relations.relation_kl, summed over relations")
    assert all(rows.values())
    assert {"stages: score.teachers", "teachers: cross_encoder"} <= set(dict(recipes.keys("teachers")))
    assert recipes.keys("flat") == [("index recipe: flat", "Exact search in FAISS: every query against every vector.")]
    assert [left for left, _ in recipes.keys("disco")] == ["recipe: methods/disco"]
    assert recipes.keys("quickstart")[0][1].startswith("a real distillation in minutes")
    assert recipes.keys("flagembedding")[0][0] == "format: flagembedding"


def test_a_purpose_may_go_on_over_several_lines() -> None:
    told = dict(recipes.listed())
    assert told["methods/disco"].startswith("DiSCo (Lupart et al. 2025): a student reads the conversation")
    assert told["methods/disco"].endswith("over the union of what both have found.")
    assert told["quickstart"].endswith("Nothing is fetched from a hub.")
    assert dict(recipes.listed_indexes())["ivf"].endswith("8,192 at 8.8 M (see retkd/indexing/factory.py).")
    assert not [purpose for purpose in told.values() if "Command:" in purpose or "Hardware:" in purpose]


def test_the_keys_of_a_recipe_tell_what_stands_below_them() -> None:
    rows = dict(recipes.keys("chain"))
    assert rows["recipe: chain"].endswith("= null; teacher assistants, earlier generations; written out as stages")
    assert rows["  train"] == "str = 'train'; the student's train stage; it keeps its name as the last hop"
    assert rows["    dev_queries"] == "int = 200"
    assert dict(recipes.keys("runtime"))["    retries"].startswith("int = 6; ")
    assert recipes.keys("seed") == [("recipe: seed", "int = 13; of every stage that draws at random")]
    assert [left for left, _ in recipes.keys("transfer")] == ["recipe: transfer"]


def test_a_key_of_a_kind_is_told_with_the_kinds_that_have_it() -> None:
    ((left, words),) = recipes.keys("controls")
    assert left == "stages: evaluate.controls"
    assert words.startswith("list of bm25 | zero_shot | contrastive | teacher = []")
    assert {left for left, _ in recipes.keys("num_negatives")} >= {"samplers: random.num_negatives"}


@pytest.mark.parametrize(
    ("word", "meant"),
    [("chian", "chain"), ("veiws", "views"), ("formts", "formats"), ("objctives", "objectives"), ("flatt", "flat")],
)
def test_a_misspelt_word(word: str, meant: str) -> None:
    with pytest.raises(RecipeError, match=f"did you mean '{meant}'"):
        recipes.keys(word)
