"""Fit K networks of one stack key (family and shape) side by side on one device; K = 1 is the plain case.

Every step is one pass over the trained samples, with the exact full-batch gradient, so their PSNR before each update
costs nothing. Held-out samples are looked at when progress is asked for, with the best step's weights. Lanes have
nothing in common but the device: each has its own weights, knobs, optimiser, schedule, step count and end.

On a GPU the lanes of a stack are one batched pass. On a CPU they take turns: a lane then gives, bit for bit, what its
fit gives alone (batched products round otherwise, and fits magnify that), a lane without a trial costs nothing, and
from a few thousand samples on a batched pass is no faster.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.config import ConfigError, FitConfig, FitResult, NetworkConfig, Progress, Status
from trainers.lane import Lane
from trainers.metrics import psnr_db
from trainers.networks import architecture_of, initial_tensors, render, stack_key
from trainers.passes import FullBatch, GraphedFullBatch, Pass
from trainers.quality import measure
from trainers.tasks import Task

CPU_ROWS = 2_048
"""Rows of a pass on a CPU, where the activations of a chunk then stay in cache."""

CUDA_ROWS = 16_384
"""Rows of a pass in each lane on a GPU, where they bound the memory: half the lanes need half of it."""


class FitStack:
    """Lanes for K networks of one stack key on one device; tensors that are not trained have no gradient.

    Args:
        task: the samples.
        shape: any configuration; its stack key (family, tensor shapes) holds for every lane.
        num_lanes: K.
        device: "cpu" or "cuda".
        is_batched: whether all lanes are one pass; on a GPU unless said.
    """

    def __init__(
        self,
        task: Task,
        shape: NetworkConfig,
        *,
        num_lanes: int = 1,
        device: str = "cpu",
        is_batched: bool | None = None,
    ) -> None:
        self.task = task
        self.device = torch.device(device)
        self._key = stack_key(shape)
        on_cuda = self.device.type == "cuda"
        at_once = num_lanes if (on_cuda if is_batched is None else is_batched) else 1
        self._rows = CUDA_ROWS if on_cuda else CPU_ROWS
        is_whole = len(task.trained) == len(task.coordinates)
        x = torch.from_numpy(task.coordinates if is_whole else task.coordinates[task.trained]).to(self.device)
        y = torch.from_numpy(task.targets).to(self.device)
        architecture = architecture_of(shape)
        eager = FullBatch(architecture.forward(shape), x, y, self._rows, is_shared=architecture.is_static)
        self._batches = [
            _Batch(at_once, GraphedFullBatch(eager) if on_cuda and architecture.is_static else eager)
            for _ in range(num_lanes // at_once)
        ]
        self._at_once = at_once
        self._lanes: dict[int, Lane] = {}

    def start(self, lane: int, network: NetworkConfig, fit: FitConfig, seed: int, checkpoint: bytes = b"") -> None:
        """Put a network into a lane: fresh from `seed`, or where `checkpoint` left it.

        Raises:
            CheckpointError: the checkpoint is damaged or belongs to another fit.
        """
        if stack_key(network) != self._key:
            raise ConfigError(f"every lane must be of the stack's key {self._key}, but got {stack_key(network)}")
        batch, place = divmod(lane, self._at_once)
        views = self._batches[batch].place_(place, network, seed, self.device)
        self._lanes[lane] = Lane(views, network, fit, seed, self.task)
        if checkpoint:
            self._lanes[lane].restore_(checkpoint)

    def stop(self, lane: int) -> None:
        """Take the network out of a lane."""
        del self._lanes[lane]

    def advance(self, until: Mapping[int, int], seconds: float = math.inf) -> None:
        """Run the lanes named in `until` until one of them reaches its step or ends, or `seconds` have passed."""
        deadline = time.perf_counter() + seconds
        lanes = {lane: self._lanes[lane] for lane in until}
        by_batch: dict[int, list[int]] = {}
        for lane in until:
            by_batch.setdefault(lane // self._at_once, []).append(lane)
        while all(lane.status is Status.RUNNING and lane.step < until[number] for number, lane in lanes.items()):
            if time.perf_counter() > deadline:
                return
            for batch, members in by_batch.items():
                self._step_(self._batches[batch], members)

    def progress(self, lane: int) -> Progress:
        """Where a lane stands; of a fit that has ended, it is measured once."""
        fitted = self._lanes[lane]
        if fitted.last is not None:
            return fitted.last
        progress = fitted.progress()
        if progress.psnr_db is not None and self.task.has_held:
            progress = replace(progress, held_psnr_db=self._held_psnr_db(fitted))
        if progress.status is Status.RUNNING:
            return progress
        if progress.psnr_db is not None:
            progress = replace(progress, metrics=measure(self._render(fitted, self.task.coordinates), self.task))
        fitted.last = progress
        return progress

    def checkpoint(self, lane: int) -> bytes:
        """A lane as bytes from which `start` continues exactly."""
        return self._lanes[lane].checkpoint()

    def weights(self, lane: int) -> dict[str, NDArray[np.float32]]:
        """A lane's best weights, a copy."""
        return {name: tensor.cpu().numpy().copy() for name, tensor in self._lanes[lane].best.items()}

    def result(self, lane: int) -> FitResult:
        """A lane's best weights and what their network gives."""
        return FitResult(
            progress=self.progress(lane),
            weights=self.weights(lane),
            output=self._render(self._lanes[lane], self.task.coordinates),
        )

    def _step_(self, batch: _Batch, members: Sequence[int]) -> None:
        began = time.perf_counter()
        losses = batch.losses_and_gradients_()
        for number in members:
            self._lanes[number].update_(losses[number % self._at_once])
        shared = (time.perf_counter() - began) / len(members)
        for number in members:
            self._lanes[number].fit_seconds += shared

    def _held_psnr_db(self, fitted: Lane) -> float | None:
        """PSNR over the held-out samples at the best step's weights; None where it is not finite."""
        output = self._render(fitted, self.task.coordinates[self.task.held])
        error = output.astype(np.float64) - self.task.values[self.task.held]
        mse = float(np.mean(error**2))
        return psnr_db(mse, self.task.kind) if math.isfinite(mse) else None

    def _render(self, fitted: Lane, coordinates: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs (points, channels) of a lane's best weights."""
        x = torch.from_numpy(coordinates).to(self.device)
        return render(fitted.network, fitted.best, x, rows=self._rows).cpu().numpy()


class _Batch:
    """Places for networks whose tensors are stacked, (places, ...), and pass together."""

    def __init__(self, num_places: int, run: Pass) -> None:
        self._num_places = num_places
        self._run = run
        self._tensors: dict[str, Tensor] = {}
        self._factors: dict[str, Tensor] = {}

    def place_(self, place: int, network: NetworkConfig, seed: int, device: torch.device) -> dict[str, Tensor]:
        """Draw a network into a place; views of its tensors, with views of their gradients beside them."""
        architecture = architecture_of(network)
        initial = initial_tensors(network, seed)
        for name, tensor in initial.items():
            if name not in self._tensors:
                stacked = torch.zeros((self._num_places, *tensor.shape), device=device)
                if name not in architecture.fixed:
                    stacked.requires_grad_()
                    stacked.grad = torch.zeros_like(stacked)
                self._tensors[name] = stacked
        for name, value in architecture.factors(architecture.complete_knobs(network)).items():
            self._factors.setdefault(name, torch.ones(self._num_places, device=device))[place] = value
        views = {name: stacked.detach()[place] for name, stacked in self._tensors.items()}
        for name, view in views.items():
            view.copy_(initial[name])
            grad = self._tensors[name].grad
            view.grad = None if grad is None else grad[place]
        return views

    def losses_and_gradients_(self) -> list[float]:
        """MSE over all points and channels, by place; the gradients are left in the tensors."""
        return list(self._run(self._tensors, self._factors).tolist())


def fit_network(task: Task, network: NetworkConfig, fit: FitConfig, seed: int, device: str = "cpu") -> FitResult:
    """Fit one network from a fresh start to its end."""
    stack = FitStack(task, network, device=device)
    stack.start(0, network, fit, seed)
    stack.advance({0: fit.steps})
    return stack.result(0)
