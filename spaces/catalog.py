"""The named spaces: what may vary in each, with ranges that follow the signal's Nyquist frequency.

Customary ranges are those of images of 256 to 512 a side and of audio of 150,000 samples; frequencies are rad per
coordinate unit (coordinates in [-1, 1]) unless named otherwise. Volumes and occupancies have no customs of their own:
they take the images' ranges and defaults. Each space lists its main frequency parameter first.

[Sitzmann2020] SIREN. [Chandravamsi2025] arXiv 2509.09719 (SIREN^2). [Tancik2020] Fourier features. [Liu2024] FINER.
[Saragadam2023] WIRE. [Yeom2025] arXiv 2410.04779 (WS-SIREN).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from spaces.embeddings import octaves_at_nyquist
from spaces.laws import BUILT_IN, laws_for
from spaces.noise import BANDWIDTH_LOW_RAD, HIDDEN_W, S1_MAX, NoiseScales, Ridge, noise_bandwidth
from spaces.parameters import POSITIVE, Float, Int, Interval, PointError
from spaces.space import Space
from spaces.spectrum import Spectrum, nyquist_rad
from spaces.union import union

PUBLISHED_LR = 1e-4
"""Adam's learning rate in [Sitzmann2020] and [Chandravamsi2025]: of the SIREN family."""

FIRST_LR = (1.5e-4, 3e-3)
"""Of SIREN^2's first proposals: the range without its ends, where good points are rare."""

SCALES_BY_HAND = {"s0": 30.0, "s1": 0.25}
"""SIREN^2's noise scales where no law is published (volumes): s0 of the size of SIREN's own draw, s1 as `bandwidth`."""

BASELINE_W_FIRST: Mapping[str, tuple[float, ...]] = {"audio": (30.0, 3000.0)}
"""Plain SIREN's first-layer factors by kind of signal; (30,) for other kinds [Sitzmann2020]."""

W_FIRST_AT_NYQUIST = 3e4 / 2.36e5
"""w_first 3e4 is the customary end of the range for 150,000 samples, whose Nyquist frequency is 2.36e5 rad."""

SIGMA_AT_NYQUIST = 1e4 / 2.36e5
"""Likewise for sigma of Fourier features: 1e4 for 150,000 samples."""

IMAGE_SAMPLES = 512
"""Longest axis of the grids for which the customary image ranges are made."""

RELU_LR = 1e-3
"""Positional encoding "works best at 5e-4 to 1e-3" [Saragadam2023, public code]; taken for both ReLU networks."""

GAUSS_LR = 1e-3
"""Gauss "at 1e-3 - 2e-3" [Saragadam2023, public code]."""

WIRE_LR = 5e-3
"""WIRE "at 5e-3 to 2e-2" [Saragadam2023, public code]."""

STEEP_LR_MAX = 2e-2
"""Largest rate that is proposed for ReLU, gauss and wire."""

ENVELOPE = "slope of the Gaussian envelope, rad"

SpaceBuilder = Callable[[Spectrum, int], Space]


def baseline_w_first(spectrum: Spectrum) -> tuple[float, ...]:
    """w_first of the plain SIRENs that every search is compared with; the last is the kind's default."""
    return BASELINE_W_FIRST.get(spectrum.kind, (HIDDEN_W,))


def build_space(name: str, spectrum: Spectrum, *, width: int, coordinates: str = "ridge") -> Space:
    """The space of that name for a signal and a network of `width` features a layer.

    Args:
        coordinates: "ridge" samples the bandwidth in place of s0 where the space has one; "plain" samples the
            parameters themselves.

    Raises:
        PointError: unknown space or coordinates.
    """
    if name not in SPACES:
        raise PointError(f"unknown space {name!r}; known spaces: {', '.join(SPACES)}")
    space = SPACES[name](spectrum, width)
    if coordinates == "plain":
        return space.in_plain_coordinates()
    if coordinates != "ridge":
        raise PointError(f"unknown coordinates {coordinates!r}; known coordinates: ridge, plain")
    return space


def register_space(name: str, builder: SpaceBuilder) -> None:
    """Make a space of one's own known by name: `builder(spectrum, width)` returns a Space.

    `any` keeps to this catalogue's nine; `spaces.union.union(name, spaces)` makes a union of one's own, to be
    registered in its turn.
    """
    SPACES[name] = builder


def _learning_rate(high: float = 5e-3) -> Float:
    return Float(name="lr", low=1e-4, high=high, log=True, domain=POSITIVE, doc="Adam's first learning rate")


def _size(spectrum: Spectrum) -> float:
    """Nyquist frequency over that of the grids for which image ranges are customary; at least 1."""
    return max(spectrum.nyquist_rad / nyquist_rad(IMAGE_SAMPLES), 1.0)


def _w_first(spectrum: Spectrum) -> Float:
    """100 to 3e4 for 150,000 audio samples, with the baselines at least; 10 to 300 for grids of up to 512 a side."""
    is_audio = spectrum.kind == "audio"
    high = max(W_FIRST_AT_NYQUIST * spectrum.nyquist_rad, 3000.0) if is_audio else 300.0 * _size(spectrum)
    # An audio search must be able to return to plain SIREN, or it cannot tell that nothing was gained.
    low = min(100.0 if is_audio else 10.0, *baseline_w_first(spectrum))
    return Float(name="w_first", low=low, high=high, log=True, domain=POSITIVE, doc="first-layer factor, rad")


def _sigma(spectrum: Spectrum) -> Float:
    """10 to 1e4 for 150,000 audio samples; 1 to 64 for grids of up to 512 a side.

    sin, cos(2 pi B x), B ~ N(0, sigma^2): their rms frequency is 2 pi sigma, half of Nyquist at 64 and 512 samples.
    """
    is_audio = spectrum.kind == "audio"
    high = max(SIGMA_AT_NYQUIST * spectrum.nyquist_rad, 100.0) if is_audio else 64.0 * _size(spectrum)
    doc = "std of the Fourier features' frequencies, cycles per coordinate unit"
    return Float(name="sigma", low=10.0 if is_audio else 1.0, high=high, log=True, domain=POSITIVE, doc=doc)


def _siren(spectrum: Spectrum, width: int) -> Space:
    """SIREN with its first-layer factor [Sitzmann2020]."""
    return Space(
        name="siren",
        architecture="siren",
        parameters=(_w_first(spectrum), _learning_rate()),
        defaults={"w_first": baseline_w_first(spectrum)[-1], "lr": PUBLISHED_LR},
    )


def _ws_siren(spectrum: Spectrum, width: int) -> Space:
    """WS-SIREN: every weight but the last layer's times alpha [Yeom2025]."""
    alpha = Float(name="alpha", low=1.0, high=4.0, domain=POSITIVE, doc="scale of all weights but the last layer's")
    return Space(
        name="ws-siren",
        architecture="ws-siren",
        parameters=(alpha, _w_first(spectrum), _learning_rate()),
        defaults={"alpha": 2.5, "w_first": baseline_w_first(spectrum)[-1], "lr": PUBLISHED_LR},
    )


def _finer(spectrum: Spectrum, width: int) -> Space:
    """FINER: sin(w (|z| + 1) z), first bias U(+-k) [Liu2024].

    Where no k is published (all kinds but audio), the default is torch's bias U(+-1/sqrt(dims)): k = 1/sqrt(dims).
    """
    k = 5.0 if spectrum.kind == "audio" else 1.0 / math.sqrt(spectrum.dims)
    return Space(
        name="finer",
        architecture="finer",
        parameters=(
            _w_first(spectrum),
            Float(name="k", low=0.0, high=5.0, doc="largest first-layer bias"),
            _learning_rate(),
        ),
        defaults={"w_first": baseline_w_first(spectrum)[-1], "k": k, "lr": PUBLISHED_LR},
    )


def _fourier(spectrum: Spectrum, width: int) -> Space:
    """Random Fourier features before a ReLU network [Tancik2020]; their number stays the network's, 256."""
    return Space(
        name="fourier",
        architecture="fourier",
        parameters=(_sigma(spectrum), _learning_rate(STEEP_LR_MAX)),
        defaults={"sigma": 10.0, "lr": RELU_LR},
    )


def _positional(spectrum: Spectrum, width: int) -> Space:
    """sin, cos(2^i pi x) for i < octaves, before a ReLU network.

    Default: floor(log2(N / 4)), N the longest axis [Sitzmann2020, public code]. Searched from 2 to the last octave
    that the grid holds, 2^(octaves - 1) pi <= pi (N - 1) / 2, which is one more for the usual N.
    """
    longest = max(spectrum.shape)
    customary = max(octaves_at_nyquist(longest), 2)
    held = math.floor(math.log2(max((longest - 1) / 2, 1.0))) + 1
    octaves = Int(
        name="octaves",
        low=2,
        high=max(held, customary, 3),
        domain=Interval(low=1.0),
        doc="frequencies per axis, each twice the last; the first is pi rad per coordinate unit",
    )
    return Space(
        name="positional",
        architecture="positional",
        parameters=(octaves, _learning_rate(STEEP_LR_MAX)),
        defaults={"octaves": customary, "lr": RELU_LR},
    )


def _gauss(spectrum: Spectrum, width: int) -> Space:
    """exp(-(s z)^2): 5 to 60 for grids of up to 512 a side, beyond with the fourth root of Nyquist.

    One unit of the first layer, exp(-(s W x)^2) with W ~ U(+-1/sqrt(dims)), has rms frequency s |W|: s / sqrt(3 dims)
    rad per coordinate unit in the mean square. The next layers multiply it, as s is the slope of each of them, so
    that a network reaches Nyquist at a far smaller s: untrained (4 x 64, 1-D) its output has an rms frequency of
    0.19, 0.43, 0.48 of Nyquist of 4,096 samples at s 30, 60, 120 and of 0.04, 0.24, 0.35 of that of 150,000 samples
    at s 60, 120, 250; white noise has 0.58. Above s 500 the hidden activations are all but zero.
    """
    s = Float(name="s", low=5.0, high=60.0 * _size(spectrum) ** 0.25, log=True, domain=POSITIVE, doc=ENVELOPE)
    return Space(
        name="gauss",
        architecture="gauss",
        parameters=(s, _learning_rate(STEEP_LR_MAX)),
        defaults={"s": 30.0, "lr": GAUSS_LR},
    )


def _wire(spectrum: Spectrum, width: int) -> Space:
    """WIRE, exp(j w z - |s z|^2): w 4 to 40, s 4 to 60 for grids of up to 512 a side [Saragadam2023], beyond as gauss.

    One unit of the first layer is a Gabor atom of carrier w |W| and rms width s |W| in frequency: together
    sqrt((w^2 + s^2) / (3 dims)) rad per coordinate unit. The next layers multiply it: untrained (4 x 64, 1-D) the
    output has an rms frequency of 0.20, 0.46 of Nyquist of 4,096 samples at w/s 20/10, 100/30 and of 0.19, 0.31 of
    that of 150,000 samples at 120/60, 160/40. Activations are at most exp((w / 2s)^2): w above 5 s overflows.
    """
    growth = _size(spectrum) ** 0.25
    return Space(
        name="wire",
        architecture="wire",
        parameters=(
            Float(name="w", low=4.0, high=40.0 * growth, log=True, domain=POSITIVE, doc="carrier frequency, rad"),
            Float(name="s", low=4.0, high=60.0 * growth, log=True, domain=POSITIVE, doc=ENVELOPE),
            _learning_rate(STEEP_LR_MAX),
        ),
        defaults={"w": 20.0, "s": 10.0, "lr": WIRE_LR},
    )


def _siren_rff(spectrum: Spectrum, width: int) -> Space:
    """Random Fourier features before a SIREN; ranges as those of fourier and siren.

    Defaults: sigma 30 and w_first 3000 for audio, as SIREN^2's public code, which uses it for audio alone (and whose
    sigma is in rad); for other kinds sigma 10 [Tancik2020] and w_first 30 [Sitzmann2020], put together by hand.
    """
    return Space(
        name="siren-rff",
        architecture="siren-rff",
        parameters=(_sigma(spectrum), _w_first(spectrum), _learning_rate()),
        defaults={
            "sigma": 30.0 if spectrum.kind == "audio" else 10.0,
            "w_first": baseline_w_first(spectrum)[-1],
            "lr": PUBLISHED_LR,
        },
    )


def _siren2(spectrum: Spectrum, width: int) -> Space:
    """SIREN^2: noise scales of the first two layers; s0 from 1 rad to twice Nyquist or what a law gives."""
    points = {
        name: law.point(spectrum, width=width)
        for name, law in laws_for(spectrum, BUILT_IN).items()
        if law.space == "siren2"
    }
    published, law = points.get("winner", SCALES_BY_HAND), points["bandwidth"]
    known = [*points.values(), published]
    bands = [noise_bandwidth(NoiseScales(point["s0"], point["s1"]), width) for point in known]
    return Space(
        name="siren2",
        architecture="siren2",
        parameters=(
            Float(
                name="s0",
                low=min(1.0, *(point["s0"] for point in known if point["s0"] > 0.0)),
                high=max(2.0 * spectrum.nyquist_rad, *(point["s0"] for point in known)),
                log=True,
                doc="noise scale of the first layer, rad",
            ),
            Float(name="s1", low=0.0, high=S1_MAX, doc="noise scale of the second layer"),
            replace(_learning_rate(), first=FIRST_LR),
        ),
        defaults={**published, "lr": PUBLISHED_LR},
        # The published s1 follows the centroid; a sweep of the bandwidth shall not.
        swept_at={"root_s1": math.sqrt(SCALES_BY_HAND["s1"])},
        # The laws' points lie inside the range, so that their fits can be told to the sampler.
        coordinates=Ridge(
            width=width,
            nyquist_rad=spectrum.nyquist_rad,
            low_rad=min(BANDWIDTH_LOW_RAD, *(0.99 * band for band in bands if band > 0.0)),
            high=1.01 * max(2.0, *(band / spectrum.nyquist_rad for band in bands)),
            expected=noise_bandwidth(NoiseScales(law["s0"], law["s1"]), width) / spectrum.nyquist_rad,
        ),
    )


def _any(spectrum: Spectrum, width: int) -> Space:
    """The architecture itself is searched: the union of this catalogue's own spaces, SIREN^2 by default."""
    return union("any", [build(spectrum, width) for build in _ARCHITECTURES.values()], default="siren2")


_ARCHITECTURES: Mapping[str, SpaceBuilder] = {
    "siren": _siren,
    "siren2": _siren2,
    "ws-siren": _ws_siren,
    "finer": _finer,
    "fourier": _fourier,
    "positional": _positional,
    "gauss": _gauss,
    "wire": _wire,
    "siren-rff": _siren_rff,
}

SPACES: dict[str, SpaceBuilder] = {**_ARCHITECTURES, "any": _any}
"""Every space that `--space` knows, by name."""
