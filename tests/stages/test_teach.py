"""The teach stage: a teacher of pairs or lists out of an encoder or another teacher, from labels or another's scores."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from retkd import candidates
from retkd.errors import DataError, ScaleError
from retkd.matchers.cross_encoder import PairScorer
from retkd.selection.rules import select
from retkd.selection.samplers import Random
from retkd.stages.teach import OUTPUTS, Config, run
from tests.conftest import MakeInputs, files
from tests.faults import StopError, stop_after
from tests.tables import pairs, rows_of, scored, written

CONFIG = Config(
    candidates="mine",
    base="base",
    sampler=Random(num_negatives=3),
    steps=6,
    batch_queries=4,
    learning_rate=1e-3,
    head_learning_rate=3e-3,
    warmup_steps=0,
    max_length=48,
    save_every=2,
    evaluate_every=3,
)


@pytest.fixture
def ready(inputs: MakeInputs, mined: Path, encoder_folder: Path) -> Any:
    def make(artifact: Path = mined, **changed: Any) -> Any:
        return inputs({"mine": artifact}, {"base": encoder_folder}, **changed)

    return make


def changed(**fields: Any) -> Config:
    return Config(**{**{name: getattr(CONFIG, name) for name in CONFIG.model_fields_set}, **fields})


def test_it_publishes_a_cross_encoder_and_tells_what_it_did(ready: Any, tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder
    from torch.nn import Identity

    metrics = run(CONFIG, ready(), tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["model", "trace.jsonl", "work"]
    pairs = [("baco difun", "gale lemi nopa"), ("ruse", "baco " * 60)]
    peer = CrossEncoder(str(tmp_path / "out" / "model"), device="cpu", max_length=48)
    scores = PairScorer.load(tmp_path / "out" / "model", "cpu", 48, 16).score(pairs)
    assert scores == pytest.approx(peer.predict(pairs, activation_fn=Identity()), abs=1e-4)
    mined, inputs = candidates.read(ready().artifacts["mine"] / "train"), ready()
    rules: dict[str, Any] = {"filters": [], "sampler": CONFIG.sampler, "teacher": None, "unlabelled": "drop"}
    chosen = select(mined, inputs.collection, "train", **rules, seed=inputs.seed)
    rows, dropped = chosen.rows, chosen.dropped
    assert (metrics.rows_in, metrics.rows_out, metrics.rows_dropped) == (mined.num_rows, rows.num_rows, dropped)
    trace = [json.loads(line) for line in (tmp_path / "out" / "trace.jsonl").read_text().splitlines()]
    looks = {row["step"]: row["dev"]["nDCG@10"] for row in trace if "dev" in row}
    assert list(looks) == [3, 6]
    assert metrics.values["steps"] == 6
    assert metrics.values["dev_reranking_nDCG@10"] == looks[6]
    assert metrics.values["queries"] == 18


def test_twice_gives_the_same_bytes_and_a_change_gives_others(ready: Any, tmp_path: Path) -> None:
    first = run(CONFIG, ready(), tmp_path / "first")
    assert run(CONFIG, ready(), tmp_path / "second") == first
    assert files(tmp_path / "second") == files(tmp_path / "first")
    run(changed(frozen_layers=1), ready(), tmp_path / "frozen")
    run(CONFIG, ready(seed=14), tmp_path / "seed")
    weights = {files(tmp_path / name)["model/model.safetensors"] for name in ("first", "frozen", "seed")}
    assert len(weights) == 3


@pytest.mark.parametrize("head", ["classifier", "segments", "uni", "beca"])
def test_stopped_and_run_again_it_gives_the_same_bytes(
    ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    """With the optimiser of the two rates, which is not the trainer's own."""
    config = changed(head=head)
    run(config, ready(), tmp_path / "undisturbed")
    with monkeypatch.context() as patch:
        stop_after(5, patch)
        with pytest.raises(StopError):
            run(config, ready(), tmp_path / "out")
    for _ in ("resumed", "trained to the end, and stopped before it was published"):
        run(config, ready(), tmp_path / "out")
        assert files(tmp_path / "out") == files(tmp_path / "undisturbed")


def test_it_learns_to_tell_positives_from_negatives(ready: Any, tmp_path: Path) -> None:
    """Sixty steps: the mean loss over the last ten is below half of that over the first ten."""
    told = {"learning_rate": 3e-3, "head_learning_rate": None, "schedule": "constant_with_warmup", "batch_queries": 8}
    run(changed(steps=60, evaluate_every=None, save_every=100, **told), ready(), tmp_path / "out")
    losses = [json.loads(line)["loss"] for line in (tmp_path / "out" / "trace.jsonl").read_text().splitlines()]
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])


def test_without_a_judged_positive_there_is_nothing_to_teach(ready: Any, tmp_path: Path) -> None:
    rows = rows_of({"q0": [("d0", 3.0, None), ("d1", 2.0, 0)]})
    artifact = written(rows, tmp_path / "artifact" / "train").parent
    with pytest.raises(DataError) as error:
        run(CONFIG, ready(artifact), tmp_path / "out")
    assert str(error.value).startswith("there are no candidate lists to train on\n  where: split train\n")


def ranked(folder: Path, artifact: Path, collection: Any, *, gap: bool = False) -> Path:
    """The mined train lists without labels; a teacher that ranks a query's own document first, then by length."""
    rows = candidates.read(artifact / "train")
    texts = {d.doc_id: len(d.full_text) for d in collection.documents_by_id(sorted(set(rows["doc_id"].to_pylist())))}
    scores: list[float | None] = [1000.0 if q.lstrip("q") == d.lstrip("d") else float(texts[d]) for q, d in pairs(rows)]
    if gap:
        scores[3] = None
    without = rows.set_column(5, rows.schema.field("relevance"), pa.nulls(rows.num_rows, pa.int8()))
    return written(scored(without, "llm", scores, "rank"), folder / "train").parent


DISTILLED: dict[str, Any] = {
    "objective": [{"kind": "ranknet", "teacher": "llm", "student_scale": 1.0}],
    "unlabelled": "keep",
    "sampler": {"kind": "top_k", "num_negatives": 100},
    "evaluate_every": None,
}


@pytest.mark.parametrize("head", ["segments", "uni"])
def test_it_learns_the_order_of_another_teacher_without_a_label(ready: Any, tmp_path: Path, head: str) -> None:
    artifact = ranked(tmp_path / "ranked", ready().artifacts["mine"], ready().collection)
    told = {"learning_rate": 3e-3, "head_learning_rate": None, "schedule": "constant_with_warmup", "batch_queries": 8}
    config = changed(**DISTILLED, **told, head=head, steps=40, save_every=100)
    metrics = run(config, ready(artifact), tmp_path / "out")
    assert metrics.values["queries"] == 18
    assert metrics.rows_out + sum(metrics.rows_dropped.values()) == metrics.rows_in
    trace = [json.loads(line) for line in (tmp_path / "out" / "trace.jsonl").read_text().splitlines()]
    losses = [row["ranknet"] for row in trace]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


@pytest.mark.parametrize("term", ["bce", "score_mse"])
def test_it_copies_an_encoders_cosines_without_a_label(ready: Any, tmp_path: Path, term: str) -> None:
    """Trans-Encoder's first half: the loss falls towards the entropy of the targets, or towards 0. Lists of one teach too."""
    rows = candidates.read(ranked(tmp_path / "ranked", ready().artifacts["mine"], ready().collection) / "train")
    cosines = [0.9 if q.lstrip("q") == d.lstrip("d") else -0.2 for q, d in pairs(rows)]
    artifact = written(scored(rows, "bi", cosines, "cosine"), tmp_path / "artifact" / "train").parent
    objective = {"kind": term, "teacher": "bi", "mapping": "clip", **({} if term == "bce" else {"student": "sigmoid"})}
    told = {"learning_rate": 3e-3, "head_learning_rate": None, "schedule": "constant_with_warmup", "batch_queries": 8}
    config = changed(**{**DISTILLED, **told, "objective": [objective]}, head="segments", steps=30, save_every=100)
    run(config, ready(artifact), tmp_path / "out")
    trace = [json.loads(line) for line in (tmp_path / "out" / "trace.jsonl").read_text().splitlines()]
    losses = [row[term] for row in trace]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_a_second_stage_goes_on_from_the_first(ready: Any, inputs: MakeInputs, tmp_path: Path) -> None:
    """With no steps it is the first stage's model, head and all."""
    run(changed(head="uni", mask="arrow"), ready(), tmp_path / "first")
    again = inputs(ready().artifacts, {"base": tmp_path / "first" / "model"})
    run(changed(head="uni", mask="arrow", steps=0, evaluate_every=None), again, tmp_path / "second")
    for name in ("model.safetensors", "uni_head.safetensors", "uni_encoder.json"):
        assert (tmp_path / "second" / "model" / name).read_bytes() == (tmp_path / "first" / "model" / name).read_bytes()


def test_a_document_that_the_other_teacher_has_not_ranked_is_refused(ready: Any, tmp_path: Path) -> None:
    """It is null, which is neither the best nor the worst."""
    artifact = ranked(tmp_path / "ranked", ready().artifacts["mine"], ready().collection, gap=True)
    with pytest.raises(DataError) as error:
        run(changed(**DISTILLED), ready(artifact), tmp_path / "out")
    assert str(error.value).startswith(
        "1 training rows have no score of teacher 'llm'\n  where: query_id 'q0', doc_id "
    )


def test_ranks_are_no_logits(ready: Any, tmp_path: Path) -> None:
    artifact = ranked(tmp_path / "ranked", ready().artifacts["mine"], ready().collection)
    config = changed(**{**DISTILLED, "objective": [{"kind": "kl", "teacher": "llm"}]})
    with pytest.raises(ScaleError, match="the objective 'kl' cannot use the scores of teacher 'llm'"):
        run(config, ready(artifact), tmp_path / "out")


def test_labels_that_the_objective_needs_and_that_are_not_there(ready: Any, tmp_path: Path) -> None:
    artifact = ranked(tmp_path / "ranked", ready().artifacts["mine"], ready().collection)
    config = changed(**{**DISTILLED, "objective": list(CONFIG.objective)})
    with pytest.raises(
        DataError, match="the objective 'infonce' needs judged positives and the training rows have none"
    ):
        run(config, ready(artifact), tmp_path / "out")


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (
            {"objective": [{"kind": "infonce"}]},
            "the objective infonce reads scores of other queries' documents, and a model with head classifier scores a "
            "query's own candidates: set `in_batch: false`, or use `head: beca`",
        ),
        (
            {"head": "uni", "objective": [{"kind": "in_batch_kl", "model": "m"}]},
            "the objective in_batch_kl reads scores of other queries' documents, and a model with head uni scores a "
            "query's own candidates: set `in_batch: false`, or use `head: beca`",
        ),
        (
            {"head": "segments", "mask": "arrow"},
            "`mask` and `candidates_per_pass` are of `head: uni`; this head is segments",
        ),
    ],
)
def test_keys_that_do_not_fit_the_head(told: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as error:
        Config(candidates="mine", base="base", **told)
    assert message in str(error.value)


def test_what_it_gives_follows_the_head() -> None:
    given = {head: Config(candidates="mine", base="base", head=head).gives for head in ("segments", "uni", "beca")}
    assert given == {"segments": ("cross_encoder",), "uni": ("uni_encoder",), "beca": ("beca",)}
    assert {output for outputs in given.values() for output in outputs} == set(OUTPUTS)
