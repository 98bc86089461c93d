"""Kinds of students from end to end: train, index, evaluate, search, export, report; and combinations that cannot be."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retkd import candidates, runner, trec
from retkd.ask import ask
from retkd.encoders.sparse_encoder import SparseEncoder
from retkd.errors import RecipeError
from retkd.exporters.onnx_encoder import OnnxEncoder
from retkd.objectives.kl import KL
from retkd.recipe import load
from retkd.stages import train
from retkd.students.asymmetric import Asymmetric, DocumentTower, TransformerTower
from retkd.students.asymmetric_sparse import AsymmetricSparse, BagOfQueryTerms, EncodedQueries, SparseDocumentTower
from retkd.students.dense import Dense
from retkd.students.late_interaction import LateInteraction
from retkd.students.sparse import Sparse
from retkd.workspace import Workspace
from tests.conftest import MakeInputs, files, opened
from tests.faults import StopError, stop_after
from tests.tiny import tiny_collection, tiny_encoder, tiny_sparse_encoder

RECIPE = """\
name: tiny
seed: 7
collection: {{kind: beir, path: {collection}}}
runtime: {{device: cpu, threads: 1}}
stages:
  mine: {{kind: mine, miner: {{kind: bm25, depth: 12}}}}
  score: {{kind: score, candidates: mine, teachers: {{base: {{kind: bi_encoder, model: {encoder}}}}}}}
  train:
    kind: train
    candidates: score
    student: {student}
    objective: {objective}
    steps: 8
    save_every: 5
    evaluate_every: 4
    keep: best
    batch_queries: 4
    learning_rate: 1.0e-3
  index: {{kind: index, model: train, recipe: {recipe}}}
  evaluate:
    kind: evaluate
    splits: [test]
    depth: 20
    measures: [nDCG@10]
    num_resamples: 100
    systems: {{student: {{kind: {system}, model: train, index: index}}}}
    controls: [bm25, zero_shot, contrastive]
  export: {{kind: export, model: train, measures: [nDCG@10], targets: {targets}}}
  report: {{kind: report, evaluation: evaluate}}
"""
SPARSE = {
    "student": "{kind: sparse, base: BASE, layers: [1], head_bias: -2.0}",
    "objective": "[{kind: kl, teacher: base, student_temperature: 1.0}, {kind: flops, side: document, weight: 0.01}, "
    "{kind: l1, side: query, weight: 0.01}]",
    "recipe": "inverted",
    "system": "sparse",
    "targets": "[{kind: sentence_transformers}, {kind: impacts}]",
}
LATE = {
    "student": "{kind: late_interaction, base: BASE, layers: [1], dim: 8}",
    "objective": "[{kind: kl, teacher: base, student_temperature: 1.0}, {kind: infonce, weight: 0.1, temperature: 1.0}]",
    "recipe": "maxsim",
    "system": "late_interaction",
    "targets": "[{kind: sentence_transformers}]",
}
ASYMMETRIC = {
    "student": "{kind: asymmetric, query: {kind: static}, document: {base: BASE}}",
    "objective": "[{kind: kl, teacher: base}, {kind: infonce, weight: 0.1}]",
    "recipe": "flat",
    "system": "dense",
    "targets": "[{kind: sentence_transformers}, {kind: onnx}]",
}
ASYMMETRIC_SPARSE = {
    **SPARSE,
    "student": "{kind: asymmetric_sparse, query: {kind: encoded, base: SPLADE}, document: {base: SPLADE}}",
    "objective": "[{kind: kl, teacher: base, student_temperature: 1.0}, {kind: l1, side: query, weight: 0.01}]",
}
KINDS = {
    "sparse": SPARSE,
    "inference_free": {
        **SPARSE,
        "student": "{kind: sparse, base: BASE, layers: [1], query: inference_free, head_bias: -0.5}",
    },
    "late_interaction": LATE,
    "asymmetric": ASYMMETRIC,
    "asymmetric_sparse": ASYMMETRIC_SPARSE,
}

HAVE_TERMS = ("sparse", "inference_free", "asymmetric_sparse")
"""Those whose texts are weights of terms."""


def written(folder: Path, kind: dict[str, str], **changed: str) -> Path:
    folder.mkdir(exist_ok=True)
    encoder, collection = folder / "encoder", folder / "collection"
    if not encoder.exists():
        tiny_encoder(encoder)
        tiny_sparse_encoder(folder / "splade")
        tiny_collection(collection)
    places = {"BASE": encoder, "SPLADE": folder / "splade"}
    told = {**kind, **changed}
    for word, place in places.items():
        told = {name: value.replace(word, str(place)) for name, value in told.items()}
    path = folder / "tiny.yaml"
    path.write_text(RECIPE.format(encoder=encoder, collection=collection, **told))
    return path


@pytest.fixture(scope="module", params=list(KINDS))
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, dict[str, Any]]:
    """(kind, folder, summary) of a whole run."""
    folder = tmp_path_factory.mktemp(request.param)
    recipe = load(written(folder, KINDS[request.param]))
    return request.param, folder, runner.run(recipe, Workspace(folder / "runs"))


def artifact(told: dict[str, Any], stage: str) -> Path:
    return Path(told["stages"][stage]["artifact"])


def metrics(told: dict[str, Any], stage: str) -> dict[str, Any]:
    return json.loads((artifact(told, stage) / "manifest.json").read_text())["metrics"]  # type: ignore[no-any-return]


def test_every_system_is_evaluated_and_the_student_is_its_own_brute_force(ran: Any) -> None:
    """The evaluated ranking is that of sentence-transformers' own similarity over the whole collection."""
    kind, folder, told = ran
    assert told["complete"]
    assert set(told["splits"]["test"]) == {"bm25", "zero_shot", "control", "student"}
    run = trec.read_run(artifact(told, "evaluate") / "runs" / "test" / "student.run.gz")
    scores, doc_ids, query_ids = peer_scores(kind, artifact(told, "train") / "model", folder)
    for query_id, row in zip(query_ids, scores, strict=True):
        found = run[query_id]
        assert [score for _, score in found] == pytest.approx(np.sort(row)[::-1][: len(found)], abs=1e-3)
        assert [score for _, score in found] == pytest.approx([row[doc_ids.index(d)] for d, _ in found], abs=1e-3)


def peer_scores(kind: str, model: Path, folder: Path, split: str = "test") -> tuple[np.ndarray, list[str], list[str]]:
    import sentence_transformers

    names = {"late_interaction": "MultiVectorEncoder", "asymmetric": "SentenceTransformer"}
    peer = getattr(sentence_transformers, names.get(kind, "SparseEncoder"))(str(model), device="cpu")
    collection = opened(folder / "collection", folder / "cache")
    documents, queries = list(collection.documents()), collection.queries(split)
    left, right = peer.encode_query([q.text for q in queries]), peer.encode_document([d.full_text for d in documents])
    scores = peer.similarity(left, right)
    scores = scores.to_dense() if scores.is_sparse else scores
    return scores.numpy(), [d.doc_id for d in documents], [q.query_id for q in queries]


@pytest.mark.parametrize("kind", ["sparse", "inference_free", "late_interaction"])
def test_a_round_mines_with_the_student_before(kind: str, tmp_path: Path) -> None:
    """What the second round's candidates are is what the first round's student ranks first."""
    recipe = load(written(tmp_path, KINDS[kind]), ["rounds={count: 2}"])
    told = runner.run(recipe, Workspace(tmp_path / "runs"))
    scores, doc_ids, query_ids = peer_scores(kind, artifact(told, "train_round1") / "model", tmp_path, "train")
    mined = candidates.read(artifact(told, "mine_round2") / "train", ["query_id", "doc_id", "source"])
    assert set(mined.column("source").to_pylist()) <= {recipe.stages["train"].student.kind, "qrels"}
    for query_id, row in zip(query_ids, scores, strict=True):
        best = sorted(zip(-row, doc_ids, strict=True))[:4]
        found = [r["doc_id"] for r in mined.to_pylist() if r["query_id"] == query_id]
        assert {doc_id for score, doc_id in best if score < 0} <= set(found)


def test_retkd_search_asks_the_student(ran: Any) -> None:
    _, folder, told = ran
    run = trec.read_run(artifact(told, "evaluate") / "runs" / "test" / "student.run.gz")
    texts = {q["_id"]: q["text"] for q in map(json.loads, (folder / "collection" / "queries.jsonl").open())}
    query_id = sorted(run)[0]
    found = ask(texts[query_id], folder / "runs", None, 3)
    assert [answer.score for answer in found] == pytest.approx([score for _, score in run[query_id][:3]], abs=1e-4)
    assert [answer.rank for answer in found] == [1, 2, 3]


def test_the_exports_rank_as_the_student(ran: Any) -> None:
    kind, folder, told = ran
    parity = json.loads((artifact(told, "export") / "parity.json").read_text())
    assert parity["sentence_transformers"]["max_difference"] == 0.0
    assert parity["sentence_transformers"]["top10_overlap"] == 1.0
    card = (folder / "runs" / "tiny" / "exports" / "export" / "sentence_transformers" / "README.md").read_text()
    loads = {"late_interaction": "MultiVectorEncoder", "asymmetric": "SentenceTransformer"}.get(kind, "SparseEncoder")
    assert f"from sentence_transformers import {loads}\n" in card
    if kind in HAVE_TERMS:
        assert 0.0 < parity["impacts"]["max_difference"] <= 0.5 / 100 + 1e-6
    if kind == "asymmetric":
        assert parity["onnx"]["max_difference"] < 1e-5
        assert parity["onnx"]["top10_overlap"] == 1.0
        served = OnnxEncoder(folder / "runs" / "tiny" / "exports" / "export" / "onnx", threads=1)
        assert served.encode(["baban coba"], "query").shape == (1, 32)
        report = (artifact(told, "report") / "report.html").read_text()
        assert "onnx: queries encoded per second" in report


def test_a_second_run_skips_everything_and_a_second_workspace_gives_the_same_bytes(ran: Any, tmp_path: Path) -> None:
    _, folder, told = ran
    again = runner.run(load(folder / "tiny.yaml"), Workspace(folder / "runs"))
    assert again["stages"] == told["stages"]
    other = runner.run(load(folder / "tiny.yaml"), Workspace(tmp_path / "runs"), ["mine", "score", "train", "index"])
    for stage in ("train", "index"):
        manifests = ("manifest.json",)
        mine, theirs = files(artifact(told, stage)), files(artifact(other, stage))
        assert {k: v for k, v in mine.items() if k not in manifests} == {
            k: v for k, v in theirs.items() if k not in manifests
        }


def test_sparsity_is_measured(ran: Any) -> None:
    kind, folder, told = ran
    report = (artifact(told, "report") / "report.html").read_text()
    if kind not in HAVE_TERMS:
        assert "flops" not in metrics(told, "index")
        assert "sparsity" not in metrics(told, "evaluate")
        assert "active terms" not in report
        return
    train, index = metrics(told, "train"), metrics(told, "index")
    evaluated = metrics(told, "evaluate")["sparsity"]["test"]
    assert set(evaluated) == {"zero_shot", "control", "student"}
    queries = opened(folder / "collection", folder / "cache").queries("test")
    terms = SparseEncoder.load(artifact(told, "train") / "model").represented([q.text for q in queries], "query")
    assert evaluated["student"]["active_terms_per_query"] == pytest.approx(terms.nnz / len(queries), abs=0.01)
    assert evaluated["student"]["active_terms_per_document"] == index["active_terms_per_document"]
    assert "active terms per query, distilled student on test" in report
    for found in (train, index, *evaluated.values()):
        assert 0 < found["active_terms_per_query"] < index["dim"]
        assert 0 < found["flops"] <= found["active_terms_per_query"]
    lines = [json.loads(line) for line in (artifact(told, "export") / "impacts" / "corpus.jsonl").open()]
    assert len(lines) == 60
    mean = np.mean([len(line["vector"]) for line in lines])
    assert mean == pytest.approx(index["active_terms_per_document"], rel=0.1)


def test_the_control_keeps_what_makes_the_student_sparse(tmp_path: Path) -> None:
    whole = load(written(tmp_path, SPARSE))
    assert [term.kind for term in whole.stages["control"].objective] == ["infonce", "flops", "l1"]
    assert whole.stages["control"].objective[0].temperature == 1.0
    assert whole.stages["evaluate"].systems["control"].kind == "sparse"


def test_the_documents_of_a_frozen_tower_are_encoded_once(ran: Any) -> None:
    """One folder of vectors in the store, for the teacher, the student, its controls and all their indexes."""
    kind, folder, told = ran
    stored = list((folder / "runs" / "store" / "vectors").iterdir())
    assert len(stored) == 1
    sparse = list((folder / "runs" / "store" / "sparse").glob("*"))
    assert len(sparse) == {"sparse": 3, "inference_free": 3, "asymmetric_sparse": 1}.get(kind, 0)
    if kind == "asymmetric":
        inodes = {
            (artifact(told, name) / "vectors.npy").stat().st_ino
            for name in ("index", "zero_shot_index", "control_index")
        }
        assert inodes == {(stored[0] / "vectors.npy").stat().st_ino}


STUDENTS = [
    Sparse(base="base", layers=[1]),
    Sparse(base="base", layers=[1], query="inference_free", freeze_embeddings=True),
    LateInteraction(base="base", dim=8, query_tokens=10),
    Asymmetric(document=DocumentTower(base="base")),
    Asymmetric(query=TransformerTower(base="base", layers=[1]), document=DocumentTower(base="base", frozen=False)),
    AsymmetricSparse(query=EncodedQueries(base="splade", layers=[1]), document=SparseDocumentTower(base="splade")),
    AsymmetricSparse(query=BagOfQueryTerms(), document=SparseDocumentTower(base="splade", frozen=False)),
    Dense(base="base", layers=[1], pooling="lasttoken"),
]


@pytest.mark.parametrize("student", STUDENTS)
def test_stopped_and_run_again_a_training_gives_the_same_bytes(
    inputs: MakeInputs,
    scored: Path,
    encoder_folder: Path,
    sparse_encoder_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    student: Any,
) -> None:
    terms = [KL(teacher="bm", student_temperature=1.0)]
    told = {"steps": 6, "save_every": 2, "batch_queries": 4, "learning_rate": 1e-2, "warmup_steps": 0}
    config = train.Config(candidates="score", student=student, objective=terms, **told)
    ready = inputs({"score": scored}, {"base": encoder_folder, "splade": sparse_encoder_folder})
    train.run(config, ready, tmp_path / "undisturbed")
    with monkeypatch.context() as patch:
        stop_after(5, patch)
        with pytest.raises(StopError):
            train.run(config, ready, tmp_path / "out")
    train.run(config, ready, tmp_path / "out")
    assert files(tmp_path / "out") == files(tmp_path / "undisturbed")
    untrained = train.run(config.model_copy(update={"steps": 0}), ready, tmp_path / "untrained")
    assert untrained.values["steps"] == 0
    assert files(tmp_path / "untrained").keys() == files(tmp_path / "out").keys()
    changed = {
        name for name, digest in files(tmp_path / "out").items() if digest != files(tmp_path / "untrained")[name]
    }
    weights = {name for name in files(tmp_path / "out") if name.endswith("model.safetensors")}
    frozen = {name for name in weights if "document_0" in name and student.stored_documents is not None}
    assert changed & weights == weights - frozen


def problem(path: Path) -> str:
    with pytest.raises(RecipeError) as error:
        load(path)
    return str(error.value)


def test_an_index_of_dense_vectors_over_a_sparse_student_is_refused(tmp_path: Path) -> None:
    told = problem(written(tmp_path, SPARSE, recipe="flat"))
    assert "the stage 'train' does not give encoder" in told
    assert "seen: train is of kind train, which gives sparse_encoder" in told
    assert "an index recipe of kind faiss holds one dense vector for a text: choose another `recipe` (inverted" in told


def test_a_system_of_another_kind_is_refused(tmp_path: Path) -> None:
    told = problem(written(tmp_path, LATE, system="dense"))
    assert "the stage 'index' does not give index" in told
    assert "seen: index is of kind index, which gives late_interaction_index" in told
    assert "next step: a system of kind late_interaction reads it, an index recipe maxsim holds it" in told


def test_a_target_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    for kind in (SPARSE, LATE):
        told = problem(written(tmp_path, kind, targets="[{kind: sentence_transformers}, {kind: onnx}]"))
        assert "the stage 'train' does not give encoder or asymmetric_encoder" in told
        assert "next step: the target onnx writes no other: choose other `targets`" in told
    assert "targets: onnx writes encoder, asymmetric_encoder; impacts writes sparse_encoder" in (
        problem(written(tmp_path, SPARSE, targets="[{kind: onnx}, {kind: impacts}]"))
    )


def test_an_objective_that_reads_vectors_is_refused(tmp_path: Path) -> None:
    told = problem(written(tmp_path, LATE, objective="[{kind: flops, side: query}]"))
    assert "the objective flops reads weights of terms, and a student of kind late_interaction gives one vector" in told


def test_an_encoder_of_two_towers_has_no_layers_to_teach(tmp_path: Path) -> None:
    path = written(tmp_path, ASYMMETRIC)
    student = f"{{kind: dense, base: {tmp_path / 'encoder'}, layers: [1]}}"
    again = f"{{kind: train, candidates: score, student: {student}, objective: [{{kind: KIND, model: train}}]}}"
    assert "again" in load(path, ["stages.again=" + again.replace("KIND", "vector_mse")]).stages
    with pytest.raises(RecipeError) as error:
        load(path, ["stages.again=" + again.replace("KIND", "layer_mse")])
    assert "the stage 'train' does not give encoder" in str(error.value)
    assert "next step: layers are those of one transformer for queries and documents" in str(error.value)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"recipe": "flat"}, "which gives asymmetric_sparse_encoder"),
        ({"system": "dense"}, "a system of kind sparse reads it, an index recipe inverted holds it"),
        ({"targets": "[{kind: onnx}]"}, "the target onnx writes no other: choose other `targets`"),
        (
            {"objective": "[{kind: kl, teacher: base}, {kind: flops, side: document}]"},
            "the objective flops with `side: document` restrains documents, and those of a frozen tower stay as they are: "
            "leave it out, or set `document.frozen: false`",
        ),
        (
            {"objective": "[{kind: vector_mse, model: BASE}]"},
            "reads one dense vector for a text, and a student of kind asymmetric_sparse gives weights of terms",
        ),
        (
            {"objective": "[{kind: in_batch_kl, model: SPLADE}]"},
            "which is the student's sparse document tower: name a dense encoder, or a teacher whose scores the lists hold",
        ),
        (
            {"student": "{kind: asymmetric_sparse, query: {kind: static}, document: {base: SPLADE}}"},
            "next step: known: encoded, inference_free",
        ),
        (
            {
                "student": "{kind: asymmetric_sparse, query: {kind: encoded, base: SPLADE, prompts: {query: a}}, "
                "document: {base: SPLADE}}"
            },
            "`prompts` are those of the student: write them beside `query`, not into it",
        ),
    ],
)
def test_what_does_not_go_with_two_sparse_towers_is_refused(tmp_path: Path, changed: dict[str, str], told: str) -> None:
    assert told in problem(written(tmp_path, ASYMMETRIC_SPARSE, **changed))


def test_towers_of_two_kinds_are_refused(tmp_path: Path) -> None:
    """A stage that gives dense vectors is no document tower of term weights, nor the other way round."""
    path = written(tmp_path, SPARSE)
    train = "{{kind: train, candidates: score, objective: [{{kind: kl, teacher: base}}], student: {student}}}"
    for student, given, wanted in (
        ("{kind: asymmetric, document: {base: train}}", "sparse_encoder", "encoder or asymmetric_encoder"),
        (
            "{kind: asymmetric_sparse, query: {kind: inference_free}, document: {base: dense}}",
            "encoder",
            "sparse_encoder or asymmetric_sparse_encoder",
        ),
    ):
        dense = train.format(student=f"{{kind: dense, base: {tmp_path / 'encoder'}}}")
        with pytest.raises(RecipeError) as error:
            load(path, [f"stages.dense={dense}", f"stages.again={train.format(student=student)}"])
        assert f"does not give {wanted}" in str(error.value)
        assert f"which gives {given}" in str(error.value)


def test_an_index_of_the_frozen_tower_s_base_will_do(tmp_path: Path) -> None:
    """And a student of two towers is another one's document tower, and mines."""
    path = written(tmp_path, ASYMMETRIC_SPARSE)
    splade = tmp_path / "splade"
    whole = load(path, [f"stages.index.model={splade}", "stages.evaluate.controls=[]"])
    assert whole.stages["index"].model == str(splade)
    again = (
        "{kind: train, candidates: score, objective: [{kind: kl, teacher: base}], "
        "student: {kind: asymmetric_sparse, query: {kind: inference_free}, document: {base: train}}}"
    )
    mine = "{kind: mine, miner: {kind: sparse, model: again}}"
    assert "again" in load(path, [f"stages.again={again}", f"stages.mine_again={mine}"]).stages
    free = "{kind: asymmetric_sparse, query: {kind: inference_free}, document: {base: SPLADE, frozen: false}}"
    path = written(tmp_path, ASYMMETRIC_SPARSE, student=free)
    with pytest.raises(RecipeError, match="searches an index of another model's documents"):
        load(path, [f"stages.index.model={splade}", "stages.evaluate.controls=[]"])


@pytest.mark.parametrize("kind", [ASYMMETRIC, ASYMMETRIC_SPARSE])
def test_rounds_of_a_student_of_two_towers_begin_from_scratch(tmp_path: Path, kind: dict[str, str]) -> None:
    path = written(tmp_path, kind)
    with pytest.raises(RecipeError) as error:
        load(path, ["rounds={count: 2}"])
    assert "each student goes on from the one before, and one of two towers has no single base" in str(error.value)
    assert "next step: set `start: scratch`, or take a student of one tower" in str(error.value)
    whole = load(path, ["rounds={count: 2, start: scratch}"])
    found = whole.stages["mine_round2"].miner
    assert (found.kind, found.model) == ("sparse" if kind is ASYMMETRIC_SPARSE else "dense", "train_round1")


def test_a_cut_of_vectors_that_an_index_does_not_hold_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, SPARSE)
    with pytest.raises(RecipeError) as error:
        load(path, ["stages.index.dim=4"])
    assert "`dim` cuts dense vectors, and an index recipe of kind inverted holds weights of terms" in str(error.value)
