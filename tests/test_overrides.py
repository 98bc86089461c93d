"""``--set``: where a value goes, and where it cannot go."""

from typing import Any

import pytest

from retkd.errors import RecipeError
from retkd.overrides import applied, parsed

RAW: dict[str, Any] = {
    "stages": {
        "train": {"kind": "train", "steps": 30, "objective": [{"kind": "kl", "weight": 2}, {"kind": "infonce"}]}
    },
    "empty": [],
}


def changed(item: str) -> dict[str, Any]:
    return applied(RAW, [parsed(item)])


@pytest.mark.parametrize(
    ("item", "path", "value"),
    [
        ("stages.train.steps=10", ("stages", "train", "steps"), 10),
        ("a=", ("a",), None),
        ("a.b=[1, {c: d}]", ("a", "b"), [1, {"c": "d"}]),
        ("query=x=y", ("query",), "x=y"),
        ("lr=1.0e-3", ("lr",), 0.001),
    ],
)
def test_the_value_is_yaml_and_the_key_is_dotted(item: str, path: tuple[str, ...], value: Any) -> None:
    assert parsed(item) == (path, value)


@pytest.mark.parametrize("item", ["steps", "=3", "a..b=3", ".a=3", ""])
def test_what_is_no_setting(item: str) -> None:
    with pytest.raises(RecipeError) as error:
        parsed(item)
    assert str(error.value) == (
        f"--set takes key=value\n  seen: {item}\n  allowed: dotted keys, as in stages.train.steps=200"
    )


def test_a_value_that_is_not_yaml() -> None:
    with pytest.raises(RecipeError) as error:
        parsed("stages.train.layers=[1, 2")
    assert str(error.value) == "the value of --set is not YAML\n  where: stages.train.layers\n  seen: [1, 2"


def test_a_value_is_put_where_it_belongs_and_nothing_else_changes() -> None:
    found = changed("stages.train.steps=10")
    assert found["stages"]["train"] == {**RAW["stages"]["train"], "steps": 10}
    assert RAW["stages"]["train"]["steps"] == 30
    assert changed("stages.train.objective.1.weight=0.5")["stages"]["train"]["objective"] == [
        {"kind": "kl", "weight": 2},
        {"kind": "infonce", "weight": 0.5},
    ]
    assert changed("runtime.device=cpu")["runtime"] == {"device": "cpu"}


def test_later_settings_win() -> None:
    assert applied(RAW, [parsed("a.b=1"), parsed("a={c: 2}"), parsed("a.d=3")])["a"] == {"c": 2, "d": 3}


def test_another_kind_begins_the_part_afresh_and_the_same_kind_does_not() -> None:
    assert changed("stages.train.objective.0.kind=infonce")["stages"]["train"]["objective"][0] == {"kind": "infonce"}
    assert changed("stages.train.objective.0.kind=kl")["stages"]["train"]["objective"][0] == {"kind": "kl", "weight": 2}


@pytest.mark.parametrize(
    ("item", "seen", "allowed"),
    [
        ("stages.train.objective.2.weight=3", "2", "0 to 1"),
        ("stages.train.objective.2=3", "2", "0 to 1"),
        ("stages.train.objective.-1=3", "-1", "0 to 1"),
        ("stages.train.objective.first.weight=3", "first", "0 to 1"),
        ("empty.0=3", "0", "nothing: the list is empty"),
    ],
)
def test_outside_a_list(item: str, seen: str, allowed: str) -> None:
    with pytest.raises(RecipeError) as error:
        changed(item)
    where = item.partition("=")[0]
    assert str(error.value) == (
        f"an override points outside a list\n  where: {where}\n  seen: {seen}\n  allowed: {allowed}"
    )


@pytest.mark.parametrize(
    ("item", "seen"), [("stages.train.steps.deep=3", "deep of 30"), ("stages.train.steps.deep.er=3", "deep of 30")]
)
def test_through_a_value_that_has_no_keys(item: str, seen: str) -> None:
    with pytest.raises(RecipeError) as error:
        changed(item)
    where = item.partition("=")[0]
    assert str(error.value) == (f"an override goes through a value that has no keys\n  where: {where}\n  seen: {seen}")


def test_a_part_may_be_set_whole_after_its_kind() -> None:
    settings = [parsed("stages.train.kind=teach"), parsed("stages.train={kind: train, steps: 3}")]
    assert applied(RAW, settings)["stages"]["train"] == {"kind": "train", "steps": 3}


def test_the_order_of_a_kind_and_its_keys_does_not_matter() -> None:
    settings = [parsed("stages.train.steps=10"), parsed("stages.train.kind=teach")]
    assert applied(RAW, settings)["stages"]["train"] == {"kind": "teach", "steps": 10}
    assert applied(RAW, settings[::-1]) == applied(RAW, settings)
