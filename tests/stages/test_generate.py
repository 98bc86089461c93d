"""The generate stage, and training on what it gives where a collection has no training queries."""

import json
from pathlib import Path
from typing import Any

import pytest

from retkd import candidates, runner
from retkd.collections.base import Collection
from retkd.errors import DataError, RecipeError
from retkd.generators.base import Generated, Generator
from retkd.generators.extract import Extract
from retkd.recipe import load
from retkd.references import queries_of
from retkd.stages.generate import Config, run
from retkd.workspace import Workspace
from tests.conftest import MakeInputs, files
from tests.tiny import tiny_collection, tiny_cross_encoder, tiny_encoder

CONFIG = Config(generator=Extract(), documents=12, queries_per_document=2)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_every_query_is_judged_with_its_own_document(
    inputs: MakeInputs, collection: Collection, tmp_path: Path
) -> None:
    metrics = run(CONFIG, inputs(), tmp_path / "out")
    queries = {each["_id"]: each["text"] for each in map(json.loads, lines(tmp_path / "out" / "queries.jsonl"))}
    rows = [line.split("\t") for line in lines(tmp_path / "out" / "qrels" / "train.tsv")[1:]]
    assert {query_id for query_id, _, _ in rows} == set(queries)
    assert len({doc_id for _, doc_id, _ in rows}) == 12
    documents = {document.doc_id: document.full_text for document in collection.documents()}
    for query_id, doc_id, grade in rows:
        assert grade == "1"
        assert all(word in documents[doc_id] for word in queries[query_id].split())
    assert (metrics.rows_in, metrics.rows_out) == (12, len(queries))


def test_the_same_seed_gives_the_same_bytes(inputs: MakeInputs, tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        run(CONFIG, inputs(seed=seed), tmp_path / name)
    assert files(tmp_path / "one") == files(tmp_path / "two") != files(tmp_path / "three")


def test_more_documents_keep_those_that_were_chosen(inputs: MakeInputs, tmp_path: Path) -> None:
    run(CONFIG, inputs(), tmp_path / "few")
    run(CONFIG.model_copy(update={"documents": 30}), inputs(), tmp_path / "more")
    few, more = (set(lines(tmp_path / name / "queries.jsonl")) for name in ("few", "more"))
    assert few < more


class Same(Generator):
    """One and the same text for each document."""

    text: str

    def generate(self, documents: Any, num_queries: int, inputs: Any) -> Generated:
        return Generated([[self.text] if self.text else [] for _ in documents])


def test_a_text_of_two_documents_is_one_query_with_two_positives(inputs: MakeInputs, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"generator": Same(text="ba co"), "documents": 3})
    metrics = run(config, inputs(), tmp_path / "out")
    assert metrics.values == {"queries": 1, "judgements": 3}


def test_no_query_at_all_is_an_error(inputs: MakeInputs, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no query could be generated\n  seen: 12 documents"):
        run(CONFIG.model_copy(update={"generator": Same(text="")}), inputs(), tmp_path / "out")


RECIPE = """\
name: tiny-gpl
seed: 7
collection: {{kind: beir, path: {collection}}}
transfer: {{other: {{kind: beir, path: {other}}}}}
runtime: {{device: cpu, threads: 1}}
stages:
  generate:
    kind: generate
    generator: {{kind: extract}}
    documents: 20
    queries_per_document: 2
  mine: {{kind: mine, queries: generate, miner: {{kind: bm25, depth: 8}}}}
  score:
    kind: score
    candidates: mine
    teachers: {{ce: {{kind: cross_encoder, model: {cross_encoder}, max_length: 64}}}}
  select: {{kind: select, candidates: score, teacher: ce, sampler: {{kind: random, num_negatives: 2}}}}
  train:
    kind: train
    candidates: select
    student: {{kind: dense, base: {encoder}}}
    objective: [{{kind: margin_mse, teacher: ce}}]
    steps: 2
    batch_queries: 4
  index: {{kind: index, model: train, recipe: flat}}
  evaluate:
    kind: evaluate
    splits: evaluation
    depth: 10
    measures: [nDCG@10]
    num_resamples: 100
    systems: {{student: {{kind: dense, model: train, index: index}}}}
    teacher_scores: {{candidates: score, teacher: ce}}
    controls: [bm25, zero_shot, teacher]
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GPL's chain on a collection that has test queries alone, and another collection to transfer to."""
    root = tmp_path_factory.mktemp("gpl")
    folder, other = tiny_collection(root / "collection"), tiny_collection(root / "other", seed=5)
    for split in ("train", "dev"):
        (folder / "qrels" / f"{split}.tsv").unlink()
    path = root / "gpl.yaml"
    path.write_text(
        RECIPE.format(
            collection=folder,
            other=other,
            encoder=tiny_encoder(root / "encoder"),
            cross_encoder=tiny_cross_encoder(root / "cross-encoder"),
        )
    )
    return path


def test_stages_read_the_queries_of_their_candidates(recipe: Path) -> None:
    stages = load(recipe).stages
    found = {name: queries_of(stages, name) for name in stages}
    reading = {"mine", "score", "select", "train", "zero_shot"}
    assert {name for name, queries in found.items() if queries == "generate"} == reading
    assert {queries for name, queries in found.items() if name not in reading} == {None}
    assert not any(name.startswith("generate.") for name in stages)
    assert stages["mine-other"].queries is None


def test_a_collection_without_training_queries_is_trained_on(recipe: Path, tmp_path: Path) -> None:
    space = Workspace(tmp_path / "runs")
    told = runner.run(load(recipe), space)
    assert told["complete"]
    assert set(told["splits"]) >= {"test"}
    mined = space.root / "artifacts" / space.stages("tiny-gpl")["mine"]
    generated = space.root / "artifacts" / space.stages("tiny-gpl")["generate"]
    assert candidates.splits(mined) == ["test", "train"]
    rows = candidates.read(mined / "train")
    queries = {each["_id"] for each in map(json.loads, lines(generated / "queries.jsonl"))}
    assert set(rows["query_id"].to_pylist()) == queries
    relevant = rows.filter(rows["relevance"].is_valid())
    assert set(relevant["query_id"].to_pylist()) == queries
    assert [step.action for step in runner.plan(load(recipe), space)] == ["skip"] * len(load(recipe).stages)
    changed = {step.name: step.action for step in runner.plan(load(recipe, ["stages.generate.documents=19"]), space)}
    assert [changed[name] for name in ("generate", "mine", "score", "mine-other")] == ["run", "run", "run", "skip"]


def test_without_generated_queries_the_missing_split_is_told_before_the_run(recipe: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.yaml"
    plain.write_text(recipe.read_text().replace("queries: generate, ", ""))
    with pytest.raises(
        RecipeError, match="the stage 'train' trains on the split train, which the collection does not have"
    ):
        runner.plan(load(plain), Workspace(tmp_path / "runs"))


def test_a_stage_that_gives_no_queries_is_refused(recipe: Path) -> None:
    with pytest.raises(RecipeError) as error:
        load(recipe, ["stages.mine.queries=index"])
    assert "the stage 'index' does not give queries" in str(error.value)
    assert "allowed: generate" in str(error.value)
