"""Look into a network before and after its fit: spectra by layer, of the output, of the empirical tangent kernel.

[Jacot2018] arXiv 1806.07572 (NTK).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spaces.scores import kernel_spectrum
from spaces.spectrum import Array, amplitude_spectra, in_bands
from trainers.config import NetworkConfig
from trainers.networks import Tensors, initial_tensors, trace
from trainers.probe import KERNEL_POINTS, kernel_block, tangent_kernel
from trainers.untrained import Grid, cpu_threads

MAX_BANDS = 200
"""More show nothing more on a screen."""

VALUES_PER_PASS = 2**24
"""Activations that are held at a time, of all layers."""

FEATURES_PER_LAYER = 64
"""Features whose spectra are averaged, the first ones: their order is random."""


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """A network at one time of its fit.

    Attributes:
        layers: (hidden layers, bands), amplitude spectrum of each layer's features, the mean over features.
        output: (bands,), of the output, summed over channels.
        ntk_eigenvalues: (n,), descending, of K = J J^T / n^2 on the block of neighbouring points.
        ntk_spectrum: (bins of the block,), S(f) = (1/n) sum_i lambda_i |FFT v_i|^2.
    """

    layers: Array
    output: Array
    ntk_eigenvalues: Array
    ntk_spectrum: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class Diagnosis:
    """Spectra of a network at start and end, in at most 200 bands of equal width, not normalised.

    Attributes:
        frequency: (bands,), middle of each band in whole cycles over the grid; Nyquist is `nyquist`.
        nyquist: of the longest axis, cycles over the grid.
        target: (bands,), of the clean signal, summed over channels.
        start: the untrained network.
        end: the network with the weights given, or None.
    """

    frequency: Array
    nyquist: float
    target: Array
    start: State
    end: State | None

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, JSON-able; None for what is not finite, as a kernel that overflows."""
        plain: dict[str, Any] = _listed(asdict(self))
        return plain


def diagnose(
    task: Grid,
    network: NetworkConfig,
    seed: int,
    weights: Mapping[str, NDArray[Any]] | None = None,
    device: str = "cpu",
    threads: int = 1,
) -> Diagnosis:
    """Spectra by layer, of the output and of the tangent kernel, of a network at start and, with `weights`, at end.

    1-D: |rfft| over the grid; 2-D and 3-D: bins of equal radius. The mean is left out.

    Args:
        task: its clean grid is the target.
        network: the configuration.
        seed: of its start.
        weights: tensors by name at the end of the fit (a FitResult's).
        device: "cpu" or "cuda".
        threads: of torch on a CPU.
    """
    target = _bands(task.values[None], task.shape)[0]
    num_bins = amplitude_spectra(task.values, task.shape).shape[-1]
    end = None if weights is None else {name: torch.from_numpy(np.array(values)) for name, values in weights.items()}
    with cpu_threads(threads):
        return Diagnosis(
            frequency=in_bands(np.arange(1.0, num_bins + 1.0), MAX_BANDS),
            nyquist=max(task.shape) / 2.0,
            target=target,
            start=_state(task, network, initial_tensors(network, seed), device),
            end=None if end is None else _state(task, network, end, device),
        )


def _state(task: Grid, network: NetworkConfig, drawn: Tensors, device: str) -> State:
    tensors = {name: tensor.to(device, torch.float32) for name, tensor in drawn.items()}
    x = torch.from_numpy(task.coordinates).to(device)
    *layers, output = _traced(network, tensors, x)
    block, block_shape = kernel_block(task, KERNEL_POINTS)
    kernel = tangent_kernel(network, tensors, x[torch.from_numpy(block)]) / len(block) ** 2
    if np.isfinite(kernel).all():
        eigenvalues = np.maximum(np.linalg.eigvalsh(kernel)[::-1], 0.0)
        spectrum = kernel_spectrum(kernel, block_shape)
    else:  # the loss may be finite where its kernel overflows
        eigenvalues = spectrum = np.full(len(block), np.nan)
    output_bands = _bands(output[None], task.shape)[0]
    by_layer = [_bands(layer.T[:, :, None], task.shape).mean(axis=0) for layer in layers]
    return State(
        layers=np.array(by_layer).reshape(len(layers), len(output_bands)),
        output=output_bands,
        ntk_eigenvalues=eigenvalues,
        ntk_spectrum=spectrum,
    )


def _traced(network: NetworkConfig, tensors: Tensors, x: Tensor) -> list[NDArray[np.float32]]:
    """Some features of each hidden layer, then the outputs, on the whole grid."""
    rows = max(1, VALUES_PER_PASS // ((network.depth + 1) * network.width))
    passes = []
    for chunk in torch.split(x, rows):
        *hidden, output = trace(network, tensors, chunk)
        passes.append([layer[:, :FEATURES_PER_LAYER].cpu().numpy() for layer in hidden] + [output.cpu().numpy()])
    return [np.concatenate(parts) for parts in zip(*passes, strict=True)]


def _bands(values: NDArray[Any], shape: tuple[int, ...]) -> Array:
    """Amplitude spectra of (signals, points, channels) one after the other, (signals, bands)."""
    return np.array([in_bands(amplitude_spectra(each, shape), MAX_BANDS) for each in values])


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _listed(inner) for name, inner in value.items()}
    if isinstance(value, np.ndarray):
        return _listed(value.tolist())
    if isinstance(value, list):
        return [_listed(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
