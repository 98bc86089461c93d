"""The randomisation test and the bootstrap against values worked out by hand."""

from itertools import product

import numpy as np
import pytest

from retkd.evaluation.significance import bootstrap_means, interval, paired_p_value


def p_value(differences, num_resamples=10_000, seed=0):
    return paired_p_value(np.array(differences), num_resamples=num_resamples, seed=seed)


def test_four_equal_wins_are_two_of_sixteen_patterns():
    assert p_value([0.5, 0.5, 0.5, 0.5]) == 2 / 16


def test_three_differences_enumerated_by_hand():
    # Sums of +-1 +-2 +-4: 7, 5, 3, 1 and their negatives. Seen 1 + 2 - 4 = -1: every pattern reaches |1|.
    assert p_value([1.0, 2.0, -4.0]) == 1.0
    # Seen 1 + 2 + 4 = 7: only 7 and -7.
    assert p_value([1.0, 2.0, 4.0]) == 2 / 8
    # Seen -1 + 2 + 4 = 5: 7, 5, -5, -7.
    assert p_value([-1.0, 2.0, 4.0]) == 4 / 8


def test_exact_is_exact_up_to_fourteen_queries():
    differences = np.random.default_rng(3).normal(0.2, 1.0, size=10)
    sums = [abs(np.dot(signs, differences)) for signs in product([-1, 1], repeat=10)]
    expected = np.mean(np.array(sums) >= abs(differences.sum()) - 1e-12)
    assert p_value(differences) == pytest.approx(expected)
    assert p_value(differences, seed=1) == p_value(differences, seed=2)


def test_identical_systems_have_p_one_and_equal_queries_take_no_part():
    assert p_value([0.0] * 40) == 1.0
    assert p_value([0.0] * 500 + [0.5] * 4) == 2 / 16


def test_sampling_agrees_with_enumeration_and_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    differences = np.random.default_rng(5).normal(0.15, 1.0, size=200)
    ours = p_value(differences, num_resamples=20_000)
    theirs = stats.permutation_test(
        (differences,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=20_000, rng=1
    ).pvalue
    assert ours == pytest.approx(theirs, abs=0.01)
    assert p_value(differences, 20_000) == ours


def test_the_smallest_sampled_p_value_is_one_over_resamples_plus_one():
    assert p_value([1.0] * 60, num_resamples=999) == 1 / 1000


def test_under_the_null_p_is_uniform():
    rng = np.random.default_rng(0)
    found = np.array([p_value(rng.normal(size=30), num_resamples=400, seed=i) for i in range(400)])
    assert np.mean(found < 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean(found < 0.5) == pytest.approx(0.5, abs=0.08)


def test_bootstrap_has_the_standard_error_of_the_mean_and_keeps_pairs_together():
    values = np.random.default_rng(1).normal(0.4, 0.2, size=(400, 1))
    means = bootstrap_means(np.hstack([values, values + 0.1]), num_resamples=4000, seed=7)
    assert means.shape == (4000, 2)
    assert means[:, 1] - means[:, 0] == pytest.approx(0.1)
    assert means[:, 0].std() == pytest.approx(values.std() / 20, rel=0.05)
    low, high = interval(means[:, 0], 0.95)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.07)
    assert low < values.mean() < high


def test_blocks_do_not_change_the_bootstrap_of_a_constant(monkeypatch):
    monkeypatch.setattr("retkd.evaluation.significance.BLOCK_CELLS", 50)
    means = bootstrap_means(np.full((20, 3), 0.25), num_resamples=11, seed=0)
    assert means == pytest.approx(0.25)
    assert p_value([1.0] * 20, num_resamples=11) == pytest.approx(1 / 12)


def test_the_seed_decides():
    values = np.random.default_rng(2).normal(size=(50, 1))
    first, again, other = (bootstrap_means(values, num_resamples=20, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
