"""What a search tries: students of one base within a budget, priced before they are made."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from retkd.errors import ModelError
from retkd.stage import Model
from retkd.students.search import Found, Genome
from retkd.students.similarity import costs
from retkd.students.space import Price, Search
from tests.architectures import made
from tests.tiny import tiny_encoder, tiny_tokenizer

STUDENT = {"base": "base", "max_length": 32}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    folder = tiny_encoder(tmp_path_factory.mktemp("models") / "base", layers=3)
    return {"base": Model("base", folder, "digest")}


def search(**fields: Any) -> Search:
    return Search(**{"student": STUDENT, "widths": [16], "max_flops": 10**9, **fields})


@pytest.mark.parametrize("genome", [Genome((0, 1, 2), None), Genome((2,), None), Genome((0, 2), 16)])
def test_a_student_costs_what_it_was_priced_at(models: dict[str, Model], genome: Genome) -> None:
    part = search()
    whole = part.of(Genome((0, 1, 2), genome.width))
    student = part.of(genome)
    assert student.layers == list(genome.layers)
    assert [step.kind for step in student.initialisation] == ([] if genome.width is None else ["width"])
    expected = costs(student.made(models, "cpu"), num_tokens=10)
    assert Price.of(whole, models, None).costs(genome.layers, 10) == expected


def test_the_space_is_what_the_budget_leaves(models: dict[str, Model]) -> None:
    price = Price.of(search().student, models, None)
    two = price.costs((0, 1), 10)
    space = search(max_flops=two["flops"]).space(models, None, 10)
    assert (space.num_layers, space.widths) == (3, [None, 16])
    assert space.fits(Genome((1, 2), None))
    assert not space.fits(Genome((0, 1, 2), None))
    assert space.fits(Genome((0, 1, 2), 16))
    few = search(max_flops=None, max_parameters=two["parameters"] - 1).space(models, None, 10)
    assert few.fits(Genome((1,), None))
    assert not few.fits(Genome((1, 2), None))
    assert search(keep=[0]).space(models, None, 10).keep == {0}
    assert search(widths=[32]).space(models, None, 10).widths == [None]


def test_what_the_base_does_not_have_is_refused(models: dict[str, Model]) -> None:
    with pytest.raises(ModelError, match=r"to keep a layer that the base does not have\n.*\n  seen: \[3\]\n.* 0 to 2"):
        search(keep=[3]).space(models, None, 10)
    with pytest.raises(ModelError, match=r"multiples of 16"):
        search(widths=[20]).space(models, None, 10)


def test_a_base_whose_first_layer_is_unlike_the_others_keeps_it(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    made("modernbert", vocab_size=len(tokenizer)).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    models = {"base": Model("base", tmp_path / "base", "digest")}
    with pytest.raises(ModelError) as error:
        search(widths=[]).space(models, None, 10)
    assert "this architecture cannot do without its first layer" in str(error.value)
    assert "where: search.keep\n  seen: []\n  next step: write `keep: [0]` into the search" in str(error.value)
    assert search(widths=[], keep=[0]).space(models, None, 10).num_layers == 4


def test_a_budget_that_nothing_meets_is_told(models: dict[str, Model]) -> None:
    part = search(max_flops=5)
    with pytest.raises(ModelError) as error:
        part.require_found(Found({}, []), part.space(models, None, 10))
    assert "no student that the search may try is within its budget" in str(error.value)
    assert "seen: None, 5; 3 layers, widths [None, 16]" in str(error.value)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"max_flops": None}, "a search needs a budget, or the base itself would win: `max_parameters` or `max_flops`"),
        ({"student": {**STUDENT, "layers": [0]}}, "leave both out of `student`"),
        ({"student": {**STUDENT, "initialisation": [{"kind": "width", "hidden": 16}]}}, "leave both out of `student`"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(told: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError) as error:
        search(**told)
    assert why in str(error.value)
