"""The dense miner through the index of an index stage."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from retkd import candidates
from retkd.collections.base import Collection
from retkd.errors import DataError, ModelError, RecipeError
from retkd.indexing.search import open_index
from retkd.miners.dense import DenseMiner
from retkd.recipe import load
from retkd.references import inputs_of
from retkd.runner import run
from retkd.stage import Inputs
from retkd.stages import index as index_stage
from retkd.workspace import Workspace
from tests.conftest import MakeInputs, opened
from tests.tiny import tiny_collection, tiny_encoder

RECIPE = """\
name: indexed
collection: {{kind: beir, path: {collection}}}
runtime: {{device: cpu, threads: 1}}
stages:
  mine: {{kind: mine, miner: {{kind: dense, model: {encoder}, index: corpus, depth: 9}}}}
  exact: {{kind: mine, miner: {{kind: dense, model: {encoder}, depth: 9}}}}
  corpus: {{kind: index, model: {encoder}, recipe: {recipe}}}
"""


def recipe(folder: Path, index: str, encoder: Path) -> Path:
    collection = folder / "collection"
    if not collection.exists():
        tiny_collection(collection)
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(collection=collection, encoder=encoder, recipe=index))
    return path


@pytest.mark.parametrize("index", ["flat", "hnsw", "{kind: faiss, factory: 'IVF4,Flat', search: {nprobe: 4}}"])
def test_a_recipe_mines_through_its_index(tmp_path: Path, encoder_folder: Path, index: str) -> None:
    """Each of these finds all neighbours among 60 documents."""
    loaded = load(recipe(tmp_path, index, encoder_folder))
    assert inputs_of(loaded.stages, "mine") == ["corpus"]
    told = run(loaded, Workspace(tmp_path / "runs"))
    tables = {
        name: [
            candidates.read(
                tmp_path / "runs" / "artifacts" / Workspace(tmp_path / "runs").stages("indexed")[name] / split
            )
            for split in ("train", "dev", "test")
        ]
        for name in ("mine", "exact")
    }
    assert told["stages"]
    for found, expected in zip(tables["mine"], tables["exact"], strict=True):
        assert found["doc_id"].to_pylist() == expected["doc_id"].to_pylist()
        assert found["score"].to_pylist() == pytest.approx(expected["score"].to_pylist(), abs=1e-6)


def test_an_index_must_be_one(tmp_path: Path, encoder_folder: Path) -> None:
    path = recipe(tmp_path, "flat", encoder_folder)
    with pytest.raises(RecipeError, match="the stage 'exact' does not give index"):
        load(path, ["stages.mine.miner.index=exact"])
    with pytest.raises(ValidationError, match="`max_length` goes with exact search"):
        DenseMiner(model="m", index="i", max_length=32)


@pytest.fixture
def indexed(inputs: MakeInputs, encoder_folder: Path, tmp_path: Path) -> Inputs:
    """Inputs with an exact index `corpus` of the tiny collection by the model `base`."""
    ready = inputs(models={"base": encoder_folder})
    config = index_stage.Config(model="base", recipe="exact")
    (tmp_path / "index").mkdir()
    index_stage.run(config, ready, tmp_path / "index")
    return replace(ready, artifacts={"corpus": tmp_path / "index"}, open_index=open_index)


def test_it_is_the_same_list_as_without(indexed: Inputs, collection: Collection) -> None:
    queries = collection.queries("dev")
    plain, through = DenseMiner(model="base", depth=5), DenseMiner(model="base", depth=5, index="corpus")
    for one, other in zip(*(m.mine(queries, indexed, m.prepare(indexed)) for m in (plain, through)), strict=True):
        assert one.doc_ids == other.doc_ids
        assert one.scores == pytest.approx(other.scores, abs=1e-6)


def test_an_index_of_another_encoder_or_of_other_documents_is_refused(
    indexed: Inputs, inputs: MakeInputs, encoder_folder: Path, tmp_path: Path
) -> None:
    miner = DenseMiner(model="base", index="corpus")
    other = inputs(models={"base": tiny_encoder(tmp_path / "other", seed=1)})
    with pytest.raises(ModelError) as error:
        miner.prepare(replace(indexed, models=other.models))
    made_by, asked = indexed.models["base"].digest[:12], other.models["base"].digest[:12]
    assert str(error.value) == (
        "the index holds vectors of another encoder\n"
        "  where: miner dense, index corpus\n"
        f"  seen: {made_by}, and base is {asked}\n"
        "  consequence: queries and documents would lie in different spaces\n"
        "  next step: name the model of the stage corpus here, or index with base"
    )
    smaller = opened(tiny_collection(tmp_path / "smaller", num_documents=40), tmp_path / "cache")
    with pytest.raises(DataError, match=r"seen: 60 documents from 'd0' on\n  allowed: the collection's 40 documents"):
        miner.prepare(replace(indexed, collection=smaller))
