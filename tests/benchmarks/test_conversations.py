"""Conversations made of questions: what is left out, what a turn is told with, and that retkd reads the folder."""

import json
from pathlib import Path

from benchmarks.conversations import elided, made_conversations
from retkd.collections.beir import Beir
from retkd.collections.conversation import Conversation


def test_names_that_were_said_before_are_left_out() -> None:
    said = "How many points did the Panthers surrender? When was Warsaw founded?"
    assert elided("Who led the Panthers in sacks?", said) == "Who led it in sacks?"
    assert elided("What is Warsaw's oldest church?", said) == "What is its oldest church?"
    assert elided("Who is Chopin?", said) == "Who is Chopin?"
    assert (
        elided("Warsaw lies where?", said) == "Warsaw lies where?"
    )  # the first word of a question has a capital anyway


def test_a_folder_of_conversations(tmp_path: Path) -> None:
    source, out = tmp_path / "xquad", tmp_path / "out"
    (source / "qrels").mkdir(parents=True)
    titles = ["Warsaw", "Oxygen", "Normans"]
    corpus = [{"_id": f"en-p{n}", "title": title, "text": f"About {title}."} for n, title in enumerate(titles)]
    corpus.append({"_id": "de-p0", "title": "", "text": "Über Warschau."})
    asked = {
        f"en-{n}{each}": f"When was {title} {verb}?"
        for n, title in enumerate(titles)
        for each, verb in enumerate(("found", "lost"))
    }
    queries = [{"_id": key, "text": text, "lang": "en"} for key, text in asked.items()]
    for name, rows in (("corpus", corpus), ("queries", [*queries, {"_id": "de-00", "text": "Wann?", "lang": "de"}])):
        (source / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judged = "".join(f"{key}\ten-p{key[3]}\t1\n" for key in asked)
    (source / "qrels" / "en-en.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)

    made_conversations(source, out)
    files = {split: out / f"{split}.jsonl" for split in ("train", "test")}
    told = Conversation(
        documents=Beir(path=out), topics=files, qrels={split: out / "qrels" / f"{split}.tsv" for split in files}
    )
    read = told.open(tmp_path / "cache")
    assert {split: [query.query_id for query in read.queries(split)] for split in files} == {
        "train": ["en-00", "en-01", "en-10", "en-11"],
        "test": ["en-20", "en-21"],
    }
    assert [query.text for query in read.queries("test")] == [
        "When was Normans found?",
        "When was it lost? [SEP] When was Normans found?",
    ]
    assert read.qrels("test") == {"en-20": {"en-p2": 1}, "en-21": {"en-p2": 1}}
    assert [document.doc_id for document in read.documents()] == ["en-p0", "en-p1", "en-p2"]
    second = told.model_copy(update={"query_text": "rewrite", "rewrite": "two"}).open(tmp_path / "cache")
    assert [query.text for query in second.queries("test")][1] == "Normans: When was Normans lost?"
