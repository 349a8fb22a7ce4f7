"""Means, and paired differences with intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from search.stats import (
    Correlation,
    describe,
    mean_interval,
    paired_difference,
    pooled_correlation,
    rank_correlation,
    wilcoxon_p,
)


def test_paired_interval_is_the_one_of_scipy() -> None:
    first, second = [10.0, 12.0, 9.5, 14.0, 11.0], [8.0, 11.5, 9.0, 10.0, 10.5]
    mean, interval = paired_difference(first, second)
    expected = scipy_stats.ttest_rel(first, second).confidence_interval(0.95)
    assert mean == pytest.approx(np.mean(np.subtract(first, second)))
    assert interval == pytest.approx((expected.low, expected.high))


def test_one_pair_has_no_interval() -> None:
    assert paired_difference([3.0], [1.0]) == (2.0, None)
    assert describe([3.0]).sd is None


def test_intervals_cover_the_true_difference_in_about_95_of_100_samples() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        shared = generator.normal(size=5) * 6
        first = shared + 1.5 + generator.normal(size=5)
        second = shared + generator.normal(size=5)
        _, interval = paired_difference(list(first), list(second))
        assert interval is not None
        covered += interval[0] <= 1.5 <= interval[1]
    # Three standard errors of a share of 0.95 in 2000 samples.
    assert abs(covered / 2000 - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 2000)


def test_the_interval_of_a_mean_is_the_one_of_scipy() -> None:
    values = [1.0, 4.0, 2.5, 8.0]
    mean, interval = mean_interval(values)
    assert mean == pytest.approx(3.875)
    assert interval == pytest.approx(scipy_stats.t.interval(0.95, 3, loc=3.875, scale=scipy_stats.sem(values)))


def test_signed_ranks_of_six_differences_of_one_sign_have_p_of_a_32nd() -> None:
    assert wilcoxon_p([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == pytest.approx(2 / 2**6)
    assert wilcoxon_p([1.0]) is None
    assert wilcoxon_p([0.0, 0.0, 0.0]) is None


def test_rank_correlation_leaves_out_what_is_no_number() -> None:
    found = rank_correlation([1.0, 2.0, math.nan, 3.0, 4.0, 9.0], [1.0, 4.0, 2.0, 9.0, math.nan, 10.0])
    assert found is not None
    assert (found.rho, found.num) == (1.0, 4)
    assert rank_correlation([1.0, 2.0], [1.0, 2.0]) is None
    assert rank_correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None


@pytest.mark.parametrize(("num", "low"), [(4, -0.9), (5, -0.3), (6, 0.0), (32, 0.99)])
def test_pairs_in_order_are_certain_only_where_they_are_many(num: int, low: float) -> None:
    values = [float(value) for value in range(num)]
    for sign in (1.0, -1.0):
        found = rank_correlation(values, [sign * value for value in values])
        assert found is not None
        assert found.interval is not None
        inner, outer = sorted(sign * end for end in found.interval)
        assert sign * found.rho == pytest.approx(1.0)
        assert outer == pytest.approx(1.0)
        assert low < inner < low + 0.5
        assert inner < 1.0


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_the_interval_of_a_rank_correlation_covers_it_in_about_95_of_100_samples(rho: float) -> None:
    generator = np.random.default_rng(3)
    true = 6 / math.pi * math.asin(rho / 2)  # Spearman's of normal pairs
    covered = 0
    for _ in range(2_000):
        first, other = generator.normal(size=(2, 40))
        found = rank_correlation(list(first), list(rho * first + math.sqrt(1 - rho**2) * other))
        assert found is not None
        assert found.interval is not None
        covered += found.interval[0] <= true <= found.interval[1]
    assert 0.935 <= covered / 2_000 <= 0.97


def test_pooled_correlation_is_the_mean_over_signals_with_their_spread() -> None:
    one = Correlation(0.5, (0.2, 0.7), 30)
    for alone in (one, Correlation(1.0, (0.9, 1.0), 30)):
        assert pooled_correlation([alone]) == alone
    pooled = pooled_correlation([one, Correlation(0.7, (0.5, 0.9), 20), Correlation(0.6, (0.3, 0.8), 30)])
    assert 0.5 < pooled.rho < 0.7
    assert pooled.interval is not None
    assert pooled.interval[0] < 0.5 < 0.7 < pooled.interval[1]
    assert pooled.num == 80
