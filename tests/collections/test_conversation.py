"""Conversations: topic files of CAsT and iKAT, JSON lines, and what of a conversation is a query's text."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from retkd.collections.conversation import Conversation
from retkd.collections.topics import read_turns
from retkd.collections.turns import QueryText, Turn
from retkd.errors import DataError
from tests.tables import beir

LINEAR = [  # as CAsT 2020 and 2021
    {
        "number": 106,
        "turn": [
            {
                "number": 1,
                "raw_utterance": "what is a cat",
                "manual_rewritten_utterance": "what is a cat",
                "automatic_rewritten_utterance": "cat?",
                "passage": "An animal.",
                "canonical_result_id": "D1",
                "passage_id": 7,
            },
            {
                "number": 2,
                "raw_utterance": "does it bark",
                "manual_rewritten_utterance": "does a cat bark",
                "automatic_rewritten_utterance": "does an animal bark",
            },
        ],
    }
]
IKAT = [
    {
        "number": "9-1",
        "title": "animals",
        "ptkb": {"1": "I have a dog."},
        "turns": [
            {"turn_id": 1, "utterance": "a pet?", "resolved_utterance": "which pet?", "response": "A cat."},
            {"turn_id": 2, "utterance": "why?", "resolved_utterance": "why a cat?", "response": "No barking."},
        ],
    }
]
TREE = [  # as CAsT 2022: 2-1 goes on from 1-2, beside 1-3
    {
        "number": 132,
        "turn": [
            {"number": "1-1", "participant": "User", "utterance": "one", "manual_rewritten_utterance": "ONE"},
            {"number": "1-2", "parent": "1-1", "participant": "System", "response": "first"},
            {
                "number": "1-3",
                "parent": "1-2",
                "participant": "User",
                "utterance": "two",
                "manual_rewritten_utterance": "TWO",
            },
            {"number": "1-4", "parent": "1-3", "participant": "System", "response": "second"},
            {
                "number": "2-1",
                "parent": "1-2",
                "participant": "User",
                "utterance": "else",
                "manual_rewritten_utterance": "ELSE",
            },
        ],
    }
]


def file(folder: Path, name: str, content: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if name.endswith(".jsonl"):
        path.write_text("".join(json.dumps(line) + "\n" for line in content))
    else:
        path.write_text(json.dumps(content, indent=1))
    return path


def test_a_linear_topic_file(tmp_path: Path) -> None:
    turns = read_turns(file(tmp_path, "cast.json", LINEAR))
    assert list(turns) == ["106_1", "106_2"]
    assert turns["106_2"] == Turn(
        "106_2",
        "does it bark",
        (("what is a cat", "An animal."),),
        {"manual": "does a cat bark", "automatic": "does an animal bark"},
    )


def test_an_ikat_file(tmp_path: Path) -> None:
    turns = read_turns(file(tmp_path, "ikat.json", IKAT))
    assert turns["9-1_2"] == Turn("9-1_2", "why?", (("a pet?", "A cat."),), {"resolved": "why a cat?"})


def test_a_tree_of_turns_and_the_same_flattened(tmp_path: Path) -> None:
    tree = read_turns(file(tmp_path, "tree.json", TREE))
    assert tree["132_1-3"].earlier == (("one", "first"),)
    assert tree["132_2-1"].earlier == (("one", "first"),)
    one = {"number": "1-1", "utterance": "one", "manual_rewritten_utterance": "ONE", "response": "first"}
    two = {"number": "1-3", "utterance": "two", "manual_rewritten_utterance": "TWO", "response": "second"}
    other = {"number": "2-1", "utterance": "else", "manual_rewritten_utterance": "ELSE"}
    flat = [{"number": 132, "turn": [one, two]}, {"number": 132, "turn": [one, other]}]
    assert read_turns(file(tmp_path, "flat.json", flat)) == tree


def test_a_path_that_differs_under_one_id_is_an_error(tmp_path: Path) -> None:
    one = {"number": "1-1", "utterance": "one"}
    path = file(
        tmp_path, "flat.json", [{"number": 1, "turn": [one]}, {"number": 1, "turn": [{**one, "utterance": "uno"}]}]
    )
    with pytest.raises(DataError) as error:
        read_turns(path)
    assert str(error.value) == (
        "two turns have the same id, and differ\n"
        f"  where: {path}, topic 2\n"
        "  seen: '1_1-1'\n"
        "  allowed: one conversation per id (a path through a tree of turns may repeat its beginning)\n"
        "  next step: give one of them another id"
    )


HALF = "has half a surrogate pair, which no tokeniser takes\n.*"
LINES = [
    {
        "_id": "c1",
        "turns": [
            {"text": "what is a cat", "response": "An animal.", "rewrite": "what is a cat"},
            {"_id": "own", "text": "does it bark", "rewrite": {"llama": "do cats bark", "mistral": "barking cats"}},
        ],
    },
    {"_id": "t9", "text": "and dogs", "history": ["cats?", "Yes.", "birds?", ""], "rewrite": "are dogs pets"},
]


def test_json_lines_of_conversations_and_of_single_turns(tmp_path: Path) -> None:
    turns = read_turns(file(tmp_path, "talk.jsonl", LINES))
    assert list(turns) == ["c1_1", "own", "t9"]
    assert turns["own"].earlier == (("what is a cat", "An animal."),)
    assert turns["own"].rewrites == {"llama": "do cats bark", "mistral": "barking cats"}
    assert turns["t9"] == Turn("t9", "and dogs", (("cats?", "Yes."), ("birds?", None)), {"rewrite": "are dogs pets"})


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (
            "a.jsonl",
            [{"_id": "x", "text": "a", "history": ["one"]}],
            "does not alternate utterance and answer\n.*, line 1",
        ),
        ("a.jsonl", [LINES[0], {"text": "a"}], 'the line has no key "_id"\n.*, line 2'),
        ("a.jsonl", [{"_id": "x", "turns": [{"text": " "}]}], "a turn has no text\n.*, line 1"),
        ("a.jsonl", [{"_id": "x", "turns": "no"}], '"turns" is not a list\n.*, line 1'),
        ("a.jsonl", [{"_id": "x", "text": "a", "rewrite": 3}], "neither a text nor texts by name\n.*, line 1"),
        ("a.json", [LINEAR[0], {"number": 2}], "this is no topic\n.*, topic 2"),
        ("a.json", {"number": 2}, "this is no topic\n.*, topic 1"),
        ("a.jsonl", [{"_id": True, "text": "a"}], '"_id" is not an id\n.*, line 1'),
        ("a.jsonl", [{"_id": "x", "text": "a\ud800"}], f'"text" {HALF}, line 1'),
        ("a.jsonl", [{"_id": "x", "text": "a", "history": ["\ud800", ""]}], f'"history" {HALF}, line 1'),
        ("a.json", [{"number": 1, "turn": [{"number": 1, "utterance": "\udc00"}]}], f"{HALF}, topic 1"),
        ("a.json", [{"number": 1, "turn": [{"number": 1}]}], "a turn has no number or no utterance\n.*, topic 1"),
        (
            "a.json",
            [{"number": 1, "turn": [{"number": "1-3", "parent": "9", "participant": "User", "utterance": "x"}]}],
            "names a parent that is not there\n.*, topic 1\n  seen: 1_1-3: 9",
        ),
    ],
)
def test_malformed_files_say_where(tmp_path: Path, name: str, content: Any, told: str) -> None:
    with pytest.raises(DataError, match=told.replace(".*", "  where: .*" + name.replace(".", "\\."))):
        read_turns(file(tmp_path, name, content))


def test_a_topic_file_that_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[\n{"number": 1,')
    with pytest.raises(DataError, match=r"the topic file is not JSON: .*\n  where: .*a.json, line 2"):
        read_turns(tmp_path / "a.json")
    (tmp_path / "b.json").write_bytes(b"[\xff]")
    with pytest.raises(DataError, match=r"the line is not UTF-8\n  where: .*b.json, line 1"):
        read_turns(tmp_path / "b.json")
    (tmp_path / "c.json.gz").write_bytes(b"\x1f\x8b\x08 cut")
    with pytest.raises(DataError, match=r"the gzip file is cut short or damaged\n  where: .*c.json.gz"):
        read_turns(tmp_path / "c.json.gz")


TURN = Turn("q", "and now", (("u one", "r one"), ("u two", None), ("u three", "r three")), {"manual": "whole"})


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"query_text": "last"}, "and now"),
        ({"query_text": "rewrite"}, "whole"),
        ({"separator": " | "}, "and now | r three | u three | u two | r one | u one"),
        ({"separator": " | ", "order": "oldest_first"}, "u one | r one | u two | u three | r three | and now"),
        ({"separator": "/", "responses": False}, "and now/u three/u two/u one"),
        ({"separator": "/", "max_turns": 2}, "and now/r three/u three/u two"),
        ({"separator": "/", "max_turns": 0}, "and now"),
        ({"separator": "/", "max_turns": 9, "responses": False}, "and now/u three/u two/u one"),
        ({"separator": "/", "max_words": 6}, "and now/r three/u three"),
        ({"separator": "/", "max_words": 7, "order": "oldest_first"}, "u three/r three/and now"),
        ({"separator": "/", "max_words": 1}, "and now"),
    ],
)
def test_the_text_of_a_turn(settings: dict[str, Any], expected: str) -> None:
    """The newest stays when something is cut, whole parts go, the last utterance never."""
    assert QueryText(**settings).text_of(TURN) == expected


def test_a_turn_without_the_rewrite_that_is_asked_for() -> None:
    with pytest.raises(DataError) as error:
        QueryText(query_text="rewrite", rewrite="llama").text_of(TURN)
    assert str(error.value) == (
        "it is not told which rewrite of a turn to read\n"
        "  where: query 'q', key rewrite\n"
        "  seen: 'llama'\n"
        "  allowed: manual\n"
        "  next step: name one of them in `rewrite`"
    )
    with pytest.raises(DataError, match="a turn has no rewrite\n"):
        QueryText(query_text="rewrite").text_of(Turn("q", "x"))
    two = Turn("q", "x", (), {"a": "A", "b": "B"})
    assert QueryText(query_text="rewrite", rewrite="b").text_of(two) == "B"
    with pytest.raises(DataError, match="allowed: a, b"):
        QueryText(query_text="rewrite").text_of(two)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return beir(tmp_path / "corpus", {"d1": "cats", "d2": "dogs"}, {"x": "y"}, {"test": {"x": {"d1": 1}}})


def conversation(tmp_path: Path, corpus: Path, **settings: Any) -> Conversation:
    given = {"topics": {"test": file(tmp_path, "cast.json", LINEAR)}, "documents": {"kind": "beir", "path": corpus}}
    return Conversation(**{**given, **settings})


def test_a_collection_of_turns_over_the_documents_of_another(tmp_path: Path, corpus: Path) -> None:
    (tmp_path / "qrels.txt").write_text("106_2 0 d2 2\n106_1 0 d1 1\n")
    told = conversation(tmp_path, corpus, qrels={"test": tmp_path / "qrels.txt"})
    collection = told.open(tmp_path / "cache")
    assert collection.splits == ("test",)
    assert [q.text for q in collection.queries("test")] == [
        "what is a cat",
        "does it bark [SEP] An animal. [SEP] what is a cat",
    ]
    assert collection.qrels("test") == {"106_2": {"d2": 2}, "106_1": {"d1": 1}}
    assert [d.text for d in collection.documents()] == ["cats", "dogs"]
    assert collection.describe()["turns of the longest conversation"] == {"test": 2}
    view = told.model_copy(update={"query_text": "rewrite", "rewrite": "manual"}).open(tmp_path / "cache")
    assert {q.query_id: q.text for q in view.queries("test")}["106_2"] == "does a cat bark"
    assert view.digest != collection.digest
    assert conversation(tmp_path, corpus, qrels=told.qrels).open(tmp_path / "other").digest == collection.digest


def test_rewrites_from_a_file_of_their_own(tmp_path: Path, corpus: Path) -> None:
    """As for CAsT 2019, whose topics have none."""
    (tmp_path / "resolved.tsv").write_text("106_1\tcats\n106_2\tdo cats bark\n")
    told = {"query_text": "rewrite", "rewrite": "file", "rewrites": {"test": tmp_path / "resolved.tsv"}}
    collection = conversation(tmp_path, corpus, **told).open(tmp_path / "cache")
    assert [q.text for q in collection.queries("test")] == ["cats", "do cats bark"]


def test_one_file_of_lines_can_hold_several_splits(tmp_path: Path, corpus: Path) -> None:
    lines = [{"_id": "a", "text": "x", "split": "train"}, {"_id": "b", "text": "y", "split": "test"}]
    path = file(tmp_path, "talk.jsonl", lines)
    collection = conversation(tmp_path, corpus, topics={"train": path, "test": path}).open(tmp_path / "cache")
    assert [[q.query_id for q in collection.queries(split)] for split in ("train", "test")] == [["a"], ["b"]]


def test_a_judgement_of_an_unknown_turn_or_document_is_an_error(tmp_path: Path, corpus: Path) -> None:
    for line, what in (("106_9 0 d1 1", "unknown query"), ("106_1 0 d9 1", "unknown document")):
        (tmp_path / "qrels.txt").write_text(line + "\n")
        collection = conversation(tmp_path, corpus, qrels={"test": tmp_path / "qrels.txt"}).open(tmp_path / "cache")
        with pytest.raises(DataError, match=f"the row names an {what}\n  where: .*qrels.txt, line 1"):
            collection.qrels("test")


def test_files_and_splits_that_are_not_there(tmp_path: Path, corpus: Path) -> None:
    with pytest.raises(DataError, match=r"there is no such file\n  where: key collection\.topics\.test"):
        conversation(tmp_path, corpus, topics={"test": tmp_path / "no.json"}).open(tmp_path / "cache")
    with pytest.raises(ValidationError, match="`qrels` names the split 'dev'; `topics` has test"):
        conversation(tmp_path, corpus, qrels={"dev": tmp_path / "x"})
