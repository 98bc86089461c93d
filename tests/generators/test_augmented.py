"""Variants of training queries: words left out, words mixed with another query's."""

from pathlib import Path

import pytest
import torch

from retkd.errors import DataError
from retkd.generators.augmented import asked_by_document
from retkd.generators.drop_words import DropWords
from retkd.generators.nearest_tokens import NearestTokens, mixed
from tests.conftest import MakeInputs, opened
from tests.tables import beir


@pytest.fixture
def asked(inputs: MakeInputs, tmp_path: Path):
    """d1 was asked for twice, d2 once (by one of these too), d3 never."""
    queries = {"q1": "baco difun gale minor", "q2": "pano rule", "q3": "never judged"}
    judged = {"train": {"q1": {"d1": 1, "d2": 1}, "q2": {"d1": 2, "d3": 0}}}
    folder = beir(tmp_path / "c", {"d1": "x", "d2": "y", "d3": "z"}, queries, judged)

    def make(**given):
        return inputs(collection=opened(folder, tmp_path / "cache"), **given)

    return make


def test_queries_of_each_document(asked) -> None:
    found = asked_by_document(asked().collection)
    assert found == {"d1": ["baco difun gale minor", "pano rule"], "d2": ["baco difun gale minor"]}


def test_words_are_left_out_and_the_order_stays(asked) -> None:
    given = asked()
    documents = list(given.collection.documents())
    made = DropWords(share=0.4).generate(documents, 6, given)
    again = DropWords(share=0.4).generate(documents, 6, given)
    assert made == again
    first, second, third = made.queries
    assert first[0] == "baco difun gale minor"
    assert "pano rule" in first
    assert third == []
    assert second[0] == "baco difun gale minor"
    assert len(second) > 2
    words = ["baco", "difun", "gale", "minor"]
    for text in second[1:]:
        kept = text.split()
        assert 0 < len(kept) < 4
        assert kept == [word for word in words if word in kept]
    assert made.counts == {"original queries": 2, "variants": len({*first[1:], *second[1:]} - {"pano rule"})}
    assert DropWords(share=0.4).generate(documents, 6, asked(seed=99)).queries != made.queries
    bare = DropWords(share=0.4, keep_originals=False).generate(documents, 6, given).queries
    assert bare[1] == second[1:]


def test_a_collection_without_training_queries_is_refused(inputs: MakeInputs, tmp_path: Path) -> None:
    folder = beir(tmp_path / "c", {"d": "x"}, {"q": "y"}, {"test": {"q": {"d": 1}}})
    with pytest.raises(DataError, match="there are no training queries to make variants of\n  seen: splits: test"):
        asked_by_document(opened(folder, tmp_path / "cache"))


TABLE = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [2.2, 1.8], [9.0, 9.0]])


def test_the_nearest_token_by_hand() -> None:
    """Half of (4, 0) and (0, 4) is (2, 2), nearest to token 3; the second place has no partner and stays."""
    assert mixed([1, 4], [2], TABLE, [0.5, 0.5], frozenset({0})) == [3, 4]
    assert mixed([1, 4], [2], TABLE, [0.5, 0.5], frozenset({0, 3})) == [1, 4]
    assert mixed([1], [2], TABLE, [0.9], frozenset({0})) == [1]
    assert mixed([], [2], TABLE, [], frozenset()) == []


@pytest.mark.parametrize("seed", range(3))
def test_with_the_whole_share_a_query_keeps_its_tokens(seed: int) -> None:
    """The nearest token of a token's own embedding is itself."""
    generator = torch.Generator().manual_seed(seed)
    table = torch.randn((200, 8), generator=generator)
    own, other = torch.randint(5, 200, (2, 90), generator=generator).tolist()
    assert mixed(own, other, table, [1.0] * 90, frozenset(range(5))) == own


def test_each_place_has_a_weight_of_its_own(asked, encoder_folder: Path) -> None:
    """Tokens far from each other, as a real model's are: of many variants some have tokens of both queries."""
    own, other = ["baco", "difun", "gale", "minor"], ["pano", "rule"]
    generator = NearestTokens(model="base", share=0.6, keep_originals=False)
    both = [" ".join(own), " ".join(other)]
    given = [asked(models={"base": encoder_folder}, seed=seed) for seed in range(12)]
    found = {text for each in given for text in generator.variants(both, 2, each)[0]}
    mixtures = [text for text in found if set(text.split()) & set(own) and set(text.split()) - set(own)]
    assert len(mixtures) >= 2
    table = torch.eye(8)
    assert mixed([1, 2, 3], [4, 5, 6], table, [0.6] * 3, frozenset()) == [1, 2, 3]
    assert mixed([1, 2, 3], [4, 5, 6], table, [0.6, 0.3, 0.9], frozenset()) == [1, 5, 3]


def test_mixed_queries_are_words_of_the_vocabulary(asked, encoder_folder: Path) -> None:
    given = asked(models={"base": encoder_folder})
    documents = list(given.collection.documents())
    generator = NearestTokens(model="base", share=0.5)
    made = generator.generate(documents, 2, given)
    assert made == generator.generate(documents, 2, given)
    assert made.queries[1][0] == "baco difun gale minor"
    assert all(text == text.lower() and "[" not in text for texts in made.queries for text in texts)
    assert made.counts["variants"] == len({*made.queries[0], *made.queries[1]} - {"baco difun gale minor", "pano rule"})
    whole = NearestTokens(model="base", share=1.0).generate(documents, 2, given)
    assert whole.queries == [["baco difun gale minor", "pano rule"], ["baco difun gale minor"], []]
