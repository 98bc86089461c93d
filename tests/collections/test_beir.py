"""BEIR folders: what is read, and what is refused with which words."""

import gzip
import pickle
import random
import re

import pytest

from retkd.collections import COLLECTIONS
from retkd.collections.base import Collection, Document, Query
from retkd.collections.beir import Beir
from retkd.errors import DataError
from tests.collections.conftest import CORPUS, QUERIES, TRAIN, zipped


def opened(folder, cache, **options):
    return Beir(path=folder, **options).open(cache)


def test_documents_stream_in_file_order_with_string_ids(beir_folder, cache):
    documents = list(opened(beir_folder(), cache).documents())
    assert [d.doc_id for d in documents] == ["d1", "d2", "3", "d4"]
    assert documents[0] == Document("d1", "Cats sleep all day.", "Cats")
    assert documents[3].text == "A line\u2028separator and a tab\tinside."


def test_splits_are_qrels_files_and_labelled_queries_join_them(beir_folder, cache):
    collection = opened(beir_folder(), cache)
    assert collection.splits == ("dev", "train")
    assert collection.queries("train") == [
        Query("q2", "who barks"),
        Query("q1", "who sleeps"),
        Query("q3", "nobody judged this"),
    ]
    assert [q.query_id for q in collection.queries("dev")] == ["q1", "q4"]
    assert collection.qrels("train") == {"q2": {"d2": 2, "3": 0}, "q1": {"d1": 1}}


def test_qrels_option_renames_and_chooses(beir_folder, cache):
    collection = opened(beir_folder(), cache, qrels={"test": "dev"})
    assert collection.splits == ("test",)
    assert [q.query_id for q in collection.queries("test")] == ["q1", "q4"]


def test_a_label_without_a_qrels_file_makes_no_split(beir_folder, cache):
    assert opened(beir_folder(dev=None), cache).splits == ("train",)


def test_a_header_alone_serves_a_split_of_unjudged_queries(beir_folder, cache):
    collection = opened(beir_folder(dev="query-id\tcorpus-id\tscore\n"), cache)
    assert [q.query_id for q in collection.queries("dev")] == ["q4"]
    assert collection.qrels("dev") == {}


def test_by_id_agrees_with_streaming_in_any_order(tmp_path, beir_folder, cache):
    dice = random.Random(0)
    texts = ["\n" * dice.randrange(2) + "x" * dice.randrange(50) for _ in range(500)]
    lines = [
        f'{{"_id": "id{n}", "text": "{len(t)} {t.strip()}"}}' + "\n" * dice.choice([1, 1, 2])
        for n, t in enumerate(texts)
    ]
    collection = opened(beir_folder(corpus="".join(lines), train=None, dev="q1\tid7\t1"), cache)
    streamed = list(collection.documents())
    assert len(streamed) == collection.num_documents == 500
    asked = dice.choices(streamed, k=800)
    assert list(collection.documents_by_id(d.doc_id for d in asked)) == asked
    for _ in range(30):
        start, stop = dice.randrange(510), dice.randrange(510)
        assert list(collection.documents(start, stop)) == streamed[start:stop]


def test_which_documents_there_are(beir_folder, cache):
    """By lookup, and as a collection without one finds it."""
    collection = opened(beir_folder(), cache)
    ids = ["d2", "nowhere", "d1", "d2", ""]
    assert collection.contains(ids) == Collection.contains(collection, ids) == [True, False, True, True, False]
    assert collection.contains([]) == []


def test_gz_equals_plain(tmp_path, beir_folder, cache):
    folder = beir_folder()
    plain, packed = opened(folder, cache), opened(zipped(folder, tmp_path / "gz"), tmp_path / "other cache")
    assert packed.digest == plain.digest
    assert packed.splits == plain.splits
    assert list(packed.documents()) == list(plain.documents())
    assert list(packed.documents_by_id(["3", "d1"])) == list(plain.documents_by_id(["3", "d1"]))
    assert all(packed.queries(s) == plain.queries(s) and packed.qrels(s) == plain.qrels(s) for s in plain.splits)


def test_digest_follows_content_and_not_place(tmp_path, beir_folder, cache):
    digest = opened(beir_folder(), cache).digest
    assert opened(beir_folder("elsewhere"), cache).digest == digest
    changes = {"corpus": CORPUS + "\n", "queries": QUERIES + "\n", "train": TRAIN + "\n", "dev": None}
    others = [opened(beir_folder(f"changed-{key}", **{key: text}), cache).digest for key, text in changes.items()]
    assert len({digest, *others}) == 5


def test_opening_again_reads_neither_corpus_nor_queries(beir_folder, cache, monkeypatch):
    folder = beir_folder()
    first = list(opened(folder, cache).documents())
    monkeypatch.setattr("retkd.collections.document_store.write_index", None)
    assert list(opened(folder, cache).documents()) == first


def test_an_opened_collection_goes_to_another_process(beir_folder, cache):
    collection = opened(beir_folder(), cache)
    first = list(collection.documents_by_id(["d2"]))
    assert list(pickle.loads(pickle.dumps(collection)).documents_by_id(["d2"])) == first


def test_empty_texts_are_counted(beir_folder, cache):
    assert opened(beir_folder(), cache).describe() == {
        "documents": 4,
        "documents without text": 1,
        "queries": {"dev": 2, "train": 3},
        "judgements": {"dev": 1, "train": 3},
    }


def test_samples_are_nested_and_deterministic(beir_folder, cache):
    queries = "".join(f'{{"_id": "q{n}", "text": "query {n}"}}\n' for n in range(1, 101))
    folder = beir_folder(queries=queries, train="".join(f"q{n}\td1\t1\n" for n in range(1, 101)))
    samples = [opened(folder, cache, sample={"train": n}).queries("train") for n in (5, 20, 20, 100, 1000)]
    ids = [[q.query_id for q in sample] for sample in samples]
    assert [len(each) for each in ids] == [5, 20, 20, 100, 100]
    assert set(ids[0]) < set(ids[1]) < set(ids[3])
    assert ids[1] == ids[2] == sorted(ids[1], key=lambda query_id: int(query_id[1:]))
    small = opened(folder, cache, sample={"train": 5})
    assert list(small.qrels("train")) == ids[0]
    assert small.all_splits_digest != opened(folder, cache).all_splits_digest
    assert small.digest == opened(folder, cache).digest


def test_a_byte_order_mark_and_windows_line_ends_are_passed_over(beir_folder, cache):
    folder = beir_folder("windows", corpus="\ufeff" + CORPUS.replace("\n", "\r\n"), train=TRAIN.replace("\n", "\r\n"))
    plain = opened(beir_folder(), cache)
    windows = opened(folder, cache)
    assert list(windows.documents()) == list(plain.documents())
    assert windows.qrels("train") == plain.qrels("train")


ONE = '{"_id": "d1", "text": "a"}\n'


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"corpus": ONE + '{"_id": "d2", "text": "b"\n'},
            r"the line is not JSON: Expecting ',' delimiter at column 26\n"
            r"  where: .*corpus\.jsonl, line 2\n"
            r"  seen: '\{\"_id\": \"d2\", \"text\": \"b\"'\n"
            r"  allowed: one JSON object per line\n"
            r"  next step: mend or remove this line",
        ),
        ({"corpus": ONE + "[1]\n"}, r"not a JSON object\n  where: .*corpus\.jsonl, line 2\n  seen: \[1\]"),
        (
            {"corpus": '{"id": "d1", "text": ""}'},
            r'has no key "_id"\n.*line 1\n  seen: \'id\', \'text\'\n  allowed: "_id"',
        ),
        ({"corpus": '{"_id": "d1", "body": ""}'}, r'has no key "text"\n.*line 1\n  seen: \'_id\', \'body\''),
        ({"corpus": '{"_id": true, "text": ""}'}, r'"_id" is not an id\n.*line 1\n  seen: True\n  allowed: a string'),
        ({"corpus": '{"_id": "", "text": ""}'}, r'"_id" is not an id\n.*line 1\n  seen: \'\''),
        ({"corpus": '{"_id": "d1", "text": null}'}, r'"text" is not a string\n.*line 1\n  seen: None'),
        ({"corpus": '{"_id": "d1", "text": "\\ud800"}'}, r'"text" has half a surrogate pair.*\n.*line 1'),
        ({"corpus": ""}, r"the corpus is empty\n  where: .*corpus\.jsonl\n.*\n  allowed: at least one document"),
        ({"corpus": "\n\n"}, r"the corpus is empty"),
        (
            {"corpus": ONE + "\n" + ONE},
            r"two lines have the same id\n  where: .*corpus\.jsonl, lines 1 and 3\n  seen: 'd1'\n"
            r"  allowed: each id once\n  next step: remove one",
        ),
        ({"queries": QUERIES + '{"_id": "q1", "text": "again"}'}, r"same id\n  where: .*queries\.jsonl, lines 2 and 5"),
        (
            {"queries": '{"_id": "q1", "text": " "}'},
            r"the query has no text\n  where: .*queries\.jsonl, line 1\n  seen: 'q1'",
        ),
        (
            {"train": "q1\td1\n"},
            r"the row has 2 columns\n  where: .*train\.tsv, line 1\n  seen: 'q1\\td1'\n  allowed: query_id",
        ),
        (
            {"train": "q1\td1\t1\nq1\td2\t0.5\n"},
            r"the grade is not an integer from -128 to 127\n  where: .*train\.tsv, line 2\n  seen: '0\.5'",
        ),
        ({"train": "q1\td1\t1000\n"}, r"the grade is not an integer from -128 to 127\n.*\n  seen: '1000'"),
        ({"train": "q1\td1\t1\n" + TRAIN}, r"a header stands below the first line\n  where: .*train\.tsv, line 2"),
        (
            {"train": TRAIN + "q1\td9\t1\n"},
            r"the row names an unknown document\n  where: .*train\.tsv, line 5\n  seen: 'd9'\n"
            r"  allowed: ids of the corpus\n  consequence: .*\n  next step: remove the row, or add the document",
        ),
        (
            {"train": TRAIN + "q9\td1\t1\n"},
            r"the row names an unknown query\n  where: .*train\.tsv, line 5\n  seen: 'q9'",
        ),
        (
            {"train": TRAIN + "q1\td1\t0\n"},
            r"the pair was judged before, with another grade\n  where: .*line 5\n"
            r"  seen: query 'q1', document 'd1': 1, now 0",
        ),
        (
            {"train": "", "queries": '{"_id": "q1", "text": "x"}'},
            r"the split 'train' has no queries\n  where: .*\n  seen: 1 queries, 0 of them judged in .*train\.tsv",
        ),
    ],
)
def test_malformed_content_is_refused(beir_folder, cache, changed, message):
    with pytest.raises(DataError) as error:
        opened(beir_folder(dev=None, **changed), cache).queries("train")
    assert re.search(message, str(error.value)), str(error.value)


def test_bytes_that_are_not_utf8_are_refused(beir_folder, cache):
    folder = beir_folder()
    (folder / "corpus.jsonl").write_bytes(b'{"_id": "d1", "text": "caf\xe9"}\n')
    with pytest.raises(DataError, match=r"the line is not UTF-8\n  where: .*line 1\n  seen: .*caf\\xe9"):
        list(opened(folder, cache).documents())


@pytest.mark.parametrize("missing", ["corpus", "queries"])
def test_a_missing_file_is_named_with_those_expected(beir_folder, cache, missing):
    with pytest.raises(DataError) as error:
        opened(beir_folder(**{missing: None}), cache)
    assert f"the collection has no file {missing}.jsonl" in str(error.value)
    assert "allowed: corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv, each also as .gz" in str(error.value)


def test_a_missing_folder_is_told(tmp_path, cache):
    with pytest.raises(DataError, match="seen: no such folder"):
        opened(tmp_path / "nowhere", cache)


def test_missing_qrels_are_told(beir_folder, cache):
    with pytest.raises(DataError, match=r"the collection has no qrels\n  where: .*qrels\n  seen: no \.tsv file"):
        opened(beir_folder(train=None, dev=None), cache)
    with pytest.raises(
        DataError, match=r"names a file that is not there: 'devv'\n.*\n.*\n.*\n  next step: did you mean 'dev'"
    ):
        opened(beir_folder("other"), cache, qrels={"test": "devv"})


def test_unknown_ids_and_splits_are_named(beir_folder, cache):
    collection = opened(beir_folder(), cache)
    with pytest.raises(
        DataError, match=r"2 document ids are not in the collection\n.*\n  seen: 'x', 'y'\n  allowed: ids of its 4"
    ):
        collection.documents_by_id(["d1", "x", "y"])
    with pytest.raises(
        DataError, match=r"has no split 'trian'\n  seen: trian\n  allowed: dev, train\n  next step: did you mean"
    ):
        collection.queries("trian")
    with pytest.raises(DataError, match="has no split 'test'"):
        assert opened(beir_folder("again"), cache, sample={"test": 3}).all_splits_digest


def test_a_damaged_gzip_is_told(tmp_path, beir_folder, cache):
    packed = zipped(beir_folder(), tmp_path / "gz")
    corpus = packed / "corpus.jsonl.gz"
    corpus.write_bytes(corpus.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"the gzip file is cut short or damaged\n  where: .*corpus\.jsonl\.gz"):
        assert opened(packed, cache).digest


def test_errors_in_gz_name_the_gz_file(tmp_path, beir_folder, cache):
    packed = zipped(beir_folder(), tmp_path / "gz")
    with gzip.open(packed / "corpus.jsonl.gz", "wt") as corpus:
        corpus.write(ONE + "{")
    with pytest.raises(DataError, match=r"where: .*corpus\.jsonl\.gz, line 2"):
        list(opened(packed, cache).documents())


def test_kinds():
    assert list(COLLECTIONS) == [
        "beir",
        "ir_datasets",
        "msmarco",
        "huggingface",
        "pycode",
        "translations",
        "conversation",
    ]
