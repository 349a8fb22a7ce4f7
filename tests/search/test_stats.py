"""Means, and paired differences with intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from search.stats import describe, paired_difference


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
