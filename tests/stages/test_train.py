"""The train stage: the student that it publishes, and the tables that it refuses."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from retkd import candidates
from retkd.encoders.encoder import Encoder
from retkd.errors import DataError, ScaleError
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.in_batch_kl import InBatchKL
from retkd.objectives.kl import KL
from retkd.objectives.margin_mse import MarginMSE
from retkd.objectives.matryoshka import Matryoshka
from retkd.stages.train import Config, run
from retkd.students.dense import Dense
from retkd.students.gradual import Gradual
from retkd.students.lora import Lora
from retkd.students.pruning import Prune
from retkd.training.query_order import ByTopic, write_topics
from tests.conftest import MakeInputs, files
from tests.faults import StopError, stop_after
from tests.tables import rows_of, scored, written

STUDENT = Dense(base="base", layers=[1])
CONFIG = Config(
    candidates="score",
    student=STUDENT,
    objective=[KL(teacher="bm"), InfoNCE(weight=0.1)],
    steps=8,
    batch_queries=4,
    learning_rate=1e-3,
    warmup_steps=0,
    save_every=3,
    evaluate_every=3,
    keep="best",
)


@pytest.fixture
def ready(inputs: MakeInputs, scored: Path, encoder_folder: Path) -> Any:
    def make(artifact: Path = scored, **changed: Any) -> Any:
        return inputs({"score": artifact}, {"base": encoder_folder}, **changed)

    return make


def changed(**fields: Any) -> Config:
    return Config(**{**dict(CONFIG), **fields})


def test_it_publishes_a_folder_that_sentence_transformers_loads(ready: Any, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    metrics = run(CONFIG, ready(), tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["model", "student.json", "trace.jsonl", "work"]
    model = SentenceTransformer(str(tmp_path / "out" / "model"), device="cpu")
    texts = ["baco difun", "gale"]
    found = Encoder.load(tmp_path / "out" / "model").encode(texts, "document")
    assert np.allclose(model.encode_document(texts), found, atol=1e-6)
    assert len(model[0].auto_model.encoder.layer) == 1
    told = json.loads((tmp_path / "out" / "student.json").read_text())
    num_parameters = sum(p.numel() for p in model.parameters())
    assert told == {"parameters": num_parameters, "layers": 1, "dim": 32, "max_length": 64}
    trace = [json.loads(line) for line in (tmp_path / "out" / "trace.jsonl").read_text().splitlines()]
    looks = {row["step"]: row["dev"]["nDCG@10"] for row in trace if "dev" in row}
    assert list(looks) == [3, 6, 8]
    best = max(looks, key=lambda step: (looks[step], -step))
    rows = candidates.read(ready().artifacts["score"] / "train")
    assert metrics.rows_in == metrics.rows_out == rows.num_rows
    assert metrics.values == {
        "queries": 18,
        "parameters": num_parameters,
        "steps": 8,
        "first_loss": trace[0]["loss"],
        "last_loss": [row["loss"] for row in trace if "loss" in row][-1],
        "dev_reranking_nDCG@10": looks[8],
        "best_dev_reranking_nDCG@10": looks[best],
        "best_step": best,
    }


def test_twice_gives_the_same_bytes_and_a_change_gives_others(ready: Any, tmp_path: Path) -> None:
    first = run(CONFIG, ready(), tmp_path / "first")
    assert run(CONFIG, ready(), tmp_path / "second") == first
    assert files(tmp_path / "second") == files(tmp_path / "first")
    run(changed(objective=[KL(teacher="bm"), InfoNCE(weight=0.2)]), ready(), tmp_path / "weight")
    run(CONFIG, ready(seed=14), tmp_path / "seed")
    weights = {files(tmp_path / name)["model/model.safetensors"] for name in ("first", "weight", "seed")}
    assert len(weights) == 3


def test_stopped_and_run_again_it_gives_the_same_bytes(
    ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(CONFIG, ready(), tmp_path / "undisturbed")
    with monkeypatch.context() as patch:
        stop_after(5, patch)
        with pytest.raises(StopError):
            run(CONFIG, ready(), tmp_path / "out")
    assert files(tmp_path / "out") == {}
    for _ in ("resumed", "trained to the end, and stopped before it was published"):
        run(CONFIG, ready(), tmp_path / "out")
        assert files(tmp_path / "out") == files(tmp_path / "undisturbed")


def test_the_student_learns_its_teachers_lists(ready: Any, tmp_path: Path) -> None:
    """Forty steps on KL alone: the mean over the last six batches is below two thirds of that over the first six."""
    told = {
        "objective": [KL(teacher="bm")],
        "steps": 40,
        "learning_rate": 3e-3,
        "keep": "last",
        "evaluate_every": None,
        "save_every": 100,
    }
    run(changed(**told), ready(), tmp_path / "out")
    losses = [json.loads(line)["kl"] for line in (tmp_path / "out" / "trace.jsonl").read_text().splitlines()]
    assert np.mean(losses[-6:]) < 0.67 * np.mean(losses[:6])


def test_a_teacher_of_whole_batches_is_learned_too(ready: Any, tmp_path: Path) -> None:
    """From the student's own base: the loss falls, twice gives the same bytes, and its temperature matters."""
    student = Dense(base="base", layers=[1], dropout=0.0)
    told: dict[str, Any] = {"student": student, "steps": 30, "learning_rate": 5e-3, "save_every": 100, **without_dev()}
    config = changed(objective=[InBatchKL(model="base")], **told)
    run(config, ready(), tmp_path / "first")
    losses = [json.loads(line)["in_batch_kl"] for line in (tmp_path / "first" / "trace.jsonl").read_text().splitlines()]
    assert np.mean(losses[-6:]) < 0.67 * np.mean(losses[:6])
    run(config, ready(), tmp_path / "second")
    assert files(tmp_path / "second") == files(tmp_path / "first")
    softer = changed(objective=[InBatchKL(model="base", teacher_temperature=0.1)], **{**told, "steps": 2})
    run(softer, ready(), tmp_path / "other")
    first_loss = json.loads((tmp_path / "other" / "trace.jsonl").read_text().splitlines()[0])["loss"]
    assert first_loss != losses[0]


def test_frozen_word_embeddings_stay_those_of_the_base(ready: Any, tmp_path: Path, encoder_folder: Path) -> None:
    base = table_of(Encoder.load(encoder_folder))
    for frozen in (False, True):
        student = Dense(base="base", layers=[1], freeze_embeddings=frozen)
        run(changed(student=student, steps=2, **without_dev()), ready(), tmp_path / str(frozen))
        assert np.array_equal(table_of(Encoder.load(tmp_path / str(frozen) / "model")), base) == frozen


def table_of(encoder: Encoder) -> np.ndarray:
    weights: np.ndarray = encoder.model[0].auto_model.get_input_embeddings().weight.detach().numpy()
    return weights


def test_no_steps_publish_the_student_as_initialised(ready: Any, tmp_path: Path, encoder_folder: Path) -> None:
    """Also where the table has no labels: the zero-shot control needs none."""
    untouched = written(rows_of({"q0": [("d1", 1.0, None)]}), tmp_path / "bare" / "train").parent
    run(changed(steps=0, objective=[InfoNCE()]), ready(untouched), tmp_path / "out")
    found = Encoder.load(tmp_path / "out" / "model").encode(["baco"], "query")
    assert np.array_equal(found, STUDENT.build(encoder_folder, "cpu").encode(["baco"], "query"))
    assert (tmp_path / "out" / "trace.jsonl").read_text() == ""


LISTS = {
    "q0": [("d0", 3.0, 1), ("d1", 2.0, None)],
    "q1": [("d1", 3.0, 1), ("d2", 2.0, None)],
}


def refused(config: Config, rows: Any, ready: Any, tmp_path: Path, error: type[Exception]) -> str:
    """The text of the error that training on ``rows`` gives."""
    artifact = written(rows, tmp_path / "artifact" / "train").parent
    with pytest.raises(error) as told:
        run(config, ready(artifact), tmp_path / "out")
    return str(told.value)


@pytest.mark.parametrize("scale", ["probability", "rank"])
@pytest.mark.parametrize("term", [KL(teacher="ce"), MarginMSE(teacher="ce")], ids=lambda term: term.kind)
def test_a_column_on_the_wrong_scale(ready: Any, tmp_path: Path, term: Any, scale: Any) -> None:
    rows = scored_column(scale=scale)
    told = refused(changed(objective=[term], **without_dev()), rows, ready, tmp_path, ScaleError)
    assert told == (
        f"the objective {term.kind!r} cannot use the scores of teacher 'ce'\n"
        "  where: column teacher.ce\n"
        f"  seen: scale {scale!r}\n"
        "  allowed: logit, log_probability, cosine, unbounded, standardised\n"
        f"  next step: {term.RULE}"
    )


def scored_column(values: Any = (0.9, 0.1, 0.8, 0.2), scale: Any = "logit", lists: Any = LISTS) -> Any:
    return scored_rows(rows_of(lists), "ce", list(values), scale)


scored_rows = scored
"""The fixture of the same name hides the function inside tests."""


def without_dev() -> dict[str, Any]:
    return {"evaluate_every": None, "keep": "last"}


@pytest.mark.parametrize(
    ("objective", "reader"),
    [([KL(teacher="ce")], "the objective 'kl'"), ([InfoNCE(in_batch=False)], "the objective 'infonce'")],
)
def test_a_list_of_length_one(ready: Any, tmp_path: Path, objective: Any, reader: str) -> None:
    lists = {**LISTS, "q2": [("d2", 1.0, 1)]}
    rows = scored_column([0.9, 0.1, 0.8, 0.2, 0.5], lists=lists)
    told = refused(changed(objective=objective, **without_dev()), rows, ready, tmp_path, DataError)
    assert told == (
        "1 of the candidate lists have length one\n"
        "  where: query_id 'q2'\n"
        "  seen: one candidate\n"
        "  allowed: two or more\n"
        f"  consequence: {reader} compares candidates of one query: with one candidate its gradient is zero\n"
        "  next step: mine deeper, filter less, or drop these queries in the select stage"
    )


def test_in_the_batch_a_list_of_length_one_is_enough(ready: Any, tmp_path: Path) -> None:
    rows = rows_of({"q0": [("d0", 1.0, 1)], "q1": [("d1", 1.0, 1)]})
    artifact = written(rows, tmp_path / "artifact" / "train").parent
    metrics = run(changed(objective=[InfoNCE()], steps=1, **without_dev()), ready(artifact), tmp_path / "out")
    assert metrics.values["first_loss"] > 0


def test_rows_that_the_teacher_has_not_scored(ready: Any, tmp_path: Path) -> None:
    told = refused(
        changed(objective=[KL(teacher="ce")], **without_dev()),
        scored_column([0.9, 0.1, 0.8, None]),
        ready,
        tmp_path,
        DataError,
    )
    assert told == (
        "1 training rows have no score of teacher 'ce'\n"
        "  where: query_id 'q1', doc_id 'd2'\n"
        "  allowed: a score on every row: a teacher loss never sees a pair that the teacher has not\n"
        "  next step: score deeper, or let the select stage drop them with `teacher: ce`"
    )


def test_an_unknown_teacher(ready: Any, tmp_path: Path) -> None:
    told = refused(
        changed(objective=[KL(teacher="cross")], **without_dev()), scored_column(), ready, tmp_path, DataError
    )
    assert told.startswith("the candidates table has no teacher 'cross'\n  seen: cross\n  allowed: ce\n")


@pytest.mark.parametrize("objective", [[InfoNCE()], [MarginMSE(teacher="ce")]], ids=["infonce", "margin_mse"])
def test_labels_that_are_needed_and_not_there(ready: Any, tmp_path: Path, objective: Any) -> None:
    lists = {"q0": [("d0", 3.0, None), ("d1", 2.0, 0)]}
    told = refused(
        changed(objective=objective, **without_dev()),
        scored_column([0.9, 0.1], lists=lists),
        ready,
        tmp_path,
        DataError,
    )
    assert told == (
        f"the objective {objective[0].kind!r} needs judged positives and the training rows have none\n"
        "  where: column relevance, split train\n"
        "  next step: use a collection with train qrels, or an objective that learns from the teacher alone, such as kl"
    )


@pytest.mark.parametrize("objective", [[KL(teacher="ce")], [InfoNCE()]])
def test_a_table_without_rows(ready: Any, tmp_path: Path, objective: Any) -> None:
    told = refused(
        changed(objective=objective, **without_dev()), scored_column([], lists={}), ready, tmp_path, DataError
    )
    assert told.startswith("there are no candidate lists to train on\n  where: split train\n  seen: 0 rows\n")


def test_no_training_split(ready: Any, tmp_path: Path) -> None:
    artifact = written(rows_of(LISTS), tmp_path / "artifact" / "dev").parent
    with pytest.raises(DataError, match=re.escape(f"no candidates here\n  where: {artifact / 'train'}\n")):
        run(CONFIG, ready(artifact), tmp_path / "out")


def test_keep_best_without_a_dev_split(ready: Any, tmp_path: Path) -> None:
    artifact = written(scored_column(), tmp_path / "artifact" / "train").parent
    with pytest.raises(
        DataError, match="`keep: best` and `patience` go by the dev split, and the candidates have none"
    ):
        run(changed(objective=[KL(teacher="ce")]), ready(artifact), tmp_path / "out")


def test_batches_of_one_topic_also_after_a_stop(
    ready: Any, scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is another than the shuffled one, and a run that was stopped goes on in it to the same bytes."""
    artifact = shutil.copytree(scored, tmp_path / "artifact")
    query_ids = sorted(set(candidates.read(artifact / "train")["query_id"].to_pylist()))
    write_topics(query_ids, np.arange(len(query_ids)) % 3, artifact)
    config = changed(batches=ByTopic(), **without_dev())
    run(config, ready(artifact), tmp_path / "undisturbed")
    with monkeypatch.context() as patch:
        stop_after(5, patch)
        with pytest.raises(StopError):
            run(config, ready(artifact), tmp_path / "out")
    run(config, ready(artifact), tmp_path / "out")
    assert files(tmp_path / "out") == files(tmp_path / "undisturbed")
    run(changed(**without_dev()), ready(artifact), tmp_path / "shuffled")
    assert files(tmp_path / "shuffled")["trace.jsonl"] != files(tmp_path / "out")["trace.jsonl"]
    with pytest.raises(DataError, match="the stage 'score' has no clusters of queries"):
        run(config, ready(), tmp_path / "without")


def test_a_learned_temperature_is_told_and_not_published(ready: Any, tmp_path: Path) -> None:
    """The folder is that of a student with a plain temperature, file by file and weight by weight."""
    from safetensors.torch import load_file

    learned: Any = {"learned_from": 0.05}
    plain = changed(objective=[InfoNCE()], **without_dev())
    run(plain, ready(), tmp_path / "plain")
    metrics = run(changed(objective=[InfoNCE(temperature=learned)], **without_dev()), ready(), tmp_path / "learned")
    assert files(tmp_path / "plain").keys() == files(tmp_path / "learned").keys()
    one, other = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("plain", "learned"))
    assert {name: value.shape for name, value in one.items()} == {name: value.shape for name, value in other.items()}
    last = json.loads((tmp_path / "learned" / "trace.jsonl").read_text().splitlines()[-1])
    assert metrics.values["infonce.temperature"] not in (0.05, last["infonce.temperature"])
    assert metrics.values["infonce.temperature"] == pytest.approx(last["infonce.temperature"], rel=0.05)


ADAPTATIONS = [
    Gradual(until=0.9),
    Lora(rank=4, keep_adapter=True),
    Prune(sparsity=0.4, warmup=0.2, until=0.7, learning_rate=0.5),
    Prune(sparsity=0.4, warmup=0.2, until=0.7, learning_rate=0.5, width=True, sublayers=True, two_sided=True),
]


@pytest.mark.parametrize("adaptation", ADAPTATIONS, ids=lambda each: each.kind)
def test_an_adapted_student_is_trained_stopped_and_published(
    ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder_folder: Path, adaptation: Any
) -> None:
    """The folder loads and has the parameters that are told; a run that was stopped goes on to the same bytes."""
    from sentence_transformers import SentenceTransformer

    config = changed(student=Dense(base="base", adaptation=adaptation), **without_dev())
    metrics = run(config, ready(), tmp_path / "undisturbed")
    with monkeypatch.context() as patch:
        stop_after(5, patch)
        with pytest.raises(StopError):
            run(config, ready(), tmp_path / "out")
    run(config, ready(), tmp_path / "out")
    assert files(tmp_path / "out") == files(tmp_path / "undisturbed")
    published = SentenceTransformer(str(tmp_path / "out" / "model"), device="cpu")
    count, whole = (sum(p.numel() for p in m.parameters()) for m in (published, Encoder.load(encoder_folder).model))
    assert metrics.values["parameters"] == count
    assert (count < whole) == (adaptation.kind == "prune")
    assert (tmp_path / "out" / "adapter").exists() == (adaptation.kind == "lora")
    steps = [json.loads(line) for line in (tmp_path / "out" / "trace.jsonl").read_text().splitlines()]
    assert ("sparsity" in steps[0], "sparsity" in steps[-1]) == (
        (True, False) if adaptation.kind == "prune" else (False,) * 2
    )


def test_the_first_coordinates_are_not_trained_where_some_of_them_go() -> None:
    terms = [Matryoshka(dims=[8], terms=[InfoNCE()])]
    with pytest.raises(ValidationError, match="matryoshka trains the first coordinates, of which `width` of the"):
        changed(student=Dense(base="base", adaptation=Prune(sparsity=0.5, width=True)), objective=terms)
    changed(student=Dense(base="base", adaptation=Prune(sparsity=0.5)), objective=terms)


def test_without_steps_an_adapted_student_is_its_base(ready: Any, tmp_path: Path, encoder_folder: Path) -> None:
    student = Dense(base="base", adaptation=Prune(sparsity=0.5))
    run(changed(student=student, steps=0, **without_dev()), ready(), tmp_path / "out")
    found = Encoder.load(tmp_path / "out" / "model").encode(["baco difun"], "document")
    assert np.array_equal(found, Encoder.load(encoder_folder).encode(["baco difun"], "document"))
