"""The stage `evaluate` on tiny encoders, a real index and a scored candidates table."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from retkd import candidates, trec
from retkd.errors import DataError
from retkd.shards import shard_name
from retkd.stages import evaluate, index
from tests.tiny import tiny_encoder, tiny_inputs

SYSTEMS = {
    "student": {"kind": "dense", "model": "student", "index": "index"},
    "teacher": {"kind": "rerank", "candidates": "scored", "teacher": "oracle"},
    "bm25": {"kind": "candidates", "candidates": "scored"},
    "control": {"kind": "dense", "model": "control", "index": "control_index"},
}
SPLITS = ("dev", "test")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("evaluate")
    models = {"student": tiny_encoder(root / "student", seed=1), "control": tiny_encoder(root / "control", seed=2)}
    artifacts = {"index": root / "index", "control_index": root / "control_index", "scored": root / "scored"}
    inputs = tiny_inputs(root, models, artifacts, seed=5)
    for model, name in (("student", "index"), ("control", "control_index")):
        artifacts[name].mkdir()
        index.run(index.Config(model=model, recipe="flat"), inputs, artifacts[name])
    write_candidates(inputs.collection, artifacts["scored"])
    return inputs


def write_candidates(collection, folder):
    """Ten documents a query, the positive at rank 4, which the teacher `oracle` puts first."""
    for split in SPLITS:
        rows = []
        for query_id, judged in sorted(collection.qrels(split).items()):
            (positive,) = judged
            others = [f"d{n}" for n in range(60) if f"d{n}" != positive][:9]
            for rank, doc_id in enumerate([*others[:3], positive, *others[3:]], start=1):
                rows.append((query_id, doc_id, rank, 20.0 - rank, "bm25", judged.get(doc_id)))
        table = candidates.table(*zip(*rows, strict=True))
        relevant = table["relevance"].fill_null(0).to_numpy().astype(np.float32)
        path = folder / split / shard_name(0, 1)
        path.parent.mkdir(parents=True)
        candidates.write(candidates.with_teacher(table, "oracle", relevant, "logit"), path)


def run(inputs, out, **settings):
    out.mkdir(exist_ok=True)
    given = {"systems": SYSTEMS, "splits": list(SPLITS), "num_resamples": 400, "depth": 100, **settings}
    return evaluate.run(evaluate.Config(**given), inputs, out)


def told(out, name):
    return json.loads((out / f"{name}.json").read_text())


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def evaluated(inputs, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return out, run(inputs, out)


def test_every_system_is_measured_on_every_split(inputs, evaluated):
    out, metrics = evaluated
    measures = told(out, "measures")
    assert list(measures) == ["dev", "test"]
    assert list(measures["test"]) == ["bm25", "control", "teacher", "student"]
    line = measures["test"]["bm25"]["MRR@10"]
    assert (line["mean"], line["low"], line["high"], line["num_queries"]) == (0.25, 0.25, 0.25, 6)
    assert measures["test"]["teacher"]["nDCG@10"]["mean"] == 1.0
    assert measures["test"]["control"]["nDCG@10"]["p_value"] is None
    assert 0.0 < measures["test"]["teacher"]["nDCG@10"]["p_value"] <= 1.0
    assert (metrics.rows_in, metrics.rows_out, metrics.rows_dropped) == (12, 12, {"query without judgements": 0})
    assert metrics.values["test"]["teacher"] == 1.0
    assert metrics.truncation_rate == {"student": 0.0, "control": 0.0}
    assert metrics.timings["student.encode_ms_per_query"] > 0


def test_the_run_files_are_the_rankings_of_index_and_table(inputs, evaluated):
    from retkd.encoders.encoder import Encoder
    from retkd.indexing.search import open_index

    out, _ = evaluated
    queries = {query.query_id: query for query in inputs.collection.queries("test")}
    run = trec.read_run(out / "runs" / "test" / "student.run.gz")
    vectors = Encoder.load(inputs.models["student"].path).encode([queries[q].text for q in run], "query")
    _, expected = open_index(inputs.artifacts["index"]).search(vectors, 60)
    assert [[doc_id for doc_id, _ in ranking] for ranking in run.values()] == expected
    teacher = trec.read_run(out / "runs" / "test" / "teacher.run.gz")
    qrels = inputs.collection.qrels("test")
    assert all(ranking[0][0] in qrels[query_id] for query_id, ranking in teacher.items())


def test_other_tools_read_the_same_measures_from_the_run_files(inputs, evaluated):
    import ir_measures

    out, _ = evaluated
    for system in SYSTEMS:
        run = list(ir_measures.read_trec_run(str(out / "runs" / "test" / f"{system}.run.gz")))
        theirs = ir_measures.calc_aggregate([ir_measures.nDCG @ 10], inputs.collection.qrels("test"), run)
        ours = told(out, "measures")["test"][system]["nDCG@10"]["mean"]
        assert ours == pytest.approx(theirs[ir_measures.nDCG @ 10])


def test_per_query_values_average_to_the_means(evaluated):
    out, _ = evaluated
    rows = pq.read_table(out / "per_query.parquet")
    assert rows.column_names == ["split", "system", "measure", "query_id", "value"]
    assert rows.num_rows == (6 + 6) * 4 * 3
    frame = rows.to_pylist()
    values = [r["value"] for r in frame if (r["split"], r["system"], r["measure"]) == ("test", "student", "nDCG@10")]
    assert np.mean(values) == pytest.approx(told(out, "measures")["test"]["student"]["nDCG@10"]["mean"])


def test_gap_won_and_lost_scores_and_protocol(inputs, evaluated):
    out, _ = evaluated
    gap, measures = told(out, "gap")["test"], told(out, "measures")["test"]
    assert gap["measure"] == "nDCG@10"
    assert gap["teacher"] == 1.0
    distance = measures["student"]["nDCG@10"]["mean"] - measures["control"]["nDCG@10"]["mean"]
    assert gap["closed"] == pytest.approx(distance / (1.0 - gap["control"]))
    assert gap["p_value"] == measures["student"]["nDCG@10"]["p_value"]
    won_lost = told(out, "won_lost")["test"]
    assert won_lost["num_won"] + won_lost["num_lost"] + won_lost["num_tied"] == 6
    for example in won_lost["won"] + won_lost["lost"]:
        assert example["values"]["student"] - example["values"]["control"] == pytest.approx(example["difference"])
        assert example["positive"]["grade"] == 1
        assert example["positive"]["text"]
        assert example["query"]
        assert set(example["top"]) == set(SYSTEMS)
    assert set(told(out, "scores")["test"]) == {"student", "control"}
    protocol = told(out, "protocol")
    assert protocol["queries"] == {"dev": {"evaluated": 6, "all": 6}, "test": {"evaluated": 6, "all": 6}}
    assert (protocol["seed"], protocol["confidence"]) == (5, 0.95)


def test_the_same_inputs_give_the_same_bytes_whatever_was_left_behind(inputs, evaluated, tmp_path):
    out, _ = evaluated
    (tmp_path / "runs" / "test").mkdir(parents=True)
    whole = (out / "runs" / "test" / "student.run.gz").read_bytes()
    (tmp_path / "runs" / "test" / "student.run.gz").write_bytes(whole)
    (tmp_path / "measures.json").write_text("{half")
    run(inputs, tmp_path, systems=dict(reversed(SYSTEMS.items())))
    assert contents(tmp_path) == contents(out)


def test_another_seed_moves_intervals_and_not_means(inputs, evaluated, tmp_path):
    run(replace(inputs, seed=6), tmp_path)
    ours, theirs = (told(out, "measures")["test"]["student"]["MRR@10"] for out in (evaluated[0], tmp_path))
    assert ours["mean"] == theirs["mean"]


def test_a_split_without_candidates_is_an_error(inputs, tmp_path):
    with pytest.raises(DataError, match="no candidates here"):
        run(inputs, tmp_path, splits=["train"], systems={"bm25": SYSTEMS["bm25"]})


def test_a_teacher_that_never_scored_is_an_error(inputs, tmp_path):
    with pytest.raises(DataError, match="has no teacher 'orcale'") as error:
        run(inputs, tmp_path, systems={"teacher": {**SYSTEMS["teacher"], "teacher": "orcale"}})
    assert "did you mean 'oracle'" in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"measures": ["nDGC@10"]}, "there is no measure 'nDGC@10'. did you mean 'nDCG'"),
        ({"primary": "MRR@10", "measures": ["nDCG@10"]}, "`primary` MRR@10 is not among `measures`: nDCG@10"),
        ({"depth": 50}, "`depth` 50 is too small for R@100"),
        ({"systems": {}}, "nothing to evaluate"),
        ({"systems": {"bm25": SYSTEMS["bm25"]}, "controls": ["contrastive"]}, "copy systems.student"),
        ({"systems": {"student": SYSTEMS["student"]}, "controls": ["teacher"]}, "needs `teacher_scores"),
    ],
)
def test_a_config_that_cannot_be_run_says_why(settings, message):
    with pytest.raises(ValidationError, match=message.replace("(", "\\(").replace("{", "\\{")):
        evaluate.Config(**{"systems": SYSTEMS, **settings})


def test_rr_is_shown_as_mrr():
    config = evaluate.Config(systems=SYSTEMS, measures=["RR@10", "nDCG@10"], primary="RR@10")
    assert (config.measures, config.primary) == (["MRR@10", "nDCG@10"], "MRR@10")


def test_the_sparsity_of_a_split_that_a_killed_attempt_ranked_is_told_too(tmp_path):
    from retkd.encoders.sparse_encoder import SparseEncoder
    from tests.tiny import tiny_sparse_encoder

    models = {"splade": tiny_sparse_encoder(tmp_path / "splade")}
    inputs = tiny_inputs(tmp_path, models, {"index": tmp_path / "index"}, seed=5)
    (tmp_path / "index").mkdir()
    index.run(index.Config(model="splade", recipe="inverted"), inputs, tmp_path / "index")
    systems = {"student": {"kind": "sparse", "model": "splade", "index": "index"}}
    whole = run(inputs, tmp_path / "out", systems=systems)
    assert set(whole.values["sparsity"]) == {"dev", "test"}
    encoder = SparseEncoder.load(models["splade"])
    queries = encoder.represented([q.text for q in inputs.collection.queries("test")], "query").toarray() != 0
    documents = encoder.represented([d.full_text for d in inputs.collection.documents()], "document").toarray() != 0
    assert whole.values["sparsity"]["test"]["student"] == {
        "active_terms_per_query": pytest.approx(queries.sum(axis=1).mean(), abs=0.005),
        "active_terms_per_document": pytest.approx(documents.sum(axis=1).mean(), abs=0.005),
        "flops": pytest.approx(queries.mean(axis=0) @ documents.mean(axis=0), abs=0.00005),
    }
    again = run(inputs, tmp_path / "out", systems=systems)
    assert again.timings == {}
    assert again.values == whole.values
    (tmp_path / "out" / "work" / "sparsity" / "test" / "student.json").unlink()
    assert run(inputs, tmp_path / "out", systems=systems).values == whole.values
    before = contents(tmp_path / "out")
    assert not [name for name in before if "sparsity" in name.parts and name.parts[0] != "work"]
