"""Near-duplicates are found exactly: the prefix filter loses none."""

import random
from fractions import Fraction

from retkd.collections.near_duplicates import jaccard, kept_first, shingles


def test_by_hand():
    assert jaccard(frozenset({1, 2, 3}), frozenset({2, 3, 4})) == Fraction(1, 2)
    assert len(shingles("a b c d e f")) == 2
    assert shingles("A  b(c)") == shingles("a b ( c )")
    assert len(shingles("")) == len(shingles("a b")) == 1


def test_equal_texts_are_one_and_others_stay():
    assert kept_first(["a b c d e f", "x y", "A b c d e f", "x z"], Fraction(1)) == [True, True, False, True]


def test_agrees_with_comparing_all_pairs():
    dice = random.Random(0)
    base = [[dice.choice("abcdefgh") for _ in range(dice.randrange(5, 40))] for _ in range(30)]
    texts = []
    for _ in range(300):
        words = list(dice.choice(base))
        for _ in range(dice.randrange(4)):
            words[dice.randrange(len(words))] = dice.choice("abcdefghij")
        texts.append(" ".join(words))
    for threshold in (Fraction(1, 2), Fraction(7, 10), Fraction(1)):
        kept: list[frozenset[int]] = []
        expected = []
        for each in map(shingles, texts):
            expected.append(all(jaccard(each, other) < threshold for other in kept))
            if expected[-1]:
                kept.append(each)
        assert kept_first(texts, threshold) == expected
        assert 0 < sum(expected) < len(texts)
