"""Means over seeds, and paired differences with intervals."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t as student_t


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
) -> tuple[float, tuple[float, float] | None]:
    """Mean of first - second over paired seeds, with its t interval: d +- t(n - 1) s / sqrt(n).

    Args:
        first, second: one value a seed, in the same order, dB.
        confidence: of the interval.

    Returns:
        The mean difference, and its interval; None instead of one for a single pair.
    """
    differences = [a - b for a, b in zip(first, second, strict=True)]
    sample = describe(differences)
    if sample.sd is None:
        return sample.mean, None
    quantile = float(student_t.ppf((1.0 + confidence) / 2.0, sample.num - 1))
    half = quantile * sample.sd / sample.num**0.5
    return sample.mean, (sample.mean - half, sample.mean + half)
