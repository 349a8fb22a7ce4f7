"""Probe untrained networks for zero-cost scores: outputs, activations and tangent kernels, as numpy arrays.

J:  Jacobian of one output at n points with respect to all trained weights, (n, weights)
K:  empirical neural tangent kernel, sum over outputs of J J^T, (n, n)

[Jacot2018] arXiv 1806.07572.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spaces.parameters import Point
from spaces.scores import SCORES, Score, Untrained, score_named
from spaces.space import Space
from trainers.config import NetworkConfig
from trainers.networks import Tensors, architecture_of, initial_tensors, lane_factors, trace
from trainers.untrained import Grid, cpu_threads, draw_seeds, mean_and_error, network_on, render_untrained

ACTIVATION_POINTS = 512
"""Points of the grid that activations are read at: several times the usual widths, and a cheap eigenproblem for DSE."""

KERNEL_POINTS = 256
"""n of the tangent kernel; its cost grows with n^2 times the weights."""


class ScoreValue(NamedTuple):
    """A score of one point: the mean over draws, and its standard error, None for a single draw."""

    mean: float
    standard_error: float | None


def score_points(
    task: Grid,
    space: Space,
    points: Sequence[Point],
    *,
    width: int,
    depth: int,
    names: Sequence[str] | None = None,
    draws: int = 1,
    seed: int = 0,
    device: str = "cpu",
    threads: int = 1,
) -> list[dict[str, ScoreValue]]:
    """Zero-cost scores of many points: no network is trained.

    Outputs are rendered on the whole grid. Activations are read at 512 of its points, drawn from `seed` without
    replacement; kernels on a block of 256 neighbouring points or fewer (see `kernel_block`).

    Args:
        task: its clean grid is the target.
        space: that the points are of.
        points: to be scored; the learning rate has no influence.
        width, depth: of the networks, where a point names none.
        names: of `spaces.scores.SCORES`; None for all.
        draws: networks of each point, from the same seeds for every point.
        seed: of draws and sampled points.
        device: "cpu" or "cuda".
        threads: of torch on a CPU.

    Returns:
        For each point its scores by name; nan where a network has nothing to compute one from.

    Raises:
        ScoreError: an unknown name.
    """
    if draws < 1:
        raise ValueError(f"`1 <= draws` must hold, but got draws={draws}")
    scores = [score_named(name) for name in (SCORES if names is None else names)]
    networks = [network_on(task, space, point, width=width, depth=depth) for point in points for _ in range(draws)]
    seeds = draw_seeds(seed, draws) * len(points)
    values = np.zeros((len(scores), len(networks)))
    rows, (block, _) = sampled_points(task, ACTIVATION_POINTS, seed), kernel_block(task, KERNEL_POINTS)
    with cpu_threads(threads):
        for index, output in _rendered(scores, networks, seeds, task, device):
            known = _untrained(scores, networks[index], seeds[index], task, rows, block, output, device)
            values[:, index] = [score.compute(known) for score in scores]
    by_point = values.reshape(len(scores), len(points), draws)
    return [
        {score.name: ScoreValue(*mean_and_error(by_point[row, column])) for row, score in enumerate(scores)}
        for column in range(len(points))
    ]


def sampled_points(task: Grid, num: int, seed: int) -> NDArray[np.intp]:
    """Indices of at most `num` points of the grid, drawn without replacement, ascending."""
    points = len(task.coordinates)
    return np.sort(np.random.default_rng(seed).permutation(points)[:num])


def kernel_block(task: Grid, num: int) -> tuple[NDArray[np.intp], tuple[int, ...]]:
    """Indices of a block of at most `num` neighbouring points, and its shape: the cell with the most energy.

    Neighbours, so that the kernel's eigenvectors hold every frequency up to Nyquist: on scattered points a network of
    high frequency has a kernel without structure. The grid is cut into cells of equal length along every axis,
    floor(num^(1/dims)) or the whole axis; incomplete cells at its end are left out.
    """
    side = int(num ** (1.0 / len(task.shape)) + 1e-9)
    block = tuple(min(side, size) for size in task.shape)
    cells = tuple(size // length for size, length in zip(task.shape, block, strict=True))
    places = np.arange(math.prod(task.shape)).reshape(task.shape)
    energy = np.sum(task.values.astype(np.float64) ** 2, axis=1)
    whole = places[tuple(slice(number * length) for number, length in zip(cells, block, strict=True))]
    split = whole.reshape([part for pair in zip(cells, block, strict=True) for part in pair])
    dims = len(block)
    by_cell = np.moveaxis(split, range(0, 2 * dims, 2), range(dims)).reshape(math.prod(cells), -1)
    return by_cell[int(np.argmax(energy[by_cell].sum(axis=1)))], block


def activations_of(network: NetworkConfig, tensors: Tensors, x: Tensor) -> list[NDArray[np.float32]]:
    """Activations (N, features) of each hidden layer at x (N, dims), first layer first."""
    return [layer.cpu().numpy() for layer in trace(network, tensors, x)[:-1]]


def tangent_kernel(network: NetworkConfig, tensors: Tensors, x: Tensor) -> NDArray[np.float64]:
    """K = sum over outputs of J J^T, (n, n), of a network at x (n, dims); frequencies that are not trained stay out.

    Every point gets a lane of its own, so that one backward pass gives each point's gradient. J is what descent
    follows: FINER's factor, which is held without gradient, is so here.

    Args:
        network: the configuration.
        tensors: its weights, without a lane axis; they decide type and device.
        x: likewise typed.
    """
    architecture = architecture_of(network)
    num = len(x)
    lanes = {name: tensor.detach().expand(num, *tensor.shape) for name, tensor in tensors.items()}
    trained = [lanes[name].requires_grad_() for name in lanes if name not in architecture.fixed]
    outputs = architecture.forward(network)(lanes, lane_factors([network] * num, x), x.unsqueeze(1))
    kernel = torch.zeros((num, num), dtype=torch.float64, device=x.device)
    for channel in range(outputs.shape[2]):
        total = outputs[:, 0, channel].sum()
        for gradient in torch.autograd.grad(total, trained, retain_graph=True, materialize_grads=True):
            J = gradient.reshape(num, -1)
            kernel += (J @ J.T).double()
    return kernel.cpu().numpy()


def _rendered(
    scores: Sequence[Score], networks: Sequence[NetworkConfig], seeds: Sequence[int], task: Grid, device: str
) -> Iterator[tuple[int, NDArray[np.float32] | None]]:
    """Every network's index and its output, none where no score needs it."""
    if not any("output" in score.needs for score in scores):
        yield from ((index, None) for index in range(len(networks)))
        return
    for indices, outputs in render_untrained(networks, seeds, task, device):
        yield from zip(indices, outputs, strict=True)


def _untrained(
    scores: Sequence[Score],
    network: NetworkConfig,
    seed: int,
    task: Grid,
    rows: NDArray[np.intp],
    block: NDArray[np.intp],
    output: NDArray[np.float32] | None,
    device: str,
) -> Untrained:
    needs = {need for score in scores for need in score.needs}
    drawn = initial_tensors(network, seed) if needs - {"output"} else {}
    tensors = {name: tensor.to(device, torch.float32) for name, tensor in drawn.items()}
    x = torch.from_numpy(task.coordinates)
    return Untrained(
        shape=task.shape,
        target=task.values,
        output=output,
        activations=activations_of(network, tensors, x[rows].to(device)) if "activations" in needs else (),
        kernel=tangent_kernel(network, tensors, x[block].to(device)) if "kernel" in needs else None,
        kernel_target=task.values[block] if "kernel" in needs else None,
    )
