"""Run and judgement files."""

import gzip

import numpy as np
import pytest

from retkd import trec
from retkd.errors import DataError


def test_a_run_comes_back_as_it_was_ranked(tmp_path):
    run = {"q2": [("d1", 3.5), ("d 9", 3.5), ("d0", -1.0)], "q1": [("d1", 0.1)]}
    trec.write_run(run, tmp_path / "a.run.gz", "tag")
    back = trec.read_run(tmp_path / "a.run.gz")
    assert {q: [d for d, _ in rows] for q, rows in back.items()} == {"q2": ["d1", "d 9", "d0"], "q1": ["d1"]}
    assert list(back) == ["q2", "q1"]
    assert back["q2"][0][1] == 3.5 > back["q2"][1][1] > 3.499999


def test_ties_are_broken_by_one_float32_so_that_other_tools_agree(tmp_path):
    ir_measures = pytest.importorskip("ir_measures")
    ranking = [(f"d{i}", 1.0) for i in range(9)]
    trec.write_run({"q": ranking}, tmp_path / "a.run", "tag")
    theirs = sorted(ir_measures.read_trec_run(str(tmp_path / "a.run")), key=lambda row: -np.float32(row.score))
    assert [row.doc_id for row in theirs] == [doc_id for doc_id, _ in ranking]


def test_the_same_run_gives_the_same_bytes(tmp_path):
    run = {"q": [("d1", 2.0), ("d2", 1.0)]}
    trec.write_run(run, tmp_path / "a.run.gz", "tag")
    (tmp_path / "other").mkdir()
    trec.write_run(run, tmp_path / "other" / "b.run.gz", "tag")
    assert (tmp_path / "a.run.gz").read_bytes() == (tmp_path / "other" / "b.run.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.run.gz").read_bytes()) == b"q\tQ0\td1\t1\t2.0\ttag\nq\tQ0\td2\t2\t1.0\ttag\n"
    assert not list(tmp_path.glob(".*tmp*"))


def test_rank_orders_a_run_and_equal_ranks_keep_the_files_order(tmp_path):
    path = tmp_path / "a.run"
    path.write_text("q Q0 d3 3 1.0 t\nq Q0 d1 1 2.0 t\nq Q0 d2 2 2.0 t\np Q0 d5 0 7 t\np Q0 d4 0 7 t\n")
    assert trec.read_run(path) == {"q": [("d1", 2.0), ("d2", 2.0), ("d3", 1.0)], "p": [("d5", 7.0), ("d4", 7.0)]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("q Q0 d 1 2.0\n", ["malformed run line", "a.run:1", "q Q0 d 1 2.0", "query_id Q0 doc_id rank score tag"]),
        ("q Q0 d 1 2.0 t\nq Q0 e x 1 t\n", ["malformed run line", "a.run:2"]),
        ("q Q0 d 1 nan t\n", ["a score is not finite", "a.run:1"]),
        ("q Q0 d 1 -1e300 t\n", ["a score is not finite", "a.run:1", "32 bits"]),
        (
            "q Q0 d 1 2.0 t\nq Q0 d 2 1.0 t\n",
            ["ranks a document twice", "a.run:2", "query_id 'q', doc_id 'd': also on line 1"],
        ),
        (
            "q Q0 d 1 2.0 t\nq Q0 e 2 3.0 t\n",
            ["contradict its scores", "a.run:2", "'e' (3.0) is ranked below 'd' (2.0)", "next step"],
        ),
    ],
)
def test_a_bad_run_says_what_and_where(tmp_path, text, told):
    (tmp_path / "a.run").write_text(text)
    with pytest.raises(DataError) as error:
        trec.read_run(tmp_path / "a.run")
    assert all(part in str(error.value) for part in told), str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.run", b"q Q0 d1 1 2.0 t\nq Q0 \xff 2 1.0 t\n", "a.run, line 2"),
        ("a.run.gz", b"q Q0 d1 1 2.0 t\n", "the gzip file is cut short or damaged"),
        ("b.run.gz", gzip.compress(b"q Q0 d1 1 2.0 t\n" * 9, mtime=0)[:-9], "the gzip file is cut short or damaged"),
    ],
)
def test_bytes_that_are_no_text_are_told(tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        trec.read_run(tmp_path / name)
    assert told in str(error.value)


def test_a_missing_run_is_named(tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        trec.read_run(tmp_path / "none.run")


def test_judgements_of_trec_and_of_beir(tmp_path):
    qrels = {"q1": {"d1": 2, "d2": 0}, "q2": {"d1": -1}}
    trec.write_qrels(qrels, tmp_path / "a.qrels.gz")
    assert trec.read_qrels(tmp_path / "a.qrels.gz") == qrels
    (tmp_path / "b.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td 2\t0\n")
    assert trec.read_qrels(tmp_path / "b.tsv") == {"q1": {"d1": 2, "d 2": 0}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("q1 0 d1 high\n", ["malformed judgement", "a.qrels:1", "q1 0 d1 high"]),
        ("q1 d1\n", ["malformed judgement"]),
        ("q 0 d 1\nq 0 d 2\n", ["judged twice", "a.qrels:2", "1 and 2"]),
    ],
)
def test_a_bad_judgement_says_what_and_where(tmp_path, text, told):
    (tmp_path / "a.qrels").write_text(text)
    with pytest.raises(DataError) as error:
        trec.read_qrels(tmp_path / "a.qrels")
    assert all(part in str(error.value) for part in told), str(error.value)
