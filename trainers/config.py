"""Networks, fits and what comes of them, as plain data (no torch)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from spaces.embeddings import DEFAULT_FEATURES, EmbeddingError, num_weights
from spaces.noise import HIDDEN_W
from spaces.parameters import Point
from spaces.space import Space

MAX_CURVE_POINTS = 100
"""A curve is kept whole in storage and in MLflow; more points show nothing more on a screen."""


class ConfigError(ValueError):
    """A configuration that breaks a rule; the message says the rule, then what came."""


LEFT_OUT: Final = "left out"
"""Default of a knob that may be left out and has no value then (FINER's k: the bias stays as it is)."""

Knobs = Mapping[str, float | Literal["left out"] | None]
"""Every knob of an architecture with its default: None where the caller must give it, `LEFT_OUT` where it need not."""

# Checked against vsitzmann/siren, liuzhen0212/FINER (models.py: SIREN, FINER, Gauss, WIRE), vishwa91/wire and
# effl-lab/Fast-Neural-Fields. Where their defaults differ, science.md's are taken.
KNOBS: Mapping[str, Knobs] = {
    "siren": {"w_first": HIDDEN_W, "w": HIDDEN_W},
    "siren2": {"s0": None, "s1": None, "w": HIDDEN_W},
    # The public code's --scale is 2.5, for width 512.
    "ws-siren": {"alpha": 2.5, "w_first": HIDDEN_W, "w": HIDDEN_W},
    # Without k the first bias is torch's default: first_bias_scale=None of the public code.
    "finer": {"w_first": HIDDEN_W, "k": LEFT_OUT, "w": HIDDEN_W},
    # sigma is in cycles per coordinate unit: [Tancik2020]'s coordinates are in [0, 1), so that sigma 10 there spans the
    # frequencies of sigma 5 on [-1, 1].
    "fourier": {"sigma": 10.0, "features": float(DEFAULT_FEATURES)},
    # How many octaves make sense depends on the signal's grid: spaces.embeddings.octaves_at_nyquist.
    "positional": {"octaves": None},
    # FINER's code has s 30, WIRE's 10.
    "gauss": {"s": 30.0},
    # FINER's code has w 20 and s 10, WIRE's w 30 and s 10.
    "wire": {"w": 20.0, "s": 10.0},
    "siren-rff": {"sigma": 10.0, "w_first": HIDDEN_W, "features": float(DEFAULT_FEATURES), "w": HIDDEN_W},
}
"""The built-in architectures'; here, for what must do without torch."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """A network before its weights are drawn.

    Attributes:
        architecture: a name of `trainers.networks`.
        width: features of each hidden layer.
        depth: hidden layers.
        dims: coordinates in.
        channels: values out.
        knobs: the architecture's own values (w_first; s0 and s1; ...).
    """

    architecture: str
    width: int
    depth: int
    dims: int = 1
    channels: int = 1
    knobs: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("width", "depth", "dims", "channels"):
            if getattr(self, name) < 1:
                raise ConfigError(f"`1 <= {name}` must hold, but got {name}={getattr(self, name)}")

    @property
    def num_weights(self) -> int:
        """Trained weights and biases, without fixed frequencies; wire's complex weights count 2.

        Raises:
            ConfigError: the architecture is neither built in nor registered in this process, or lacks a knob.
        """
        if self.architecture in WEIGHT_COUNTS:
            return WEIGHT_COUNTS[self.architecture](self)
        try:
            count = num_weights(
                self.architecture,
                width=self.width,
                depth=self.depth,
                dims=self.dims,
                channels=self.channels,
                knobs=self.knobs,
            )
        except EmbeddingError as error:
            raise ConfigError(str(error)) from error
        if count is None:
            raise ConfigError(f"unknown architecture {self.architecture!r}: register it before its weights are counted")
        return count


NO_KNOBS = ("architecture", "width", "depth", "lr")
"""What a point may name beside the architecture's own values."""


def network_of(space: Space, point: Point, *, width: int, depth: int, dims: int, channels: int) -> NetworkConfig:
    """The network that a point of a space describes; `width` and `depth` hold where the point names none."""
    return NetworkConfig(
        architecture=space.architecture_of(point),
        width=int(point.get("width", width)),
        depth=int(point.get("depth", depth)),
        dims=dims,
        channels=channels,
        knobs={name: float(value) for name, value in point.items() if name not in NO_KNOBS},
    )


WEIGHT_COUNTS: dict[str, Callable[[NetworkConfig], int]] = {}
"""How to count the weights of registered architectures; `trainers.networks.register_architecture` fills it."""


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """A full-batch fit with Adam.

    Attributes:
        steps: weight updates.
        lr: Adam's learning rate at step 0.
        decay: factor on the rate ...
        decay_every: ... after every so many steps.
    """

    steps: int
    lr: float
    decay: float = 0.99
    decay_every: int = 20

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"`1 <= steps` must hold, but got steps={self.steps}")
        if not (0 < self.lr < math.inf):
            raise ConfigError(f"`0 < lr` must hold, but got lr={self.lr}")
        if not (0 < self.decay <= 1) or self.decay_every < 1:
            raise ConfigError(
                f"`0 < decay <= 1` and `1 <= decay_every` must hold, but got {self.decay}, {self.decay_every}"
            )

    def lr_at(self, step: int) -> float:
        """lr decay^floor(step / decay_every)."""
        return float(self.lr * self.decay ** (step // self.decay_every))

    @property
    def curve_every(self) -> int:
        """Steps between two points of the curve, so that it has at most `MAX_CURVE_POINTS`."""
        return math.ceil(self.steps / MAX_CURVE_POINTS)


class Status(StrEnum):
    """Where a fit stands."""

    RUNNING = "running"
    DONE = "done"
    DIVERGED = "diverged"
    NOT_FINITE = "not finite"


Curve = list[tuple[int, float]]
"""(step, PSNR in dB over the trained samples before that step's update)."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A fit at some step.

    Attributes:
        step: updates made.
        status: running, done, or why it ended early.
        psnr_db: of the best step so far, over the trained samples; None before the first.
        snr_db: likewise.
        best_step: the step before whose update the best was seen.
        curve: at most 100 points from the start on.
        fit_seconds: time spent on this fit's steps.
        held_psnr_db: of the best step, over the held-out samples; None where there are none.
        metrics: what else its kind of signal is judged by, of the best step on the whole grid; once it has ended.
    """

    step: int
    status: Status
    psnr_db: float | None
    snr_db: float | None
    best_step: int
    curve: Curve
    fit_seconds: float
    held_psnr_db: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class FitResult:
    """A finished fit: its last progress, the best step's weights, and what the network then gives.

    Attributes:
        progress: its last progress.
        weights: the best step's tensors by name, a copy.
        output: (points, channels) of the best step's network on the whole grid.
    """

    progress: Progress
    weights: Mapping[str, NDArray[np.float32]]
    output: NDArray[np.float32]
