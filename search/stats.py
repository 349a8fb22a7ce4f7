"""Means over seeds and signals, paired differences and rank correlations, with intervals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scipy.stats import norm, spearmanr, wilcoxon
from scipy.stats import t as student_t

Interval = tuple[float, float]

MOST = 0.999
"""Largest |rho| whose artanh is taken: a signal that ranks perfectly must not decide the mean of all."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Values over seeds: mean, and standard deviation (None for one value)."""

    mean: float
    sd: float | None
    num: int


def describe(values: Sequence[float]) -> Sample:
    """Mean and sample standard deviation (n - 1)."""
    sd = statistics.stdev(values) if len(values) > 1 else None
    return Sample(mean=statistics.fmean(values), sd=sd, num=len(values))


def paired_difference(
    first: Sequence[float], second: Sequence[float], confidence: float = 0.95
) -> tuple[float, Interval | None]:
    """Mean of first - second over paired seeds, with its t interval: d +- t(n - 1) s / sqrt(n).

    Args:
        first, second: one value a seed, in the same order, dB.
        confidence: of the interval.

    Returns:
        The mean difference, and its interval; None instead of one for a single pair.
    """
    return mean_interval([a - b for a, b in zip(first, second, strict=True)], confidence)


def seed_difference(first: Mapping[int, float], second: Mapping[int, float]) -> tuple[float | None, Interval | None]:
    """`paired_difference` over the seeds of both, each value by its seed; no mean where they share none."""
    shared = sorted(first.keys() & second.keys())
    if not shared:
        return None, None
    return paired_difference([first[seed] for seed in shared], [second[seed] for seed in shared])


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, Interval | None]:
    """The mean of values (one or more), and its t interval: m +- t(n - 1) s / sqrt(n); None instead for one value."""
    sample = describe(values)
    if sample.sd is None:
        return sample.mean, None
    quantile = float(student_t.ppf((1.0 + confidence) / 2.0, sample.num - 1))
    half = quantile * sample.sd / sample.num**0.5
    return sample.mean, (sample.mean - half, sample.mean + half)


def wilcoxon_p(differences: Sequence[float]) -> float | None:
    """Two-sided p of Wilcoxon's signed-rank test that differences lie around 0.

    Exact for few of them: of n differences, none can be below 2 / 2^n. None where there is nothing to test: fewer than
    two, or all of them 0.
    """
    if len(differences) < 2 or not any(differences):
        return None
    return float(wilcoxon(differences).pvalue)


class Correlation(NamedTuple):
    """Spearman's rho of `num` pairs, with its interval; None instead of one for fewer than four pairs."""

    rho: float
    interval: Interval | None
    num: int


def rank_correlation(first: Sequence[float], second: Sequence[float], confidence: float = 0.95) -> Correlation | None:
    """Spearman's rho of pairs, with the interval tanh(artanh rho +- z sqrt((1 + rho^2 / 2) / (n - 3))) [Bonett2000].

    Pairs of which one is not a number do not count. None where fewer than three are left, or where one side is all
    ties. Psychometrika 65: it covers where Fisher's own standard error is too small for ranks. Around a |rho| of 1 it
    is that of the next one below that so many pairs can have, two neighbours swapped: 1 - 12 / (n^3 - n), at most
    `MOST`; so a few pairs in order are not certain.
    """
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if not (math.isnan(a) or math.isnan(b))]
    if len(pairs) < 3 or any(len(set(side)) == 1 for side in zip(*pairs, strict=True)):
        return None
    rho, num = float(spearmanr(*zip(*pairs, strict=True)).statistic), len(pairs)
    if num < 4:
        return Correlation(rho, None, num)
    most = min(MOST, 1.0 - 12.0 / (num**3 - num))
    inner = max(-most, min(most, rho))
    half = float(norm.ppf((1.0 + confidence) / 2.0)) * math.sqrt((1.0 + inner**2 / 2.0) / (num - 3))
    z = math.atanh(inner)
    return Correlation(rho, (min(rho, math.tanh(z - half)), max(rho, math.tanh(z + half))), num)


def pooled_correlation(correlations: Sequence[Correlation], confidence: float = 0.95) -> Correlation:
    """The mean of several signals' rho, over artanh, with the t interval over signals: what another signal may have.

    Of one signal its own.
    """
    if len(correlations) == 1:
        return correlations[0]
    z, interval = mean_interval([math.atanh(max(-MOST, min(MOST, each.rho))) for each in correlations], confidence)
    ends = (math.tanh(interval[0]), math.tanh(interval[1])) if interval else None
    return Correlation(math.tanh(z), ends, sum(each.num for each in correlations))
