"""The comparison of rankings, by numbers worked out by hand."""

import numpy as np
import pytest

from retkd.errors import DataError, ParityError
from retkd.exporters.base import Limits
from retkd.exporters.parity import Vectors, compared, require, top10_overlap
from retkd.exporters.sample import Sample, sample
from tests.tiny import tiny_collection, tiny_inputs

DOCUMENTS = np.eye(12, dtype=np.float32)


def vectors(*queries):
    return Vectors(np.array(queries, dtype=np.float32), DOCUMENTS)


def falling(num: int = 12) -> list[float]:
    return [1 - 0.05 * i for i in range(num)]


def test_top10_overlap_counts_what_the_model_would_have_shown():
    swapped = falling()
    swapped[0], swapped[11] = swapped[11], swapped[0]
    assert top10_overlap(vectors(falling()), vectors(falling())) == 1.0
    assert top10_overlap(vectors(falling()), vectors(swapped)) == pytest.approx(0.9)
    assert top10_overlap(vectors(falling(), falling()), vectors(falling(), swapped)) == pytest.approx(0.95)


def test_a_tie_at_the_tenth_place_is_no_difference():
    model, export = falling(), falling()
    model[10] = model[9] - 1e-7
    export[10] = export[9] + 1e-7
    assert top10_overlap(vectors(model), vectors(export)) == 1.0


def test_every_broken_limit_is_named_with_both_values(tmp_path):
    told = {
        "max_difference": 0.5,
        "min_cosine": 0.7,
        "top10_overlap": 0.6,
        "measures": {"nDCG@10": {"model": 0.8, "export": 0.5}, "R@100": {"model": 1.0, "export": 1.0}},
    }
    with pytest.raises(ParityError) as error:
        require(told, Limits(), "onnx", tmp_path / "parity.json")
    assert str(error.value) == (
        "the export onnx does not rank as the model does\n"
        f"  where: {tmp_path / 'parity.json'}\n"
        "  seen: nDCG@10 is 0.8000 by the model and 0.5000 by the export; top10 overlap 0.6000; lowest cosine 0.7000; "
        "vectors differ by up to 0.5\n"
        "  allowed: a measure may differ by 0.001 (max_measure_difference); top10 overlap of at least 0.999; "
        "lowest cosine of at least 0.9999; vectors may differ by 0.001 (max_difference)\n"
        "  consequence: what was evaluated is not what would be served\n"
        "  next step: mend the export, or loosen `parity` of the target onnx if this loss is acceptable"
    )


def test_a_number_that_is_not_finite_breaks_the_limits(tmp_path):
    both = Vectors(DOCUMENTS[:1], DOCUMENTS)
    broken = Vectors(np.full((1, 12), np.nan, dtype=np.float32), DOCUMENTS)
    taken = Sample({"q": "q"}, {f"d{i}": "d" for i in range(12)}, {"q": {"d0": 1}})
    told = compared(both, broken, taken, lambda runs, qrels: {name: {"R@1": 1.0} for name in runs})
    with pytest.raises(ParityError, match="lowest cosine nan"):
        require(told, Limits(), "onnx", tmp_path)


def test_vectors_that_are_zero_in_both_are_equal():
    """A sparse encoder may leave a text without a term; one that only the export leaves so is a loss."""
    taken = Sample({"q": "q"}, {f"d{i}": "d" for i in range(12)}, {"q": {"d0": 1}})
    some = DOCUMENTS.copy()
    some[3] = 0.0

    def told(model, export):
        measure = lambda runs, qrels: {name: {"R@1": 1.0} for name in runs}  # noqa: E731
        return compared(Vectors(DOCUMENTS[:1], model), Vectors(DOCUMENTS[:1], export), taken, measure)["min_cosine"]

    assert told(some, some) == 1.0
    assert told(DOCUMENTS, some) == 0.0


def test_the_sample_has_every_judged_document_and_seeded_others(tmp_path):
    collection = tiny_inputs(tmp_path, {}).collection
    taken = sample(collection, "train", max_queries=5, max_documents=10, seed=0)
    assert len(taken.queries) == 5
    assert {doc_id for judged in taken.qrels.values() for doc_id in judged} <= set(taken.documents)
    everything = sample(collection, "train", max_queries=500, max_documents=1000, seed=0)
    assert (len(everything.queries), len(everything.documents)) == (18, 60)
    few = everything.first(3)
    assert len(few.queries) == 3
    assert {doc_id for judged in few.qrels.values() for doc_id in judged} <= set(few.documents)


def test_a_split_without_judgements_is_refused(tmp_path):
    folder = tiny_collection(tmp_path / "collection")
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n")
    with (folder / "queries.jsonl").open("a") as queries:
        queries.write('{"_id": "unjudged", "text": "baban", "split": "test"}\n')
    with pytest.raises(DataError) as error:
        sample(tiny_inputs(tmp_path, {}).collection, "test", 5, 10, 0)
    assert str(error.value) == (
        "the split test has no judged query to compare an export on\n"
        "  seen: 1 queries, none judged\n"
        "  next step: name another split in the export stage's `split`; there are dev, test, train"
    )
