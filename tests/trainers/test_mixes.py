"""Mixes: a corpus that needs no files."""

from __future__ import annotations

import numpy as np
import pytest

from trainers.mixes import ENVELOPES, PARTS, mix
from trainers.signals import Crop, SignalError, read_signal


def test_a_mix_is_the_same_every_time_and_no_other() -> None:
    assert np.array_equal(mix(3, 2_048), mix(3, 2_048))
    assert not np.allclose(mix(3, 2_048), mix(4, 2_048))


def test_thirty_mixes_spread_over_the_centroids_of_recordings() -> None:
    psi = [read_signal(f"synthetic:mix-{number}", Crop(samples=4_096)).spectrum().centroid for number in range(30)]
    assert min(psi) < 0.12
    assert max(psi) > 0.7
    assert sum(value > 0.4 for value in psi) > 5
    assert sum(value < 0.25 for value in psi) > 5


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("envelope", ENVELOPES)
def test_every_part_under_every_envelope_is_finite_and_sounds(part: object, envelope: object) -> None:
    assert callable(part)
    assert callable(envelope)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x = part(rng, 4_096) * envelope(rng, 4_096)
        assert x.shape == (4_096,)
        assert np.isfinite(x).all()
        assert x.std() > 0


@pytest.mark.parametrize("name", ["mix-", "mix--1", "mix-01", "mix-10000", "mix-1x"])
def test_a_mix_without_a_number_below_10000_is_refused(name: str) -> None:
    with pytest.raises(SignalError, match=r"known signals: .*mix-0 to mix-9999"):
        read_signal(f"synthetic:{name}", Crop())
