"""Sentences as somebody would search for them."""

import doctest

import pytest

from retkd.collections import first_sentence as module
from retkd.collections.first_sentence import first_sentence, repeats_name


@pytest.mark.parametrize(
    ("docstring", "sentence"),
    [
        ("Open a file. Then close it.", "Open a file."),
        ("Open a file\n  that is large.\n\nMore.", "Open a file that is large."),
        ("Open a file, e.g. a large one. Then close.", "Open a file, e.g. a large one."),
        ("Parse version 3.11 of it (see above.) Done.", "Parse version 3.11 of it (see above."),
        ("Is it open?  Yes.", "Is it open?"),
        ("No stop here", "No stop here"),
        ('Split at "." and join. Done.', 'Split at "." and join.'),
        ("Give back 'this'. Done.", "Give back 'this'."),
        ("f(x, y) -> z\n\nAdd two numbers.", "Add two numbers."),
        ("f(x, (y)) -> (z, w)\nAdd two numbers.", "Add two numbers."),
        ("S.f(x) -> int -- add two numbers", "add two numbers"),
        ("D.f() -> a view on the keys", "a view on the keys"),
        ("f(x): Add two numbers.", "Add two numbers."),
        ("f(x) -> None.  Add two numbers.", "Add two numbers."),
        ("f(x", ""),
        (">>> f(1)\n2\n\nAdd.", ""),
        ("", ""),
    ],
)
def test_first_sentences(docstring, sentence):
    assert first_sentence(docstring, "f") == sentence


def test_names_repeated():
    assert repeats_name("Set the event loop.", "set_event_loop")
    assert repeats_name("Returns the URL option", "getURLOptions")
    assert not repeats_name("Returns the parsed URL options", "getURLOptions")


def test_examples_of_the_module():
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(module).attempted >= 4
