"""What is wrong with a recipe is told with file, line, key, value and the next step, all of it at once."""

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from retkd.errors import RecipeError
from retkd.miners import MINERS
from retkd.objectives import OBJECTIVES
from retkd.problems import Lines
from retkd.recipe import load
from retkd.selection import FILTERS
from retkd.stages import STAGES
from retkd.teachers import TEACHERS
from tests.recipes import TEXT, line_of, written


def problems(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as error:
        load(path, overrides)
    assert error.value.problems
    return [str(problem) for problem in error.value.problems]


def problem(tmp_path: Path, old: str, new: str) -> str:
    (told,) = problems(written(tmp_path, **{old: new}))
    return told


def test_an_unknown_key(tmp_path: Path) -> None:
    assert problem(tmp_path, "depth: 50", "dept: 50") == (
        "unknown key 'dept'\n"
        f"  where: {tmp_path}/recipe.yaml:{line_of('depth: 50')}, key stages.mine.miner.dept\n"
        f"  allowed: the keys of kind bm25: {', '.join(MINERS['bm25'].model_fields)}\n"
        "  next step: did you mean 'depth'?"
    )


def test_an_unknown_key_at_the_top(tmp_path: Path) -> None:
    assert problem(tmp_path, "collection: {kind: beir", "colection: {kind: x}\ncollection: {kind: beir") == (
        f"unknown key 'colection'\n  where: {tmp_path}/recipe.yaml:2, key colection\n  next step: did you mean 'collection'?"
    )


@pytest.mark.parametrize(
    ("old", "kind", "key", "known", "step"),
    [
        ("kind: kl", "klx", "stages.train.objective.0", ", ".join(OBJECTIVES), "did you mean 'kl'?"),
        ("kind: margin", "margn", "stages.select.filters.0", ", ".join(FILTERS), "did you mean 'margin'?"),
        ("kind: bm25", "solr", "stages.mine.miner", ", ".join(MINERS), "known: " + ", ".join(sorted(MINERS))),
        (
            "kind: cross_encoder",
            "crossencoder",
            "stages.score.teachers.ce",
            ", ".join(TEACHERS),
            "did you mean 'cross_encoder'?",
        ),
    ],
)
def test_an_unknown_kind(tmp_path: Path, old: str, kind: str, key: str, known: str, step: str) -> None:
    assert problem(tmp_path, old, f"kind: {kind}") == (
        f"unknown kind {kind!r}\n"
        f"  where: {tmp_path}/recipe.yaml:{line_of(old)}, key {key}\n"
        f"  allowed: {known}\n"
        f"  next step: {step}"
    )


def test_an_unknown_kind_of_stage_and_where_there_is_only_one(tmp_path: Path) -> None:
    lines = problem(tmp_path, "kind: index", "kind: idex").splitlines()
    assert lines[0] == "unknown kind 'idex'"
    assert lines[1] == f"  where: {tmp_path}/recipe.yaml:{line_of('  index:')}, key stages.index"
    assert lines[3] == "  next step: did you mean 'index'?"
    assert problem(tmp_path, "student: {kind: dense, base", "student: {kind: dens, base") == (
        f"unknown kind 'dens'\n  where: {tmp_path}/recipe.yaml:{line_of('student: {kind: dense, base')}, "
        "key stages.train.student\n"
        "  allowed: dense, multi_exit, two_heads, sparse, late_interaction, asymmetric, asymmetric_sparse\n"
        "  next step: did you mean 'dense'?"
    )
    sampler = "sampler: {kind: random, num_negatives: 7}"
    assert problem(tmp_path, sampler, sampler + "\n    labels: {kind: cldrd, teacher: ce, num_top: 2}") == (
        f"unknown kind 'cldrd'\n  where: {tmp_path}/recipe.yaml:{line_of(sampler) + 1}, "
        "key stages.select.labels.kind\n  allowed: cl_drd"
    )


def test_a_missing_key_and_a_missing_kind(tmp_path: Path) -> None:
    line = line_of("miner:")
    assert problem(tmp_path, "    miner: {kind: bm25, depth: 50}\n", "") == (
        f"the key 'miner' is missing\n  where: {tmp_path}/recipe.yaml:{line_of('  mine:')}, key stages.mine.miner\n"
        "  next step: `retkd ls mine` tells every key of it"
    )
    assert problem(tmp_path, "infonce, weight: 0.1, temperature: 0.02", "flops").splitlines()[2:] == [
        "  allowed: query, document",
        "  next step: `retkd ls flops` tells every key of it",
    ]
    assert problem(tmp_path, "{kind: bm25, depth: 50}", "{depth: 50}") == (
        f"a part must say its `kind`\n  where: {tmp_path}/recipe.yaml:{line}, key stages.mine.miner\n  seen: {{'depth': 50}}"
    )


@pytest.mark.parametrize(
    ("old", "new", "key", "seen", "allowed"),
    [
        ("steps: 30", "steps: many", "train.steps", "'many'", "a whole number, at least 0"),
        ("steps: 30", "steps: -1", "train.steps", "-1", "a whole number, at least 0"),
        ("steps: 30", "steps: 3\n    batch_queries: 0", "train.batch_queries", "0", "a whole number, at least 1"),
        ("temperature: 0.02", "temperature: .nan", "train.objective.1.temperature", "nan", "a finite number"),
        (
            "base: /models/base",
            "dropout: 'no', base: x",
            "train.student.dropout",
            "'no'",
            "a number, at least 0, below 1",
        ),
        ("kind: kl,", "kind: kl, standardise: 3,", "train.objective.0.standardise", "3", "true or false"),
        ("{kind: bm25, depth: 50}", "bm25", "mine.miner", "'bm25'", "a mapping of keys to values"),
        ("[{kind: margin, teacher: ce, margin: 1.0}]", "margin", "select.filters", "'margin'", "a list"),
        (
            "{kind: kl, teacher: ce}",
            "{kind: reinforced_kl, teachers: [[ce]]}",
            "train.objective.0.teachers",
            "[['ce']]",
            "a mapping of keys to values",
        ),
        (
            "{kind: cross_encoder, model: /models/teacher}",
            "{kind: ensemble, members: [[ce]]}",
            "score.teachers.ce.members",
            "[['ce']]",
            "a mapping of keys to values",
        ),
        ("[dev, test]", "tests", "evaluate.splits", "'tests'", "a list; or all, evaluation"),
        (
            "depth: 50",
            "analyzer: german",
            "mine.miner.analyzer",
            "'german'",
            "english, code, plain",
        ),
        (
            "[bm25, zero_shot, contrastive, teacher]",
            "[zeroshot]",
            "evaluate.controls.0",
            "'zeroshot'",
            "bm25, zero_shot, contrastive, teacher\n  next step: did you mean 'zero_shot'?",
        ),
    ],
)
def test_a_value_that_does_not_fit(tmp_path: Path, old: str, new: str, key: str, seen: str, allowed: str) -> None:
    """One problem each, also where a value fits none of several forms."""
    line = line_of(old) + new.partition(key.rpartition(".")[2] + ":")[0].count("\n")
    assert problem(tmp_path, old, new) == (
        f"this value does not fit\n  where: {tmp_path}/recipe.yaml:{line}, key stages.{key}\n"
        f"  seen: {seen}\n  allowed: {allowed}"
    )


@pytest.mark.parametrize("layers", ["{frist: 2}", "[0, -1]"])
def test_layers_have_one_message_for_all_their_forms(tmp_path: Path, layers: str) -> None:
    told = problem(tmp_path, "layers: [0, 2]", f"layers: {layers}")
    assert told.splitlines()[0] == (
        "the layers to keep are `every_second`, {first: n}, {every: n} with n from 2 on, or a list of indices such as "
        "[0, 2, 5], which count from 0 and are never negative"
    )


def test_a_colon_without_a_space(tmp_path: Path) -> None:
    line = line_of("kind: kl")
    assert problem(tmp_path, "{kind: kl, teacher: ce}", "{kind:kl,teacher:ce}") == (
        f"a part must say its `kind`\n  where: {tmp_path}/recipe.yaml:{line}, key stages.train.objective.0\n"
        "  seen: {'kind:kl': None, 'teacher:ce': None}\n  next step: put a space after the colon: kind: kl"
    )
    told = problems(written(tmp_path, **{"{kind: kl, teacher: ce}": "{kind: kl, teacher:ce}"}))[-1]
    assert told.startswith("unknown key 'teacher:ce'\n")
    assert told.endswith("  next step: put a space after the colon: teacher: ce")


def test_a_name_that_is_none(tmp_path: Path) -> None:
    told = problem(tmp_path, "  mine:\n", "  a/b:\n    kind: mine\n    miner: {kind: bm25}\n  mine:\n")
    assert told == (
        f"this value does not fit\n  where: {tmp_path}/recipe.yaml:{line_of('  mine:')}, key stages.a/b\n  seen: 'a/b'\n"
        "  allowed: text that matches ^[A-Za-z0-9][A-Za-z0-9._-]*$"
    )


def test_all_problems_come_together_in_one_error(tmp_path: Path) -> None:
    path = written(tmp_path, **{"depth: 50": "dept: 50", "steps: 30": "steps: many", "kind: kl": "kind: klx"})
    with pytest.raises(RecipeError) as error:
        load(path)
    lines = str(error.value).splitlines()
    assert lines[0] == f"the recipe {path} is not valid: 3 problems"
    assert [line for line in lines if line.startswith("  - ")] == [
        "  - unknown key 'dept'",
        "  - this value does not fit",
        "  - unknown kind 'klx'",
    ]
    assert error.value.exit_code == 2


def test_a_key_that_an_override_brought_has_no_line(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert problems(path, "stages.train.stepz=3") == [
        "unknown key 'stepz'\n  where: --set, key stages.train.stepz\n"
        f"  allowed: the keys of kind train: {', '.join(STAGES['train'].Config.model_fields)}\n"
        "  next step: did you mean 'steps'?"
    ]
    assert problems(path, "transfer.x.kind=beir") == [
        "the key 'path' is missing\n  where: --set, key transfer.x.path\n"
        "  next step: `retkd ls beir` tells every key of it"
    ]


def test_lines_are_known_for_every_written_key() -> None:
    lines = Lines(Path("r.yaml"), TEXT)
    assert lines.where(("stages", "train", "objective", 1, "temperature")) == (
        f"r.yaml:{line_of('temperature')}, key stages.train.objective.1.temperature"
    )
    assert lines.where(("stages", "train", "objective", 7)) == (
        f"r.yaml:{line_of('    objective:')}, key stages.train.objective.7"
    )
    assert lines.where(("nothing",)) == "r.yaml, key nothing"


WRONG: list[Any] = [
    None,
    "wrong",
    -7,
    3.5,
    True,
    [],
    {},
    [1],
    [None],
    {"kind": "wrong"},
    {"wrong": 1},
    [[{}]],
    {"kind": []},
]


@contextmanager
def suppress_ours() -> Iterator[list[str]]:
    """Let the block raise a :class:`RecipeError` that says where; its text is put into the list."""
    found: list[str] = []
    try:
        yield found
    except RecipeError as error:
        found.append(str(error))
    assert all("recipe.yaml" in text or "stages." in text for text in found)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    return [path, *(place for key, inner in items for place in places(inner, (*path, key)))]


@pytest.mark.parametrize("seed", range(2))
def test_whatever_stands_in_the_place_of_a_value_the_error_is_ours(tmp_path: Path, seed: int) -> None:
    """Every place of the recipe, with two of the values above; a few of them are valid."""
    raw = yaml.safe_load(TEXT)
    generator, refused = random.Random(seed), 0
    for place in places(raw)[1:]:
        for value in generator.sample(WRONG, 2):
            broken = copy.deepcopy(raw)
            holder = broken
            for step in place[:-1]:
                holder = holder[step]
            holder[place[-1]] = value
            with suppress_ours() as ours:
                load(written(tmp_path, yaml.safe_dump(broken)))
            refused += len(ours)
    assert refused > 1.3 * len(places(raw))
