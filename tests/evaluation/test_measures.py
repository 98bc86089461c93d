"""Values per query, and the three public runs whose nDCG@10 is known."""

import math
import os
from pathlib import Path

import pytest

from retkd.errors import DataError
from retkd.evaluation.measures import measure_run_file, measured

DATA = Path(os.environ.get("RETKD_DATA", "../shared/data"))
MEASURES = ["nDCG@10", "MRR@10", "R@100"]


def test_values_worked_out_by_hand():
    qrels = {"q1": {"a": 2, "b": 1, "c": 0}, "q2": {"a": 1}}
    run = {"q1": [("c", 9.0), ("b", 8.0), ("x", 7.0), ("a", 6.0)], "q2": [("a", 1.0)]}
    values = measured([("s", run)], qrels, MEASURES)
    dcg = 1 / math.log2(3) + 2 / math.log2(5)
    ideal = 2 / math.log2(2) + 1 / math.log2(3)
    assert values.query_ids == ["q1", "q2"]
    assert values.of("s", "nDCG@10").tolist() == pytest.approx([dcg / ideal, 1.0])
    assert values.of("s", "MRR@10").tolist() == [0.5, 1.0]
    assert values.of("s", "R@100").tolist() == [1.0, 1.0]


def test_a_judged_query_without_results_counts_zero_and_an_unjudged_one_not_at_all():
    qrels = {"q1": {"a": 1}, "q2": {"b": 1}, "q3": {"c": 0}}
    values = measured([("s", {"q1": [("a", 1.0)], "q9": [("a", 1.0)], "q2": []})], qrels, MEASURES)
    assert values.query_ids == ["q1", "q2", "q3"]
    for measure in MEASURES:
        assert values.of("s", measure).tolist() == [1.0, 0.0, 0.0]


def test_ties_stay_as_the_run_ranks_them_by_every_provider():
    first, second = [("z", 1.0), ("a", 1.0)], [("a", 1.0), ("z", 1.0)]
    values = measured([("1", {"q": first}), ("2", {"q": second})], {"q": {"z": 1}}, ["nDCG@1", "MRR@10", "P@1"])
    assert values.values[0, :, 0].tolist() == [1.0, 1.0, 1.0]
    assert values.values[1, :, 0].tolist() == [0.0, 0.5, 0.0]


def test_nothing_judged_is_an_error():
    with pytest.raises(DataError, match="no query has judgements"):
        measured([("s", {})], {}, MEASURES)


@pytest.mark.parametrize(
    ("run", "qrels", "expected"),
    [("bm25.dl19", "dl19", 0.4795), ("colbert.dl19", "dl19", 0.7316), ("colbert.dl20", "dl20", 0.7254)],
)
def test_public_runs_have_their_known_ndcg(run, qrels, expected):
    folder = DATA / "trec-dl"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder.resolve()}: set RETKD_DATA")
    means = measure_run_file(folder / "runs" / f"{run}.run.gz", folder / "qrels" / f"{qrels}.tsv", ["nDCG@10"])
    assert round(means["nDCG@10"], 4) == expected
