"""Long documents as passages: which tokens are where, and that the best passage speaks."""

from pathlib import Path

import numpy as np
import pytest

from retkd.errors import ModelError
from retkd.matchers.cross_encoder import PairScorer
from retkd.matchers.passages import Passages
from tests.tiny import WORDS

SIX = Passages(tokens=6, stride=4, most=3)
SHORT = [("baco", "gale lemi nopa"), ("difun gale", " ".join(WORDS[:6])), ("", ""), ("baco", "")]


def scorer(folder: Path, passages: Passages | None = SIX) -> PairScorer:
    return PairScorer.load(folder, "cpu", 48, 16, passages=passages)


@pytest.mark.parametrize(
    ("num_tokens", "spans"),
    [
        (0, [(0, 0)]),
        (6, [(0, 6)]),
        (7, [(0, 6), (4, 7)]),
        (10, [(0, 6), (4, 10)]),
        (11, [(0, 6), (4, 10), (8, 11)]),
        (30, [(0, 6), (4, 10), (8, 14)]),
    ],
)
def test_passages_cover_a_document_once_and_no_more(num_tokens: int, spans: list[tuple[int, int]]) -> None:
    assert SIX.spans(num_tokens) == spans


def test_passages_are_cut_out_of_the_text_by_offsets() -> None:
    text = "one  two,three four five six seven eight"
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    offsets = [(text.index(word), text.index(word) + len(word)) for word in words]
    assert SIX.of(text, offsets) == (["one  two,three four five six", "five six seven eight"], False)
    assert Passages(6, 4, 1).of(text, offsets) == (["one  two,three four five six"], True)
    assert SIX.of(" one ", offsets[:1]) == ([" one "], False), "a short document is not touched"


def test_short_documents_give_the_same_bits_as_first(cross_encoder_folder: Path) -> None:
    first, first_cut = scorer(cross_encoder_folder, None).score_with_cuts(SHORT)
    scores, cut = scorer(cross_encoder_folder).score_with_cuts(SHORT)
    assert scores.tobytes() == first.tobytes()
    assert cut.tolist() == first_cut.tolist() == [False] * 4


def test_the_score_is_the_greatest_of_the_passages(cross_encoder_folder: Path) -> None:
    """Of 11 words the passages are words 0-5, 4-9 and 8-10; words are single tokens of this tokeniser."""
    words = WORDS[20:31]
    pairs = [SHORT[0], ("baco difun", " ".join(words)), SHORT[1]]
    plain = scorer(cross_encoder_folder, None)
    by_hand = [plain.score([("baco difun", " ".join(words[a:b]))])[0] for a, b in ((0, 6), (4, 10), (8, 11))]
    scores, cut = scorer(cross_encoder_folder).score_with_cuts(pairs)
    assert scores[1] == pytest.approx(max(by_hand), abs=1e-5)
    assert np.ptp(by_hand) > 1e-3
    assert scores[[0, 2]] == pytest.approx(plain.score([SHORT[0], SHORT[1]]), abs=1e-5)
    assert cut.tolist() == [False, False, False]


def test_only_what_no_passage_holds_counts_as_cut(cross_encoder_folder: Path) -> None:
    """14 words are covered by three passages, 15 are not; with `first`, 41 words would fit beside this query."""
    pairs = [("baco", " ".join(WORDS[:n])) for n in (14, 15, 41)]
    assert scorer(cross_encoder_folder).score_with_cuts(pairs)[1].tolist() == [False, True, True]
    assert scorer(cross_encoder_folder, None).score_with_cuts(pairs)[1].tolist() == [False, False, False]
    long_query = " ".join(WORDS[:20])
    assert scorer(cross_encoder_folder).score_with_cuts([(long_query, "gale")])[1].tolist() == [True]


def test_the_length_of_a_pair_is_that_of_all_its_passages(cross_encoder_folder: Path) -> None:
    found = scorer(cross_encoder_folder)
    units, _, _ = found._split([("baco", " ".join(WORDS[:11]))], SIX)
    lengths = [len(row) for row in found.tokenize(units)[0]["input_ids"]]
    assert found.pair_length(1, 11) == sum(lengths) == 3 * (1 + 3) + 6 + 6 + 3


def test_a_passage_that_does_not_fit_beside_the_query(cross_encoder_folder: Path) -> None:
    with pytest.raises(ModelError) as error:
        scorer(cross_encoder_folder, Passages(tokens=30, stride=10, most=2))
    assert str(error.value) == (
        "the query, what stands around the texts and 30 tokens of a document do not fit into a pair\n"
        f"  where: {cross_encoder_folder}\n"
        "  seen: 16 + 3 + 30 = 49 tokens\n"
        "  allowed: 48 tokens (max_length, or what the model can read)\n"
        "  next step: raise max_length, lower query_max_length or passage_tokens, or shorten the template"
    )
