"""Zero-cost scores: a number for a point from its untrained network, arrays in.

y:       the target on the whole grid, (points, channels); x-hat is the untrained network's output there
H:       activations of the last hidden layer on some points of the grid, (rows, features)
K:       empirical neural tangent kernel on n points: J J^T summed over outputs, (n, n)
lambda:  eigenvalues, descending; v: eigenvectors

Which of them predicts anything is an empirical question: the rank correlation with the PSNR of finished trials. Each
says in which direction its authors, or we, expect it to.

[Kania2024] arXiv 2410.05050 (FreSh). [Garrido2023] arXiv 2210.02885 (RankMe). [Agrawal2022] arXiv 2202.05808
(alpha-ReQ), its fit as in the authors' code. [Liao2024] arXiv 2312.04823 (diffusion spectral entropy), constants of the
authors' code. [Jacot2018] arXiv 1806.07572 (NTK).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spaces.spectrum import (
    Array,
    amplitude_spectra,
    flattened_centroid,
    power_spectra,
    rms_frequency,
    to_grid,
    wasserstein_1,
)

Need: TypeAlias = Literal["output", "activations", "kernel"]

RANKME_EPSILON = 1e-7
"""Added to each share, as the authors do for float32 [Garrido2023]."""

ALPHA_REQ_RANKS = slice(3, 100)
"""Eigenvalues 4 to 100 are fitted: np.arange(3, 100) in the authors' code; the paper's text names no range."""

ALPHA_REQ_FLOOR = 1e-12
"""Eigenvalues below this share of the largest are rounding of float32 activations."""

DSE_SIGMA = 10.0
"""Width of the Gaussian kernel; the default of the authors' code [Liao2024]."""


class ScoreError(ValueError):
    """A score that is unknown."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Untrained:
    """What is known of one untrained network; what the chosen scores do not need may be left out.

    Attributes:
        shape: samples per axis of the grid.
        target: (points, channels) on the grid.
        output: likewise, the network's.
        activations: (rows, features) of each hidden layer at the same rows of the grid, first layer first.
        kernel: (n, n), J J^T summed over outputs, on n points.
        kernel_target: (n, channels), the target on these points.
    """

    shape: tuple[int, ...]
    target: NDArray[Any]
    output: NDArray[Any] | None = None
    activations: Sequence[NDArray[Any]] = ()
    kernel: Array | None = None
    kernel_target: NDArray[Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Score:
    """A score and what it needs.

    Attributes:
        name: what commands call it.
        direction: whether "lower" or "higher" promises a better fit.
        needs: of an `Untrained`, beside shape and target.
        compute: the number; nan where the network has nothing to compute it from.
        source: where it comes from.
    """

    name: str
    direction: Literal["lower", "higher"]
    needs: tuple[Need, ...]
    compute: Callable[[Untrained], float]
    source: str = "one's own"


def fresh_distance(network: Untrained) -> float:
    """Wasserstein-1 distance, in bins, of the amplitude spectra of output and target, in sound bins [Kania2024]."""
    output, target = (amplitude_spectra(values, network.shape) for values in (_output(network), network.target))
    return float(wasserstein_1(output, target))


def centroid_gap(network: Untrained) -> float:
    """|psi(x-hat) - psi(y)|, each the mean over channels of the published (flattened) centroid."""
    output, target = (
        np.mean([flattened_centroid(channel) for channel in to_grid(values, network.shape)])
        for values in (_output(network), network.target)
    )
    return float(abs(output - target))


def bandwidth_gap(network: Untrained) -> float:
    """|ln B(x-hat) - ln B(y)|, B the rms frequency; infinite where one of them has none."""
    bandwidths = [float(rms_frequency(values, network.shape)) for values in (_output(network), network.target)]
    if min(bandwidths) == 0.0:
        return math.inf
    return abs(math.log(bandwidths[0] / bandwidths[1]))


def ntk_energy(network: Untrained) -> float:
    """sum_i lambda_i |v_i^T y|^2 / (sum_i lambda_i |y|^2) = sum_c y_c^T K y_c / (tr K |y|^2), 0 to 1.

    The target's energy, each part weighted by how fast gradient descent learns it at first. 1: all of it lies in the
    one direction that K has; 1/n: K knows no direction. nan for a silent target.
    """
    assert network.kernel is not None
    assert network.kernel_target is not None
    y = np.asarray(network.kernel_target, dtype=np.float64)
    scale = float(np.trace(network.kernel) * np.sum(y**2))
    return float(np.sum(y * (network.kernel @ y))) / scale if scale > 0.0 else math.nan


def rankme(network: Untrained) -> float:
    """exp(-sum p ln p), p = sigma / sum sigma + 1e-7 of H's singular values sigma: its effective rank [Garrido2023].

    H is not centred, as published.
    """
    H = _last_activations(network)
    if H is None:
        return math.nan
    sigma = np.linalg.svd(H, compute_uv=False)
    if sigma[0] == 0.0:
        return 0.0
    p = sigma / sigma.sum() + RANKME_EPSILON
    return float(np.exp(-np.sum(p * np.log(p))))


def alpha_req(network: Untrained) -> float:
    """alpha of lambda_i ~ i^-alpha, eigenvalues of the covariance of H [Agrawal2022].

    Least squares of ln lambda_i on ln i over ranks i = 4 to 100, weights 1/i. Published use: representations with alpha
    near 1 are best; here lower is better, since coordinates give low-rank features to begin with. nan where fewer than
    two eigenvalues are left to fit.
    """
    H = _last_activations(network)
    if H is None:
        return math.nan
    sigma = np.linalg.svd(H - H.mean(axis=0), compute_uv=False)
    return power_law_exponent(sigma**2)


def power_law_exponent(eigenvalues: Array) -> float:
    """alpha of descending eigenvalues (n,); see `alpha_req`."""
    ranks = np.arange(1, len(eigenvalues) + 1)[ALPHA_REQ_RANKS]
    fitted = eigenvalues[ALPHA_REQ_RANKS]
    is_kept = fitted > ALPHA_REQ_FLOOR * eigenvalues[0]
    if is_kept.sum() < 2:
        return math.nan
    # polyfit squares its weights.
    slope, _ = np.polyfit(np.log(ranks[is_kept]), np.log(fitted[is_kept]), 1, w=1.0 / np.sqrt(ranks[is_kept]))
    return float(-slope)


def diffusion_spectral_entropy(network: Untrained) -> float:
    """-sum p log2 p in bits, p the normalised |eigenvalues| of the diffusion matrix of H's rows, t = 1 [Liao2024].

    G = exp(-|h_i - h_j|^2 / (2 sigma^2)), sigma 10; the matrix is D^-1/2 G D^-1/2, D the row sums of G. From 0 (all
    rows alike) to log2(rows) (every row far from all others).
    """
    H = _last_activations(network)
    if H is None:
        return math.nan
    squares = np.sum(H**2, axis=1)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2.0 * H @ H.T, 0.0)
    G = np.exp(-distances / (2.0 * DSE_SIGMA**2))
    root = np.sqrt(G.sum(axis=1))
    eigenvalues = np.abs(np.linalg.eigvalsh(G / root[:, None] / root[None, :]))
    p = eigenvalues / eigenvalues.sum() + np.finfo(np.float64).eps
    return float(max(-np.sum(p * np.log2(p)), 0.0))


def kernel_spectrum(kernel: Array, shape: tuple[int, ...]) -> Array:
    """S(f) = (1/n) sum_i lambda_i |FFT v_i|^2 in sound bins: how fast descent learns each frequency.

    Args:
        kernel: (n, n) on a block of neighbouring points, so that frequencies up to Nyquist are told apart.
        shape: of the block, n in all.
    """
    eigenvalues, vectors = np.linalg.eigh(kernel)
    power = power_spectra(vectors.T[..., None], shape)
    return np.asarray(np.maximum(eigenvalues, 0.0) @ power / len(kernel))


SCORES: dict[str, Score] = {
    score.name: score
    for score in (
        Score(
            name="fresh",
            direction="lower",
            needs=("output",),
            compute=fresh_distance,
            source="[Kania2024] FreSh, in sound bins",
        ),
        Score(
            name="centroid_gap",
            direction="lower",
            needs=("output",),
            compute=centroid_gap,
            source="winnow, with the centroid of [Chandravamsi2025]",
        ),
        Score(
            name="bandwidth_gap",
            direction="lower",
            needs=("output",),
            compute=bandwidth_gap,
            source="winnow: rms frequencies compared",
        ),
        Score(
            name="ntk_energy",
            direction="higher",
            needs=("kernel",),
            compute=ntk_energy,
            source="[Jacot2018] empirical NTK, the target's energy weighted by eigenvalue",
        ),
        Score(
            name="rankme",
            direction="higher",
            needs=("activations",),
            compute=rankme,
            source="[Garrido2023] RankMe of the last hidden layer",
        ),
        Score(
            name="alpha_req",
            direction="lower",
            needs=("activations",),
            compute=alpha_req,
            source="[Agrawal2022] alpha-ReQ of the last hidden layer",
        ),
        Score(
            name="dse",
            direction="higher",
            needs=("activations",),
            compute=diffusion_spectral_entropy,
            source="[Liao2024] diffusion spectral entropy of the last hidden layer",
        ),
    )
}
"""The scores by name."""


def register_score(name: str, score: Score) -> None:
    """Make a score of one's own known by name."""
    SCORES[name] = score


def score_named(name: str) -> Score:
    """The score of that name.

    Raises:
        ScoreError: there is none.
    """
    if name not in SCORES:
        raise ScoreError(f"unknown score {name!r}; known scores: {', '.join(SCORES)}")
    return SCORES[name]


def _output(network: Untrained) -> NDArray[Any]:
    assert network.output is not None
    return network.output


def _last_activations(network: Untrained) -> Array | None:
    """Of the last hidden layer; None where the network shows none (a module of one's own), or they are not finite."""
    if not network.activations:
        return None
    last = np.asarray(network.activations[-1], dtype=np.float64)
    return last if np.isfinite(last).all() else None
