"""Generators: queries that a language model writes, and words drawn from the document."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from retkd.collections.base import Collection, Document
from retkd.errors import ModelError
from retkd.generators.extract import Extract, words
from retkd.generators.llm import LLMQueries, queries_in
from tests.conftest import MakeInputs
from tests.llms.server import Server, serving, told


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(reply=three_lines) as running:
        yield running


def three_lines(body: dict[str, Any]) -> dict[str, Any]:
    text = body["messages"][-1]["content"].partition("Passage: ")[2].split()
    return told(f"Here are some queries:\n1. {text[0]}\n2. what is {text[1]}?\n3. {text[0]}\n")


def generator(server: Server, **changed: Any) -> LLMQueries:
    llm = {"kind": "openai", "base_url": server.url, "model": "m", "api_key_env": None}
    return LLMQueries(llm=llm, **changed)


def test_queries_are_read_from_the_answer_and_asked_once(
    server: Server, inputs: MakeInputs, collection: Collection
) -> None:
    documents = list(collection.documents(0, 5))
    made = generator(server).generate(documents, 3, inputs())
    texts = [document.full_text.split() for document in documents]
    assert made.queries == [[text[0], f"what is {text[1]}?"] for text in texts]
    assert server.prompts[0].startswith("Write 3 different search queries")
    assert made.timings == {"new_answers": 5, "tokens": 50}
    again = generator(server).generate(documents, 3, inputs())
    assert (again.queries, again.timings["new_answers"]) == (made.queries, 0)
    assert len(server.bodies) == 5


def test_too_many_answers_without_a_query_are_an_error(
    server: Server, inputs: MakeInputs, collection: Collection
) -> None:
    server.reply = lambda body: told("I am sorry. " * 30)
    documents = list(collection.documents(0, 5))
    with pytest.raises(ModelError) as error:
        generator(server).generate(documents, 3, inputs())
    assert str(error.value) == (
        "the language model does not write queries as it is asked to\n"
        "  where: 5 of 5 answers hold no query\n"
        f"  seen: {('I am sorry. ' * 30)[:200]!r}\n"
        "  allowed: a share of 0.1 (max_unusable)\n"
        "  next step: change the prompt or take another model; raise max_tokens if answers are cut short"
    )
    assert generator(server, max_unusable=1.0).generate(documents, 3, inputs()).queries == [[]] * 5


@pytest.mark.parametrize(
    ("answer", "queries"),
    [
        ("a b\nc d\ne f", ["a b", "c d"]),
        ("- a b\n* c d", ["a b", "c d"]),
        ('1) "a b"\n\n(2) A  B\n3. c', ["a b", "c"]),
        ("<think>x y\n</think>a b", ["a b"]),
        ("Queries:\n...\n", []),
        ("x" * 201, []),
        ("", []),
        ("2024 budget\n3 wishes", ["2024 budget", "3 wishes"]),
    ],
)
def test_lines_that_are_queries(answer: str, queries: list[str]) -> None:
    assert queries_in(answer, 2) == queries


def test_extracted_words_stand_in_the_document_in_this_order(inputs: MakeInputs, collection: Collection) -> None:
    documents = list(collection.documents())
    made = Extract(num_words=3, pool=6).generate(documents, 4, inputs(seed=3))
    for document, queries in zip(documents, made.queries, strict=True):
        text = words(document.full_text)
        assert 1 <= len(queries) <= 4
        assert len(set(queries)) == len(queries)
        for query in queries:
            places = [text.index(word) for word in query.split()]
            assert len(places) == 3
            assert places == sorted(places)


def test_extracting_depends_on_seed_and_document_alone(inputs: MakeInputs, collection: Collection) -> None:
    documents = list(collection.documents())
    made = Extract().generate(documents, 2, inputs(seed=3)).queries
    assert Extract().generate(documents, 2, inputs(seed=4)).queries != made
    shuffled = random.Random(0).sample(range(60), 60)
    again = Extract().generate([documents[i] for i in shuffled], 2, inputs(seed=3)).queries
    assert again == [made[i] for i in shuffled]


def test_rare_words_are_preferred(inputs: MakeInputs, collection: Collection) -> None:
    """The tiny collection's documents have three rare words each, among filler: with a pool of three these are drawn."""
    documents = list(collection.documents())
    made = Extract(num_words=2, pool=3).generate(documents, 1, inputs()).queries
    counts = {word: sum(word in words(d.full_text) for d in documents) for q in made for word in q[0].split()}
    common = [sum(word in words(d.full_text) for d in documents) for word in words(documents[0].full_text)]
    assert sum(counts.values()) / len(counts) < sum(common) / len(common)


def test_a_document_without_words_of_its_own_gets_no_query(inputs: MakeInputs) -> None:
    assert Extract().generate([Document("d0", "a . !")], 2, inputs()).queries == [[]]
