"""Untrained networks: of a space's points, from a few seeds, on the grid of a task."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor

from spaces.parameters import Point
from spaces.space import Space
from trainers.config import ConfigError, NetworkConfig, network_of
from trainers.networks import architecture_of, initial_tensors, lane_factors, stack_key

VALUES_PER_PASS = 2**24
"""Output values that are held at a time: 64 MiB in float32, and as float64 spectra a few times that."""


RENDER_ROWS = {"cpu": 2_048, "cuda": 524_288}
"""Lanes times points in one pass of `render_stack`: on a CPU a layer's activations stay in cache (measured, width 128,
16,384 points: 25 ms a network with 1,024 or 2,048 rows, 26 to 30 ms with 256 or 8,192 and more); on a GPU it bounds
the memory."""


class Grid(Protocol):
    """What a Task says of its clean signal; which samples are trained on does not matter here."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples per axis."""

    @property
    def coordinates(self) -> NDArray[np.float32]:
        """(points, dims) of the whole grid."""

    @property
    def values(self) -> NDArray[np.float32]:
        """(points, channels) on it."""


@contextmanager
def cpu_threads(threads: int) -> Iterator[None]:
    """Let torch and numpy's linear algebra use so many threads inside the block.

    Untrained networks are many small products: one thread is about as fast as two on an idle machine, and 30 times
    faster where other processes hold the cores (measured: 4 s against 115 s for 200 points), as threads wait for each
    other at every product.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(limits=threads):
            yield
    finally:
        torch.set_num_threads(before)


def network_on(grid: Grid, space: Space, point: Point, *, width: int, depth: int) -> NetworkConfig:
    """The network that a point describes, with the axes and channels of a grid."""
    dims, channels = grid.coordinates.shape[1], grid.values.shape[1]
    return network_of(space, point, width=width, depth=depth, dims=dims, channels=channels)


def draw_seeds(seed: int, draws: int) -> list[int]:
    """Seeds of the draws, the same for every point (common random numbers)."""
    return [int(word) for word in np.random.SeedSequence(seed).generate_state(draws, np.uint64) >> np.uint64(1)]


def render_untrained(
    networks: Sequence[NetworkConfig], seeds: Sequence[int], grid: Grid, device: str = "cpu"
) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    """Every network's output on the whole grid, one batched pass for each stack key.

    Args:
        networks: in any order.
        seeds: of each.
        grid: coordinates and channels.
        device: "cpu" or "cuda".

    Yields:
        Indices into `networks`, and their outputs (networks, points, channels): at most `VALUES_PER_PASS` at a time.
    """
    x = torch.from_numpy(grid.coordinates).to(device)
    together = max(1, VALUES_PER_PASS // math.prod(grid.values.shape))
    for group in _groups([stack_key(network) for network in networks]):
        for start in range(0, len(group), together):
            chosen = group[start : start + together]
            outputs = render_stack([networks[i] for i in chosen], [seeds[i] for i in chosen], x)
            yield chosen, outputs.cpu().numpy()


def render_stack(configs: Sequence[NetworkConfig], seeds: Sequence[int], x: Tensor) -> Tensor:
    """Outputs (K, N, channels) of K untrained networks of one stack key at x (N, dims), in the type of x.

    Points go in chunks of `RENDER_ROWS`; where there are fewer points than that, several networks go in one pass.

    Args:
        configs: K networks.
        seeds: of each.
        x: coordinates; decides type and device.

    Raises:
        ConfigError: they cannot share a stack.
    """
    keys = {stack_key(config) for config in configs}
    if len(keys) != 1 or len(seeds) != len(configs):
        raise ConfigError(
            f"as many networks as seeds must share a stack, but got {len(configs)} networks of {len(keys)} keys "
            f"and {len(seeds)} seeds"
        )
    output = x.new_empty((len(configs), len(x), configs[0].channels))
    forward = architecture_of(configs[0]).forward(configs[0])
    rows = RENDER_ROWS[x.device.type]
    lanes = max(1, rows // max(1, len(x)))
    with torch.no_grad():
        for first in range(0, len(configs), lanes):
            group = slice(first, first + lanes)
            networks = [initial_tensors(*pair) for pair in zip(configs[group], seeds[group], strict=True)]
            tensors = {name: torch.stack([each[name] for each in networks]).to(x) for name in networks[0]}
            factors = lane_factors(configs[group], x)
            for start in range(0, len(x), rows):
                chunk = x[start : start + rows].expand(len(networks), -1, -1)
                output[group, start : start + rows] = forward(tensors, factors, chunk)
    return output


def mean_and_error(draws: NDArray[Any]) -> tuple[float, float | None]:
    """The mean over draws (draws,), and its standard error sd / sqrt(draws), None for a single one."""
    values = np.asarray(draws, dtype=np.float64)
    error = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None
    return float(values.mean()), error


def _groups(keys: Sequence[Hashable]) -> list[list[int]]:
    groups: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    return list(groups.values())
