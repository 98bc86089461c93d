"""MS MARCO's tab-separated files."""

import re

import pytest

from retkd.collections.base import Document, Query
from retkd.collections.msmarco import MsMarco, MsMarcoSplit
from retkd.errors import DataError
from tests.collections.conftest import written, zipped

FILES = {
    "collection.tsv": "0\tThe presence of communication\n1\tThe Manhattan Project\n10\tA tab\tinside\n",
    "queries.train.tsv": "121352\tdefine extreme\n634306\twhat is it\n9\tnever judged\n",
    "queries.dev.small.tsv": "1048585\twhat is paula deen's brother\n",
    "qrels.train.tsv": "121352\t0\t10\t1\n634306\t0\t1\t1\n",
    "qrels.dev.small.tsv": "1048585 0 0 1\n",
}
DL19 = {"msmarco-test2019-queries.tsv": "19335\tanthropology\n", "2019qrels-pass.txt": "19335 Q0 1 3\n19335 Q0 0 0\n"}


def test_official_files(tmp_path, cache):
    collection = MsMarco(path=written(tmp_path / "m", FILES)).open(cache)
    assert collection.splits == ("train", "dev")
    assert list(collection.documents(1)) == [Document("1", "The Manhattan Project"), Document("10", "A tab\tinside")]
    assert next(iter(collection.documents_by_id(["10", "0"]))).text == "A tab\tinside"
    assert collection.queries("train") == [Query("121352", "define extreme"), Query("634306", "what is it")]
    assert collection.qrels("dev") == {"1048585": {"0": 1}}


def test_other_splits_and_unjudged_queries(tmp_path, cache):
    splits = {
        "train": MsMarcoSplit(queries="queries.train.tsv", qrels="qrels.train.tsv", judged_only=False),
        "unlabelled": MsMarcoSplit(queries="queries.train.tsv"),
        "test": MsMarcoSplit(queries="msmarco-test2019-queries.tsv", qrels="2019qrels-pass.txt"),
    }
    folder = written(tmp_path / "m", FILES | DL19)
    collection = MsMarco(path=folder, splits=splits).open(cache)
    assert len(collection.queries("train")) == len(collection.queries("unlabelled")) == 3
    assert collection.qrels("unlabelled") == {}
    assert collection.qrels("test") == {"19335": {"1": 3, "0": 0}}
    judged = MsMarco(path=folder, splits=splits | {"train": splits["train"].model_copy(update={"judged_only": True})})
    assert judged.open(cache).digest != collection.digest


def test_gz_equals_plain(tmp_path, cache):
    folder = written(tmp_path / "m", FILES)
    plain, packed = MsMarco(path=folder).open(cache), MsMarco(path=zipped(folder, tmp_path / "gz")).open(cache)
    assert packed.digest == plain.digest
    assert list(packed.documents_by_id(["1", "0"])) == list(plain.documents_by_id(["1", "0"]))
    assert packed.queries("train") == plain.queries("train")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"collection.tsv": "0\ta\n1 b\n"},
            r"the line is not a passage\n  where: .*collection\.tsv, line 2\n  seen: '1 b'",
        ),
        ({"collection.tsv": "0\ta\n0\tb\n"}, r"two lines have the same id\n  where: .*collection\.tsv, lines 1 and 2"),
        (
            {"queries.train.tsv": "1\n"},
            r"the line is not a query\n  where: .*queries\.train\.tsv, line 1\n.*\n  allowed: an id, a tab",
        ),
        (
            {"qrels.train.tsv": "121352\t0\t11\t1\n"},
            r"unknown document\n  where: .*qrels\.train\.tsv, line 1\n  seen: '11'",
        ),
    ],
)
def test_malformed_files_are_refused(tmp_path, cache, changed, message):
    with pytest.raises(DataError) as error:
        MsMarco(path=written(tmp_path / "m", FILES | changed)).open(cache).queries("train")
    assert re.search(message, str(error.value)), str(error.value)


def test_missing_files_are_named(tmp_path, cache):
    with pytest.raises(DataError) as error:
        MsMarco(path=written(tmp_path / "m", FILES | {"qrels.dev.small.tsv": None})).open(cache)
    assert "no file qrels.dev.small.tsv" in str(error.value)
    assert "allowed: collection.tsv, queries.train.tsv, qrels.train.tsv, queries.dev.small.tsv" in str(error.value)
