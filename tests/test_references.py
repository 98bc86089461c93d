"""Stage names inside a recipe: unknown ones, wrong ones, circles, the order to run in."""

from pathlib import Path

import pytest

from retkd.errors import RecipeError
from retkd.recipe import load
from retkd.references import inputs_of, model_folders, models_of, named_stage, run_order
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
        "      where: --set, key stages.index.collection\n"
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
    assert models_of(stages, "score") == {"teachers.ce.model": "/models/teacher"}
    assert models_of(stages, "train") == {"student.base": "/models/base"}
    assert models_of(stages, "evaluate") == {}


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


EXITS = TEXT.replace(
    "{kind: dense, base: /models/base, layers: [0, 2]}", "{kind: multi_exit, base: /models/base, exits: [2, 4]}"
)


def test_a_stage_that_gives_several_models(tmp_path: Path) -> None:
    text = EXITS.replace("    model: train\n", "    model: train:exit2\n")
    path = written(tmp_path, text, **{"model: train, index: index": "model: train:exit2, index: index"})
    stages = load(path).stages
    assert inputs_of(stages, "index") == ["train"]
    assert models_of(stages, "index") == {}
    assert model_folders(stages, "index") == {"train:exit2": ("train", "models/exit2")}
    assert set(inputs_of(stages, "evaluate")) >= {"train", "index"}
    assert run_order(stages).index("train") < run_order(stages).index("index")
    assert (stages["evaluate"].systems["control"].model, stages["control_index"].model) == ("control:exit2",) * 2
    assert stages["control"].student == stages["train"].student
    assert stages["evaluate"].systems["zero_shot"].model == "zero_shot:exit2"


def test_a_model_that_a_stage_does_not_give(tmp_path: Path) -> None:
    path = written(tmp_path, EXITS, **{"model: train, index: index": "model: train:exit3, index: index"})
    assert error_of(path) == (
        f"the recipe {path} cannot be run: 1 problem\n"
        "  - the stage 'train' gives no model 'exit3'\n"
        f"      where: {path}:{line_of('systems:')}, key stages.evaluate.systems.student.model\n"
        "      seen: train:exit3\n"
        "      allowed: train, train:exit2, train:exit4\n"
        "      next step: did you mean 'exit4'?"
    )
    path = written(tmp_path, NO_CONTROLS, **{"model: train, index: index": "model: train:exit2, index: index"})
    assert error_of(path).endswith(
        "      allowed: train\n      next step: a student of kind multi_exit gives one for each exit"
    )
    path = written(tmp_path, EXITS, **{"model: train, index: index": "model: trian:exit2, index: index"})
    assert "there is no stage and no folder 'trian:exit2'" in error_of(path)
    path = written(tmp_path, EXITS, **{"candidates: select": "candidates: select:exit2"})
    assert "there is no stage 'select:exit2'" in error_of(path)


def test_a_stage_named_package_hides_no_package() -> None:
    assert named_stage({"package": None, "train": None}, "package:gt/model") is None
    assert named_stage({"package": None, "train": None}, "package") == "package"
    assert [named_stage({"train": None}, each) for each in ("train", "train:exit2", "train:", "org/name")] == [
        "train",
        "train",
        None,
        None,
    ]


def test_an_index_of_another_model_is_refused(tmp_path: Path) -> None:
    more = "  other: {kind: index, model: /models/base, recipe: flat}\n  evaluate:\n"
    path = written(tmp_path, **{"  evaluate:\n": more, "model: train, index: index": "model: train, index: other"})
    told = error_of(path)
    assert "the system 'student' searches an index of another model's documents" in told
    assert "seen: model train, and other is of /models/base\n" in told
    assert "allowed: an index stage with `model: train`" in told


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("- {kind: kl, teacher: ce}", "- {kind: kl, teacher: cee}", "stages.train.objective.0"),
        (
            "{kind: margin, teacher: ce, margin: 1.0}",
            "{kind: margin, teacher: cee}",
            "stages.select.filters.0.teacher",
        ),
        ("filters: [", "teacher: cee\n    filters: [", "stages.select.teacher"),
        ("filters: [", "filters: [{kind: agreement, teachers: [ce, cee]}, ", "stages.select.filters.0.teachers.1"),
        (
            "filters: [",
            "filters: [{kind: consensus, rules: [{kind: margin, teacher: ce}, {kind: margin, teacher: cee}]}, ",
            "stages.select.filters.0.rules.1.teacher",
        ),
        ("candidates: score, teacher: ce", "candidates: score, teacher: cee", "stages.evaluate.teacher_scores.teacher"),
        ("sampler: {", "sampler: {by: cee, ", "stages.select.sampler.by"),
        (
            "filters: [",
            "labels: {kind: cl_drd, teacher: cee, num_top: 2}\n    filters: [",
            "stages.select.labels.teacher",
        ),
        (
            "  train:\n",
            "  sparse: {kind: sparsify, candidates: score, targets: {t: {kind: top_k, teacher: cee}}}\n  train:\n",
            "stages.sparse.targets.t.teacher",
        ),
    ],
)
def test_a_teacher_that_no_stage_before_gives(tmp_path: Path, old: str, new: str, key: str) -> None:
    told = error_of(written(tmp_path, **{old: new}))
    assert "gives a teacher 'cee'" in told
    assert f"key {key}\n" in told
    assert told.endswith("allowed: ce\n      next step: did you mean 'ce'?")


LISTWISE = "{kind: llm_listwise, llm: {kind: openai, base_url: 'http://localhost:1', model: m}}"


@pytest.mark.parametrize(
    ("teacher", "reader", "scale"),
    [
        (LISTWISE, "{kind: kl, teacher: ce}", "rank"),
        (LISTWISE, "{kind: matryoshka, dims: [8], terms: [{kind: pld, teacher: ce}]}", "rank"),
        (
            "{kind: imported, file: f, format: nemo, scale: probability}",
            "{kind: margin_mse, teacher: ce}",
            "probability",
        ),
        ("{kind: late_interaction, model: /m}", "{kind: bce, teacher: ce, mapping: clip}", "unbounded"),
    ],
)
def test_a_teacher_on_another_scale_is_told_before_it_has_scored(
    tmp_path: Path, teacher: str, reader: str, scale: str
) -> None:
    made = "{kind: cross_encoder, model: /models/teacher}"
    plain = {"filters: [{kind: margin, teacher: ce, margin: 1.0}]": "filters: []", made: teacher}
    told = error_of(written(tmp_path, **plain, **{"{kind: kl, teacher: ce}": reader}))
    assert "cannot use the scores of teacher 'ce'\n" in told
    assert f"key stages.train.objective.0\n      seen: scale {scale}\n" in told
    assert load(written(tmp_path, **plain, **{"{kind: kl, teacher: ce}": "{kind: list_mle, teacher: ce}"}))


def test_filters_and_partners_read_columns_too(tmp_path: Path) -> None:
    told = error_of(
        written(tmp_path, **{"{kind: margin, teacher: ce, margin: 1.0}": "{kind: percentage, teacher: ce}"})
    )
    assert "the filter 'percentage' cannot use the scores of teacher 'ce'" in told
    assert "seen: scale logit or unbounded\n      allowed: probability\n" in told
    partner = "co_train: {kind: encoder, encoder: {kind: dense, base: /m}, objective: [{kind: kl, teacher: cee}]}\n"
    told = error_of(written(tmp_path, **{"    steps: 30\n": f"    steps: 30\n    {partner}"}))
    assert "key stages.train.co_train.objective.0\n      seen: cee\n" in told


def test_a_chain_that_would_copy_an_assistants_cosines_as_logits(tmp_path: Path) -> None:
    terms = "{kind: bce, teacher: ce, mapping: sigmoid}"
    chain = "chain: {generations: 1}\nstages:\n"
    told = error_of(written(tmp_path, **{"{kind: kl, teacher: ce}": terms, "stages:\n": chain}))
    assert "the objective 'bce' cannot use the scores of teacher 'assistant1'" in told


def test_a_column_of_labels_has_an_order_alone(tmp_path: Path) -> None:
    labels = "    labels: {kind: cl_drd, teacher: ce, num_top: 2}\n    filters: ["
    graded = {"    filters: [": labels, "{kind: kl, teacher: ce}": "{kind: kl, teacher: cl_drd}"}
    assert "seen: scale rank" in error_of(written(tmp_path, **graded))


MEMBERS = "      ce: {kind: cross_encoder, model: /models/teacher}\n"
BOTH = "      both: {kind: ensemble, members: [ce]}\n"


def test_an_ensemble_stands_below_its_members(tmp_path: Path) -> None:
    load(written(tmp_path, **{MEMBERS: MEMBERS + BOTH}))
    told = error_of(written(tmp_path, **{MEMBERS: BOTH + MEMBERS}))
    assert "no stage before 'score' gives a teacher 'ce'" in told
    assert "key stages.score.teachers.both.members\n" in told
    assert told.endswith("next step: write 'ce' above the ensemble: teachers score in the order of the recipe")
    told = error_of(written(tmp_path, **{MEMBERS: MEMBERS + BOTH.replace("[ce]", "[ce, cee]")}))
    assert told.endswith("allowed: ce\n      next step: did you mean 'ce'?")
