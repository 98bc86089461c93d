"""Chains of teacher assistants: shorthand that becomes stages, and the whole of it at tiny size."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retkd.batch import ScoredBatch
from retkd.errors import RecipeError
from retkd.recipe import Recipe, load
from tests.objectives.test_objectives import made
from tests.recipes import TEXT, written
from tests.tiny_recipe import tiny_recipe

CHAIN = (
    TEXT + "chain: {assistants: [{set: {student.layers: [0, 1, 2, 3], steps: 50}}, {set: {student.layers: [0, 3]}}]}\n"
)


def told(recipe: Recipe, name: str) -> dict[str, Any]:
    return recipe.stages[name].model_dump(mode="json")


def test_a_chain_of_length_zero_is_direct_distillation(tmp_path: Path) -> None:
    direct = load(written(tmp_path))
    assert load(written(tmp_path, TEXT + "chain: {assistants: []}\n")).stages == direct.stages


def test_each_hop_learns_from_the_scores_of_the_one_before(tmp_path: Path) -> None:
    recipe = load(written(tmp_path, CHAIN))
    hops = ["assistant1", "assistant1_scores", "assistant2", "assistant2_scores", "train"]
    assert list(recipe.stages)[3:8] == hops
    assert [told(recipe, name)["student"]["layers"] for name in hops[::2]] == [[0, 1, 2, 3], [0, 3], [0, 2]]
    assert [told(recipe, name)["steps"] for name in hops[::2]] == [50, 30, 30]
    assert [told(recipe, name)["candidates"] for name in hops] == [
        *("select", "select", "assistant1_scores", "select", "assistant2_scores")
    ]
    assert [told(recipe, name)["objective"][0]["teacher"] for name in hops[::2]] == ["ce", "assistant1", "assistant2"]
    for number in (1, 2):
        (column, teacher), *others = told(recipe, f"assistant{number}_scores")["teachers"].items()
        assert (column, teacher["kind"], teacher["model"], others) == (f"assistant{number}", "bi_encoder", column, [])
    assert recipe.chain is None


def test_an_assistants_cosines_are_read_at_the_temperature_that_it_was_trained_at(tmp_path: Path) -> None:
    recipe = load(written(tmp_path, CHAIN), ["stages.train.objective.0.student_temperature=0.02"])
    terms = [told(recipe, name)["objective"][0] for name in ("assistant1", "assistant2", "train")]
    assert [term["teacher_temperature"] for term in terms] == [1.0, 0.02, 0.02]
    margins = "stages.train.objective=[{kind: margin_mse, teacher: ce, student_scale: 20.0, teacher_scale: 0.5}]"
    recipe = load(tmp_path / "recipe.yaml", [margins])
    assert [told(recipe, name)["objective"][0]["teacher_scale"] for name in ("assistant1", "train")] == [0.5, 20.0]
    standard = "stages.train.objective=[{kind: kl, teacher: ce, standardise: true}]"
    recipe = load(tmp_path / "recipe.yaml", [standard])
    assert told(recipe, "train")["objective"][0]["teacher_temperature"] == 1.0


def test_a_teacher_of_whole_batches_is_the_assistant_itself_and_no_list_is_scored(tmp_path: Path) -> None:
    recipe = load(written(tmp_path, CHAIN), ["stages.train.objective=[{kind: in_batch_kl, model: /models/big}]"])
    assert list(recipe.stages)[3:6] == ["assistant1", "assistant2", "train"]
    assert [told(recipe, name)["objective"][0]["model"] for name in ("assistant1", "assistant2", "train")] == [
        *("/models/big", "assistant1", "assistant2")
    ]
    assert {told(recipe, name)["candidates"] for name in ("assistant1", "assistant2", "train")} == {"select"}


def test_generations_are_the_student_itself(tmp_path: Path) -> None:
    """Born-Again: generation 0 is the plain training, each later one the same but for its teacher."""
    recipe = load(written(tmp_path, TEXT + "chain: {generations: 2}\n"))
    plain = told(load(tmp_path / "recipe.yaml", ["chain.generations=0"]), "train")
    assert told(recipe, "assistant1") == plain
    for name, teacher in (("assistant2", "assistant1"), ("train", "assistant2")):
        found = told(recipe, name)
        assert (found.pop("candidates"), found["objective"][0].pop("teacher")) == (f"{teacher}_scores", teacher)
        assert found["objective"][0].pop("teacher_temperature") == 0.05
        rest = json.loads(json.dumps(plain))
        del rest["candidates"], rest["objective"][0]["teacher"], rest["objective"][0]["teacher_temperature"]
        assert found == rest


def test_a_generation_that_begins_as_the_one_before_has_nothing_to_learn(tmp_path: Path) -> None:
    """Born-Again: at its teacher's own scores the gradient of the KL is 0, which takes the temperatures of the hop."""
    import torch

    (term, _) = load(written(tmp_path, TEXT + "chain: {generations: 1}\n")).stages["train"].objective
    plain = made()
    batch = replace(plain.batch, teachers={"assistant1": plain.own.detach().clone()})
    scored = ScoredBatch(batch, plain.own, plain.in_batch)
    (found,) = torch.autograd.grad(term.loss(scored), plain.in_batch, retain_graph=True)
    assert found.abs().max() < 1e-5
    unlike = term.model_copy(update={"teacher_temperature": 1.0})
    (other,) = torch.autograd.grad(unlike.loss(scored), plain.in_batch)
    assert other.abs().max() > 0.1


def test_an_assistant_may_be_chosen_among_several(tmp_path: Path) -> None:
    text = "chain: {assistants: [{candidates: [{student.layers: [0, 1, 2]}, {student.layers: [0, 2]}], size_exponent: 0.5}]}\n"
    recipe = load(written(tmp_path, TEXT + text))
    assert list(recipe.stages)[3:8] == ["assistant1_a", "assistant1_b", "assistant1", "assistant1_scores", "train"]
    choice = told(recipe, "assistant1")
    assert (choice["kind"], choice["models"], choice["candidates"]) == (
        "choose",
        ["assistant1_a", "assistant1_b"],
        "select",
    )
    assert choice["size_exponent"] == 0.5
    assert told(recipe, "train")["objective"][0]["teacher"] == "assistant1"
    with pytest.raises(
        RecipeError, match="`candidates` are two or more: put the keys of a single assistant under `set`"
    ):
        load(tmp_path / "recipe.yaml", ["chain.assistants=[{candidates: [{steps: 3}]}]"])


def test_overrides_reach_every_hop_or_one(tmp_path: Path) -> None:
    recipe = load(written(tmp_path, CHAIN), ["stages.train.learning_rate=0.5", "stages.assistant2.warmup_steps=7"])
    names = ("assistant1", "assistant2", "train")
    assert [told(recipe, name)["learning_rate"] for name in names] == [0.5, 0.5, 0.5]
    assert [told(recipe, name)["warmup_steps"] for name in names] == [20, 7, 20]


def test_controls_are_those_of_the_written_student(tmp_path: Path) -> None:
    direct, whole = load(written(tmp_path)), load(written(tmp_path, CHAIN))
    for name in ("control", "zero_shot"):
        assert told(whole, name) == told(direct, name)


def test_what_a_chain_refuses(tmp_path: Path) -> None:
    path = written(tmp_path, CHAIN)
    with pytest.raises(RecipeError, match="`chain` repeats a train stage, and there is none of that name"):
        load(path, ["chain.train=trian"])
    with pytest.raises(
        RecipeError, match="at most one of rounds, chain and alternate, and this one has rounds and chain"
    ):
        load(path, ["rounds.count=2"])
    with pytest.raises(RecipeError, match="unknown key 'stepz'"):
        load(path, ["chain.assistants=[{set: {stepz: 3}}]"])


def test_a_chain_from_end_to_end(tmp_path: Path) -> None:
    """Each hop's scores are stored under a key that has the digest of its teacher."""
    from retkd import runner
    from retkd.plan import chosen
    from retkd.workspace import Workspace

    sizes = "chain={assistants: [{candidates: [{student.layers: null}, {student.layers: [0]}], size_exponent: 0.2}]}"
    steps = [
        "stages.teach.steps=2",
        "stages.train.steps=3",
        "stages.train.evaluate_every=null",
        "stages.train.keep=last",
    ]
    recipe = load(tiny_recipe(tmp_path), [sizes, *steps])
    workspace = Workspace(tmp_path / "runs")
    runner.run(recipe, workspace, chosen(recipe, until="train"))
    artifacts = {name: workspace.root / "artifacts" / folder for name, folder in workspace.stages(recipe.name).items()}
    manifests = {name: json.loads((folder / "manifest.json").read_text()) for name, folder in artifacts.items()}
    choice = manifests["assistant1"]["metrics"]
    scores = {name: each["score"] for name, each in choice["tried"].items()}
    assert choice["chosen"] == max(scores, key=lambda name: scores[name])
    assert manifests["assistant1_scores"]["key_inputs"]["params"]["teachers"]["assistant1"]["model"] == (
        f"stage:{manifests['assistant1']['digest']}"
    )
    assert {step.action for step in runner.plan(recipe, workspace, list(artifacts))} == {"skip"}


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        ("{kind: sparse, base: /models/base}", "sparse"),
        ("{kind: late_interaction, base: /models/base}", "late_interaction"),
        ("{kind: multi_exit, base: /models/base, exits: [1, 2]}", "bi_encoder"),
    ],
)
def test_an_assistant_scores_as_its_kind_does(tmp_path: Path, student: str, teacher: str) -> None:
    """Also where the assistant is of another kind than the student."""
    text = TEXT[: TEXT.index("  index:")]
    plain = "{kind: dense, base: /models/base, layers: [0, 2]}"
    path = written(tmp_path, text + "chain: {generations: 2}\n", **{plain: student})
    for number in (1, 2):
        (scorer,) = told(load(path), f"assistant{number}_scores")["teachers"].values()
        assert scorer["kind"] == teacher
    mixed = f"chain: {{assistants: [{{set: {{student: '{student}'}}}}]}}\n"
    recipe = load(written(tmp_path, text + mixed.replace("'", "")))
    assert told(recipe, "train")["student"]["kind"] == "dense"
    assert told(recipe, "assistant1_scores")["teachers"]["assistant1"]["kind"] == teacher
