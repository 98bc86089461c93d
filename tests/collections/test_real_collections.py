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


def test_german_queries_of_the_captions_tell_their_language(real_data, cache):
    collection = Beir(path=real_data / "flickr30k-captions").open(cache)
    german = collection.queries("dev-de")
    judged = collection.qrels("dev")
    english = [query for query in collection.queries("dev") if query.query_id in judged]
    assert (len(german), len(english)) == (5070, 4056)
    assert ({q.language for q in german}, {q.language for q in english}) == ({"de"}, {"en"})
    assert {d for row in collection.qrels("dev-de").values() for d in row} == {
        d for row in collection.qrels("dev").values() for d in row
    }


def test_languages_of_xquad_stand_in_its_ids(real_data, cache):
    collection = Beir(path=real_data / "xquad-clir", id_language="^(..)-").open(cache)
    assert {q.language for q in collection.queries("de-en")} == {"de"}
    assert {d.language for d in collection.documents(0, 240)} == {"en"}
    assert len({d.language for d in collection.documents()}) == 12
