"""The named spaces: what may vary in each, with ranges that follow the signal's Nyquist frequency.

[Sitzmann2020] SIREN. [Chandravamsi2025] arXiv 2509.09719 (SIREN^2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spaces.laws import laws_for
from spaces.noise import BANDWIDTH_LOW_RAD, HIDDEN_W, S1_MAX, NoiseScales, Ridge, noise_bandwidth
from spaces.parameters import POSITIVE, Float, PointError
from spaces.space import Space
from spaces.spectrum import Spectrum

PUBLISHED_LR = 1e-4
"""Adam's learning rate in [Sitzmann2020] and [Chandravamsi2025]."""

BASELINE_W_FIRST: Mapping[str, tuple[float, ...]] = {"audio": (30.0, 3000.0)}
"""Plain SIREN's first-layer factors by kind of signal; (30,) for other kinds [Sitzmann2020]."""

W_FIRST_AT_NYQUIST = 3e4 / 2.36e5
"""w_first 3e4 is the customary end of the range for 150,000 samples, whose Nyquist frequency is 2.36e5 rad."""

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
    """Make a space of one's own known by name: `builder(spectrum, width)` returns a Space."""
    SPACES[name] = builder


def _learning_rate() -> Float:
    return Float(name="lr", low=1e-4, high=5e-3, log=True, domain=POSITIVE, doc="Adam's first learning rate")


def _siren(spectrum: Spectrum, width: int) -> Space:
    """SIREN with its first-layer factor; ranges: 10 to 300 for images, 100 to 3e4 for 150,000 audio samples."""
    is_audio = spectrum.kind == "audio"
    high = max(W_FIRST_AT_NYQUIST * spectrum.nyquist_rad, 3000.0) if is_audio else 300.0
    low = 100.0 if is_audio else 10.0
    # An audio search must be able to return to plain SIREN, or it cannot tell that nothing was gained.
    low = min(low, *baseline_w_first(spectrum))
    return Space(
        name="siren",
        architecture="siren",
        parameters=(
            Float(name="w_first", low=low, high=high, log=True, domain=POSITIVE, doc="first-layer factor, rad"),
            _learning_rate(),
        ),
        defaults={"w_first": baseline_w_first(spectrum)[-1], "lr": PUBLISHED_LR},
    )


def _siren2(spectrum: Spectrum, width: int) -> Space:
    """SIREN^2: noise scales of the first two layers; s0 from 1 rad to twice Nyquist or what a law gives."""
    points = {
        law.name: law.point(spectrum, width=width) for law in laws_for(spectrum).values() if law.space == "siren2"
    }
    bands = [noise_bandwidth(NoiseScales(point["s0"], point["s1"]), width) for point in points.values()]
    published = {"s0": 30.0, "s1": 0.25} | points.get("winner", {})  # by hand where nothing is published
    return Space(
        name="siren2",
        architecture="siren2",
        parameters=(
            Float(
                name="s0",
                low=min(1.0, *(point["s0"] for point in points.values() if point["s0"] > 0.0)),
                high=max(2.0 * spectrum.nyquist_rad, *(point["s0"] for point in points.values())),
                log=True,
                doc="noise scale of the first layer, rad",
            ),
            Float(name="s1", low=0.0, high=S1_MAX, doc="noise scale of the second layer"),
            _learning_rate(),
        ),
        defaults={**published, "lr": PUBLISHED_LR},
        # The laws' points lie inside the range, so that their fits can be told to the sampler.
        coordinates=Ridge(
            width=width,
            nyquist_rad=spectrum.nyquist_rad,
            low_rad=min(BANDWIDTH_LOW_RAD, *(0.99 * band for band in bands if band > 0.0)),
            high=1.01 * max(2.0, *(band / spectrum.nyquist_rad for band in bands)),
        ),
    )


SPACES: dict[str, SpaceBuilder] = {"siren": _siren, "siren2": _siren2}
