"""The recipes beyond one language and one turn, run whole on tiny made collections."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retkd import candidates, runner, trec
from retkd.encoders.encoder import Encoder
from retkd.encoders.sparse_encoder import SparseEncoder
from retkd.recipe import Recipe, load
from retkd.shipped import folder
from retkd.workspace import Workspace
from tests.tables import beir
from tests.tiny import COMMON, RARE, tiny_encoder

NUM_DOCUMENTS = 30
SMALL = [
    "stages.evaluate.num_resamples=100",
    "stages.train.steps=3",
    "stages.train.batch_queries=4",
    "runtime.threads=1",
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("models") / "encoder", max_length=128)


def texts(seed: int, number: int) -> list[str]:
    """A text per number, each with rare words of its own."""
    rng = random.Random(seed)
    words = [rng.sample(RARE, 2) + rng.choices(COMMON, k=rng.randint(3, 9)) for _ in range(number)]
    return [" ".join(rng.sample(each, len(each))) for each in words]


def run(name: str, overrides: list[str], tmp_path: Path) -> tuple[Recipe, Workspace, dict[str, Any]]:
    recipe = load(folder("pipelines") / "methods" / f"{name}.yaml", [*SMALL, *overrides])
    space = Workspace(tmp_path / "runs")
    told = runner.run(recipe, space)
    assert told["complete"]
    assert {step.action for step in runner.plan(recipe, space)} == {"skip"}
    return recipe, space, told


def artifact(space: Workspace, recipe: Recipe, stage: str) -> Path:
    found: Path = space.root / "artifacts" / space.stages(recipe.name)[stage]
    return found


def dense(model: Path, queries: dict[str, str], documents: dict[str, str], pairs: list[tuple[str, str]]) -> np.ndarray:
    encoder = Encoder.load(model)
    left = encoder.encode([queries[q] for q, _ in pairs], "query")
    right = encoder.encode([documents[d] for _, d in pairs], "document")
    return np.einsum("pd,pd->p", left, right)


def test_translate_distill(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {lang: texts(seed, NUM_DOCUMENTS) for seed, lang in enumerate(("en", "de"))}
    asked = {lang: texts(seed + 5, 2 * NUM_DOCUMENTS) for seed, lang in enumerate(("en", "de"))}
    documents = {f"{lang}-p{n}": text for lang in own for n, text in enumerate(own[lang])}
    queries = {f"{lang}-q{n}": text for lang in asked for n, text in enumerate(asked[lang])}
    judged = {
        f"{lang}-{lang}": {f"{lang}-q{n}": {f"{lang}-p{n // 2}": 1} for n in range(2 * NUM_DOCUMENTS)}
        for lang in ("en", "de")
    }
    beir(tmp_path / "data" / "xquad-clir", documents, queries, judged)
    monkeypatch.setenv("RETKD_DATA", str(tmp_path / "data"))
    places = ("mine.miner.model", "score.teachers.english.model", "train.student.base", "english.model")
    places += ("evaluate.systems.teacher.model",)
    overrides = [f"stages.{place}={base}" for place in places]
    recipe, space, told = run("translate-distill", [*overrides, "stages.train.student.layers=[1]"], tmp_path)

    rows = candidates.read(artifact(space, recipe, "score") / "train")
    pairs = list(zip(rows["query_id"].to_pylist(), rows["doc_id"].to_pylist(), strict=True))
    english = dense(
        base,
        {q.removeprefix("en-"): text for q, text in queries.items() if q.startswith("en-")},
        {d.removeprefix("en-"): text for d, text in documents.items() if d.startswith("en-")},
        pairs,
    )
    assert rows["teacher.english"].to_numpy() == pytest.approx(english, abs=1e-5)
    assert set(told["splits"]) == {"german/test", "german/test.de"}
    by_language = json.loads((artifact(space, recipe, "evaluate") / "languages.json").read_text())
    assert {split: list(pairs) for split, pairs in by_language.items()} == {"test": ["en-de"], "test.de": ["de-de"]}
    means = by_language["test"]["en-de"]["means"]
    assert means["student"]["nDCG@10"] == told["splits"]["german/test"]["student"]["nDCG@10"]["mean"]
    report = (artifact(space, recipe, "report") / "report.html").read_text()
    assert "By language" in report
    assert "<td>en-de</td>" in report


def test_a_student_of_two_languages(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All variants of each list at once, held together, out of the recipe for one language."""
    own = {lang: texts(seed, NUM_DOCUMENTS) for seed, lang in enumerate(("en", "de"))}
    documents = {f"{lang}-p{n}": text for lang in own for n, text in enumerate(own[lang])}
    queries = {f"{lang}-q{n}": text for lang in own for n, text in enumerate(texts(9, NUM_DOCUMENTS))}
    judged = {f"{lang}-{lang}": {f"{lang}-q{n}": {f"{lang}-p{n}": 1} for n in range(NUM_DOCUMENTS)} for lang in own}
    beir(tmp_path / "data" / "xquad-clir", documents, queries, judged)
    monkeypatch.setenv("RETKD_DATA", str(tmp_path / "data"))
    path = folder("pipelines") / "methods" / "translate-distill.yaml"
    places = ("mine.miner.model", "score.teachers.english.model", "train.student.base", "english.model")
    overrides = [f"stages.{place}={base}" for place in (*places, "evaluate.systems.teacher.model")]
    overrides += ["views.german.documents=[de, en]", "stages.train.student.layers=[1]"]
    overrides += ["stages.train.document_languages={languages: [de, en], mix: all}"]
    overrides += ["stages.train.objective=[{kind: translate_distill, teacher: english}, {kind: language_consistency}]"]
    recipe = load(path, [*SMALL, *overrides])
    space = Workspace(tmp_path / "runs")
    runner.run(recipe, space, ["mine", "score", "select", "train"])
    trace = [json.loads(line) for line in (artifact(space, recipe, "train") / "trace.jsonl").read_text().splitlines()]
    assert {"translate_distill", "language_consistency"} <= set(trace[0])


Rewrites = dict[str, dict[str, str]]


@pytest.fixture
def conversations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, str], Rewrites]:
    """(documents by id, queries by id of each rewrite) of turns that lie where the recipes look for them."""
    data = tmp_path / "data" / "conversations"
    documents = {f"d{n}": text for n, text in enumerate(texts(1, NUM_DOCUMENTS))}
    judged = {split: {f"{split}_{n}": {f"d{n}": 1} for n in range(12)} for split in ("train", "test")}
    beir(data, documents, {q: "unused" for split in judged for q in judged[split]}, judged)
    rewrites: Rewrites = {"one": {}, "two": {}}
    for split in judged:
        lines = []
        for n, (one, two) in enumerate(zip(texts(2, 12), texts(3, 12), strict=True)):
            key = f"{split}_{n}"
            rewrites["one"][key], rewrites["two"][key] = one, two
            said = {"_id": key, "text": "and baco", "history": ["difun", "gale mino"] * (n % 3)}
            lines.append(json.dumps({**said, "rewrite": {"one": one, "two": two}}) + "\n")
        (data / f"{split}.jsonl").write_text("".join(lines))
    monkeypatch.setenv("CONVERSATIONS", str(data))
    return documents, rewrites


def of_a_disco(name: str, places: list[str], more: list[str], base: Path, tmp_path: Path) -> Any:
    """A recipe of conversations, run; ``places`` below stages name a model."""
    overrides = [f"stages.{place}={base}" for place in [*places, "mine_one.miner.model", "mine_two.miner.model"]]
    overrides += [f"stages.{stage}.miner.depth=8" for stage in ("mine_one", "mine_two")]
    return run(name, [*overrides, "stages.select.sampler.num_negatives=4", *more], tmp_path)


def relaxed(rows: Any, columns: dict[str, np.ndarray]) -> None:
    """The teachers' columns are these, and what the student learns is the mean of their min-max lists."""
    for name, expected in columns.items():
        assert rows[f"teacher.{name}"].to_numpy() == pytest.approx(expected, rel=1e-5, abs=1e-5)
    for _, start, stop in candidates.groups(rows):
        lists = [columns[name][start:stop] for name in columns]
        mean = sum((own - own.min()) / (own.max() - own.min()) for own in lists) / 2
        assert rows["teacher.both"].to_numpy()[start:stop] == pytest.approx(mean, abs=1e-4)


def test_disco(base: Path, tmp_path: Path, conversations: tuple[dict[str, str], Rewrites]) -> None:
    documents, rewrites = conversations
    places = ["score_one.teachers.one.model", "score_two.teachers.two.model", "train.student.query.base"]
    recipe, space, told = of_a_disco("disco", [*places, "train.student.document.base"], [], base, tmp_path)

    mined = {name: candidates.read(artifact(space, recipe, name) / "test") for name in ("mine_one", "mine_two", "mine")}
    found = {
        name: set(zip(rows["query_id"].to_pylist(), rows["doc_id"].to_pylist(), strict=True))
        for name, rows in mined.items()
    }
    assert found["mine"] == found["mine_one"] | found["mine_two"]
    rows = candidates.read(artifact(space, recipe, "score") / "test")
    pairs = list(zip(rows["query_id"].to_pylist(), rows["doc_id"].to_pylist(), strict=True))
    relaxed(rows, {name: dense(base, rewrites[name], documents, pairs) for name in rewrites})
    assert set(told["splits"]["test"]["student"]) == {"nDCG@3", "MRR@10", "R@5", "R@20", "R@100"}
    queries = {q.query_id: q.text for q in recipe.collection.open(tmp_path / "cache").queries("test")}
    assert queries["test_1"] == "and baco [SEP] gale mino [SEP] difun"


def test_disco_with_sparse_towers(base: Path, tmp_path: Path, conversations: tuple[dict[str, str], Rewrites]) -> None:
    """One sparse encoder teaches, holds the documents and makes the index; it reads each collection once."""
    documents, rewrites = conversations
    places = ["score_dense.teachers.dense.model", "splade.student.base"]
    more = ["stages.splade.student.head_bias=-2.0", "stages.splade.steps=2", "stages.splade.batch_queries=4"]
    more += [f"stages.{each}.max_length=64" for each in ("splade.student", "train.student.query")]
    recipe, space, told = of_a_disco("disco-sparse", places, [*more, "stages.train.learning_rate=1e-2"], base, tmp_path)

    splade, student = (SparseEncoder.load(artifact(space, recipe, name) / "model") for name in ("splade", "train"))
    rows = candidates.read(artifact(space, recipe, "score") / "test")
    pairs = list(zip(rows["query_id"].to_pylist(), rows["doc_id"].to_pylist(), strict=True))
    right = splade.encode([documents[d] for _, d in pairs], "document")
    asked = {name: splade.encode([rewrites[name][q] for q, _ in pairs], "query") for name in rewrites}
    relaxed(rows, {name: np.einsum("pv,pv->p", left, right) for name, left in asked.items()})
    held = student.encode(list(documents.values()), "document")
    assert np.array_equal(held, splade.encode(list(documents.values()), "document"))
    assert len(list((space.root / "store" / "sparse").iterdir())) == len(["the conversations", *recipe.views])
    queries = {q.query_id: q.text for q in recipe.collection.open(tmp_path / "cache").queries("test")}
    vectors = student.encode(list(queries.values()), "query")
    assert not np.allclose(vectors, splade.encode(list(queries.values()), "query"), atol=1e-3)

    place = artifact(space, recipe, "evaluate")
    found = trec.read_run(place / "runs" / "test" / "student.run.gz")
    for query_id, scores in zip(queries, vectors @ held.T, strict=True):
        assert [score for _, score in found[query_id]] == pytest.approx(np.sort(scores[scores > 0])[::-1], rel=1e-4)
    assert set(told["splits"]["test"]["student"]) == {"nDCG@3", "MRR@10", "R@5", "R@20", "R@100"}
    sparsity = json.loads((place / "manifest.json").read_text())["metrics"]["sparsity"]["test"]["student"]
    assert sparsity["active_terms_per_document"] == pytest.approx((held > 0).sum(axis=1).mean(), abs=0.01)
    impacts = artifact(space, recipe, "export") / "impacts" / "corpus.jsonl"
    assert len(impacts.read_text().splitlines()) == NUM_DOCUMENTS
