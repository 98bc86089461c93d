import pytest

from retkd.miners.analyzers import Analyzer, analyzer

TEXT = "The HTTPServer reads_lines, and readAllLines2 of Files"


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("plain", ["the", "httpserver", "reads_lines", "and", "readalllines2", "of", "files"]),
        ("english", ["httpserver", "reads_lin", "readalllines2", "file"]),
        ("code", ["http", "server", "read", "line", "read", "all", "line", "2", "file"]),
    ],
)
def test_the_terms_of_a_text(name: Analyzer, terms: list[str]) -> None:
    assert analyzer(name)(TEXT) == terms


def test_a_text_of_stop_words_has_no_terms() -> None:
    assert analyzer("english")("It is the and of, to be or not to be") == []
