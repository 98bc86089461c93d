"""The real collections, when they are there (RETKD_DATA)."""

import pytest

from retkd.collections.beir import Beir


@pytest.mark.parametrize(
    ("name", "documents", "queries"),
    [
        ("msmarco-mini", 11809, {"train": 415, "dev": 74}),
        ("cranfield", 1400, {"test": 225}),
        ("vaswani-npl", 11429, {"test": 93}),
        ("cosqa", 6267, {"dev": 500}),
    ],
)
def test_sizes(real_data, cache, name, documents, queries):
    collection = Beir(path=real_data / name).open(cache)
    assert collection.num_documents == documents
    assert {split: len(collection.queries(split)) for split in queries} == queries
    judged = {doc_id for split in queries for row in collection.qrels(split).values() for doc_id in row}
    assert [d.doc_id for d in collection.documents_by_id(sorted(judged))] == sorted(judged)


def test_msmarco_mini_has_training_queries_without_judgements(real_data, cache):
    collection = Beir(path=real_data / "msmarco-mini").open(cache)
    assert len(collection.queries("train")) - len(collection.qrels("train")) == 60
