"""The recipes beyond one language and one turn, run whole on tiny made collections."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retkd import candidates, runner
from retkd.encoders.encoder import Encoder
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


def test_disco(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data" / "conversations"
    documents = {f"d{n}": text for n, text in enumerate(texts(1, NUM_DOCUMENTS))}
    judged = {split: {f"{split}_{n}": {f"d{n}": 1} for n in range(12)} for split in ("train", "test")}
    beir(data, documents, {q: "unused" for split in judged for q in judged[split]}, judged)
    rewrites: dict[str, dict[str, str]] = {"one": {}, "two": {}}
    for split in judged:
        lines = []
        for n, (one, two) in enumerate(zip(texts(2, 12), texts(3, 12), strict=True)):
            key = f"{split}_{n}"
            rewrites["one"][key], rewrites["two"][key] = one, two
            said = {"_id": key, "text": "and baco", "history": ["difun", "gale mino"] * (n % 3)}
            lines.append(json.dumps({**said, "rewrite": {"one": one, "two": two}}) + "\n")
        (data / f"{split}.jsonl").write_text("".join(lines))
    monkeypatch.setenv("RETKD_DATA", str(tmp_path / "data"))
    places = (
        "mine_one.miner.model",
        "mine_two.miner.model",
        "score_one.teachers.one.model",
        "score_two.teachers.two.model",
    )
    overrides = [f"stages.{place}={base}" for place in (*places, "train.student.base")]
    overrides += [f"stages.{stage}.miner.depth=8" for stage in ("mine_one", "mine_two")]
    recipe, space, told = run("disco", [*overrides, "stages.select.sampler.num_negatives=4"], tmp_path)

    mined = {name: candidates.read(artifact(space, recipe, name) / "test") for name in ("mine_one", "mine_two", "mine")}
    found = {
        name: set(zip(rows["query_id"].to_pylist(), rows["doc_id"].to_pylist(), strict=True))
        for name, rows in mined.items()
    }
    assert found["mine"] == found["mine_one"] | found["mine_two"]
    rows = candidates.read(artifact(space, recipe, "score") / "test")
    pairs = list(zip(rows["query_id"].to_pylist(), rows["doc_id"].to_pylist(), strict=True))
    columns = {name: dense(base, rewrites[name], documents, pairs) for name in rewrites}
    for name, expected in columns.items():
        assert rows[f"teacher.{name}"].to_numpy() == pytest.approx(expected, abs=1e-5)
    for _, start, stop in candidates.groups(rows):
        lists = [columns[name][start:stop] for name in columns]
        relaxed = sum((own - own.min()) / (own.max() - own.min()) for own in lists) / 2
        assert rows["teacher.both"].to_numpy()[start:stop] == pytest.approx(relaxed, abs=1e-4)
    assert set(told["splits"]["test"]["student"]) == {"nDCG@3", "MRR@10", "R@5", "R@20", "R@100"}
    queries = {q.query_id: q.text for q in recipe.collection.open(tmp_path / "cache").queries("test")}
    assert queries["test_1"] == "and baco [SEP] gale mino [SEP] difun"
