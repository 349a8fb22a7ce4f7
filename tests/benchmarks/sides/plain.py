"""White noise, and the plain torch loop on it: what fits are compared with in time and memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from trainers.config import FitConfig, NetworkConfig
from trainers.networks import initial_tensors
from trainers.scaling import build_signal
from trainers.tasks import Task, build_task


def noise(samples: int) -> Task:
    """White noise on a line: what the samples are makes no step slower."""
    raw = np.random.default_rng(0).standard_normal((samples, 1))
    return build_task(
        build_signal(raw, kind="audio", name="noise", source="noise", start=(0,), total=(samples,), rate_hz=44_100.0)
    )


def plain_loop(task: Task, network: NetworkConfig, fit: FitConfig) -> Callable[[int], list[float]]:
    """What one writes without thinking of speed: makes so many steps and returns their losses."""
    tensors = initial_tensors(network, 0)
    linears = nn.ModuleList()
    for layer in range(network.depth + 1):
        weight, bias = tensors[f"weight{layer}"].float(), tensors[f"bias{layer}"].float()
        linear = nn.Linear(weight.shape[1], weight.shape[0])
        linear.load_state_dict({"weight": weight, "bias": bias})
        linears.append(linear)
    x, y = torch.from_numpy(task.coordinates), torch.from_numpy(task.targets)
    optimiser = torch.optim.Adam(linears.parameters(), lr=fit.lr)

    def run(steps: int) -> list[float]:
        losses = []
        for _ in range(steps):
            h = x
            for linear in linears[:-1]:
                h = torch.sin(30.0 * linear(h))
            loss = nn.functional.mse_loss(linears[-1](h), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        return losses

    return run
