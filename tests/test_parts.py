"""Marked fields: where they are found, and what stands for them in a key."""

from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar, Literal

import pytest

from retkd.errors import RecipeError, RetkdError
from retkd.parts import DataFile, Encoder, FileInput, ModelInput, Part, marked, registry, substituted
from retkd.plan import Resolver
from retkd.recipe import load
from retkd.references import files_of, inputs_of
from retkd.stage import StageConfig
from retkd.stages import STAGES
from retkd.workspace import Workspace
from tests.tiny import tiny_collection


class Reader(Part):
    model: Encoder | None = None
    one: DataFile
    some: list[DataFile] = []
    each: dict[str, DataFile] = {}
    maybe: DataFile | None = None


class Reads(StageConfig):
    kind: Literal["reads"] = "reads"
    reader: Reader


READER = Reader(model="org/model", one="a.txt", some=["b.txt"], each={"dev": "c.txt"})


def test_files_are_found_in_lists_mappings_and_behind_none() -> None:
    found = [(path, value) for path, marker, value in marked(READER) if isinstance(marker, FileInput)]
    assert found == [(("one",), "a.txt"), (("some", 0), "b.txt"), (("each", "dev"), "c.txt")]
    assert substituted(READER, lambda marker, value: value if isinstance(marker, ModelInput) else value.upper()) == {
        "model": "org/model",
        "one": "A.TXT",
        "some": ["B.TXT"],
        "each": {"dev": "C.TXT"},
        "maybe": None,
    }


def resolver(folder: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> Resolver:
    """Of a recipe with the one stage `reads`."""
    monkeypatch.setitem(STAGES, "reads", SimpleNamespace(VERSION=1, SEEDED=False, OUTPUTS=("reading",)))  # type: ignore[arg-type]
    path = folder / "recipe.yaml"
    if not path.exists():
        collection = tiny_collection(folder / "collection")
        path.write_text(
            f"name: made\ncollection: {{kind: beir, path: {collection}}}\nstages: {{m: {{kind: mine, miner: {{kind: bm25}}}}}}\n"
        )
    recipe = load(path).model_copy(update={"stages": {"reads": Reads(reader=reader)}})
    return Resolver(recipe, Workspace(folder / "runs"))


def key(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> str:
    return resolver(folder, Reader(one=str(folder / name)), monkeypatch).step("reads").key


def test_the_content_of_a_file_is_in_the_key_and_its_place_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {"one.txt": "same", "moved.txt": "same", "other.txt": "else"}.items():
        (tmp_path / name).write_text(text)
    known = key(tmp_path, monkeypatch, "one.txt")
    assert key(tmp_path, monkeypatch, "moved.txt") == known
    assert key(tmp_path, monkeypatch, "other.txt") != known
    (tmp_path / "one.txt").write_text("changed")
    assert key(tmp_path, monkeypatch, "one.txt") != known


def test_a_file_with_the_name_of_a_stage_is_a_file() -> None:
    stages = {"reads": Reads(reader=Reader(one="other")), "other": Reads(reader=READER)}
    assert inputs_of(stages, "reads") == []
    assert files_of(stages, "reads") == {"reader.one": "other"}


def test_every_file_that_is_missing_is_told_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = resolver(tmp_path, READER, monkeypatch)
    with pytest.raises(RecipeError) as error:
        made.require_files(["reads"])
    problems = [
        f"  - there is no such file\n      where: {tmp_path}/recipe.yaml:3, key stages.reads.reader.{key}\n      seen: {seen}\n"
        "      allowed: a path from the folder that retkd is run in, or from the root\n"
        f"      next step: --set stages.reads.reader.{key}=PATH"
        for key, seen in (("one", "a.txt"), ("some.0", "b.txt"), ("each.dev", "c.txt"))
    ]
    assert str(error.value) == "\n".join(["the recipe made cannot be run: 3 problems", *problems])


def test_a_file_for_every_split_is_set_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`run: PATH` is kept as {"*": PATH}, and no override could go below a path."""
    made = resolver(tmp_path, Reader(one=str(tmp_path), each={"*": "c.txt"}), monkeypatch)
    with pytest.raises(RecipeError, match=r"--set stages\.reads\.reader\.each=PATH$"):
        made.require_files(["reads"])


class Tukey(Part):
    kind: Literal["tuky"] = "tuky"


def plugged(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, type[Part]]:
    """The family `objectives` with this plug-in."""
    entries = [EntryPoint(name, "tests.test_parts:Tukey", "retkd"), EntryPoint("miners.none", "no.such:Class", "retkd")]
    monkeypatch.setattr("retkd.parts.entry_points", lambda group: [each for each in entries if each.group == group])
    return registry("objectives")


def test_a_plug_in_is_found_by_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plugged("objectives.tuky", monkeypatch) == {"tuky": Tukey}


def test_a_plug_in_that_is_named_after_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RetkdError) as error:
        plugged("objectives.tukey", monkeypatch)
    assert str(error.value) == (
        "the plug-in 'objectives.tukey' is of kind 'tuky'\n"
        "  where: entry point objectives.tukey = tests.test_parts:Tukey, of the group retkd\n"
        "  seen: kind: tuky\n"
        "  allowed: kind: tukey\n"
        "  next step: name the entry point objectives.tuky, or give its class `kind: tukey`, and install it again"
    )


class Grown(Part):
    LATER: ClassVar[tuple[str, ...]] = ("new",)

    old: int = 1
    new: int = 2


def test_a_field_that_came_later_enters_a_key_only_where_it_says_something() -> None:
    """So that results from before it still stand."""
    told = [substituted([part], lambda marker, value: value) for part in (Grown(), Grown(old=3, new=2), Grown(new=5))]
    assert told == [[{"old": 1}], [{"old": 3}], [{"old": 1, "new": 5}]]


class Mended(Grown):
    REVISION: ClassVar[int] = 2


def test_a_part_whose_results_changed_stands_no_more() -> None:
    assert substituted({"part": Mended()}, lambda marker, value: value) == {"part": {"old": 1, "part_revision": 2}}
