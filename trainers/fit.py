"""Fit K networks of one stack key (family and shape) side by side on one device; K = 1 is the plain case.

Every step is one pass over the trained samples in chunks of rows, with the exact full-batch gradient, so their PSNR
before each update costs nothing. Held-out samples are looked at when progress is asked for, with the best step's
weights. Lanes share matrix products and nothing else: each has its own weights, knobs, optimiser, schedule, step count
and end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.checkpoint import CheckpointError, pack, unpack
from trainers.config import ConfigError, Curve, FitConfig, FitResult, NetworkConfig, Progress, Status
from trainers.metrics import psnr_db, snr_db
from trainers.networks import architecture_of, initial_tensors, render, stack_key
from trainers.quality import measure
from trainers.tasks import Task

CHUNK_ROWS = {"cpu": 2_048, "cuda": 65_536}
"""Rows of a pass: on a CPU the activations of a chunk stay in cache; on a GPU a chunk bounds the memory."""

DIVERGED_POWERS = 1e3
"""A fit whose MSE exceeds the signal's power this many times has left for good: silence would score 30 dB more."""


class FitStack:
    """Lanes for K networks of one stack key on one device; tensors that are not trained have no gradient.

    Args:
        task: the samples.
        shape: any configuration; its stack key (family, tensor shapes) holds for every lane.
        num_lanes: K.
        device: "cpu" or "cuda".
    """

    def __init__(self, task: Task, shape: NetworkConfig, *, num_lanes: int = 1, device: str = "cpu") -> None:
        self.task = task
        self.device = torch.device(device)
        self.num_lanes = num_lanes
        self._key = stack_key(shape)
        self._fixed = architecture_of(shape).fixed
        self._forward = architecture_of(shape).forward(shape)
        is_whole = len(task.trained) == len(task.coordinates)
        self._x = torch.from_numpy(task.coordinates if is_whole else task.coordinates[task.trained]).to(self.device)
        self._y = torch.from_numpy(task.targets).to(self.device)
        self._tensors: dict[str, Tensor] = {}
        self._factors: dict[str, Tensor] = {}
        self._lanes: dict[int, _Lane] = {}

    def start(self, lane: int, network: NetworkConfig, fit: FitConfig, seed: int, checkpoint: bytes = b"") -> None:
        """Put a network into a lane: fresh from `seed`, or where `checkpoint` left it.

        Raises:
            CheckpointError: the checkpoint is damaged or belongs to another fit.
        """
        if stack_key(network) != self._key:
            raise ConfigError(f"every lane must be of the stack's key {self._key}, but got {stack_key(network)}")
        initial = initial_tensors(network, seed)
        for name, tensor in initial.items():
            if name not in self._tensors:
                stacked = torch.zeros((self.num_lanes, *tensor.shape), device=self.device)
                if name not in self._fixed:
                    stacked.requires_grad_()
                    stacked.grad = torch.zeros_like(stacked)
                self._tensors[name] = stacked
        architecture = architecture_of(network)
        for name, value in architecture.factors(architecture.complete_knobs(network)).items():
            self._factors.setdefault(name, torch.ones(self.num_lanes, device=self.device))[lane] = value
        views = {name: stacked.detach()[lane] for name, stacked in self._tensors.items()}
        for name, view in views.items():
            view.copy_(initial[name])
            grad = self._tensors[name].grad
            view.grad = None if grad is None else grad[lane]
        self._lanes[lane] = _Lane(views, network, fit, seed, self.task)
        if checkpoint:
            self._lanes[lane].restore_(checkpoint)

    def stop(self, lane: int) -> None:
        """Take the network out of a lane."""
        del self._lanes[lane]

    def advance(self, until: Mapping[int, int], seconds: float = math.inf) -> None:
        """Run the lanes named in `until` until one of them reaches its step or ends, or `seconds` have passed."""
        deadline = time.perf_counter() + seconds
        lanes = {lane: self._lanes[lane] for lane in until}
        while all(lane.status is Status.RUNNING and lane.step < until[number] for number, lane in lanes.items()):
            began = time.perf_counter()
            if began > deadline:
                return
            losses = self._losses_and_gradients_().tolist()
            for number, lane in lanes.items():
                lane.update_(losses[number])
            shared = (time.perf_counter() - began) / len(lanes)
            for lane in lanes.values():
                lane.fit_seconds += shared

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

    def _held_psnr_db(self, fitted: _Lane) -> float | None:
        """PSNR over the held-out samples at the best step's weights; None where it is not finite."""
        output = self._render(fitted, self.task.coordinates[self.task.held])
        error = output.astype(np.float64) - self.task.values[self.task.held]
        mse = float(np.mean(error**2))
        return psnr_db(mse, self.task.kind) if math.isfinite(mse) else None

    def _render(self, fitted: _Lane, coordinates: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs (points, channels) of a lane's best weights."""
        x = torch.from_numpy(coordinates).to(self.device)
        return render(fitted.network, fitted.best, x, rows=CHUNK_ROWS[self.device.type]).cpu().numpy()

    def _losses_and_gradients_(self) -> Tensor:
        """MSE over all points and channels of every lane, (K,); gradients are left in the tensors."""
        for tensor in self._tensors.values():
            if tensor.grad is not None:
                tensor.grad.zero_()
        losses = torch.zeros(self.num_lanes, device=self.device)
        rows = CHUNK_ROWS[self.device.type]
        for x, y in zip(torch.split(self._x, rows), torch.split(self._y, rows), strict=True):
            output = self._forward(self._tensors, self._factors, x.expand(self.num_lanes, -1, -1))
            loss = (output - y).square().sum(dim=(1, 2)) / self._y.numel()
            # Lanes are independent: the gradient of the sum is each lane's own.
            torch.autograd.backward(loss.sum())
            losses += loss.detach()
        return losses


class _Lane:
    """One network of a stack: views of its slice of every tensor, and all that is its own."""

    def __init__(self, views: dict[str, Tensor], network: NetworkConfig, fit: FitConfig, seed: int, task: Task) -> None:
        self.network = network
        self.best = {name: view.clone() for name, view in views.items()}
        self.status = Status.RUNNING
        self.last: Progress | None = None  # once it has ended
        self.step = 0
        self.fit_seconds = 0.0
        self._views = views
        self._fit = fit
        self._seed = seed
        self._kind = task.kind
        self._power = task.power
        self._digest = task.digest
        self._best_mse = math.inf
        self._best_step = 0
        self._curve: Curve = []
        self._trained = {name: view for name, view in views.items() if view.grad is not None}
        self._optimiser = torch.optim.Adam(self._trained.values(), lr=fit.lr, fused=True)

    def update_(self, mse: float) -> None:
        """One step, given the MSE before it; the gradients lie in the views."""
        if not math.isfinite(mse):
            self.status = Status.NOT_FINITE
            return
        if mse < self._best_mse:
            self._best_mse, self._best_step = mse, self.step
            for name, view in self._trained.items():
                self.best[name].copy_(view)
        if self.step % self._fit.curve_every == 0:
            self._curve.append((self.step, psnr_db(mse, self._kind)))
        if mse > DIVERGED_POWERS * self._power:
            self.status = Status.DIVERGED
            return
        self._optimiser.param_groups[0]["lr"] = self._fit.lr_at(self.step)
        self._optimiser.step()
        self.step += 1
        if self.step == self._fit.steps:
            self.status = Status.DONE

    def progress(self) -> Progress:
        is_scored = math.isfinite(self._best_mse)
        return Progress(
            step=self.step,
            status=self.status,
            psnr_db=psnr_db(self._best_mse, self._kind) if is_scored else None,
            snr_db=snr_db(self._best_mse, self._power) if is_scored else None,
            best_step=self._best_step,
            curve=list(self._curve),
            fit_seconds=self.fit_seconds,
        )

    def checkpoint(self) -> bytes:
        """Weights, best weights, optimiser and step: the schedule follows the step, and nothing else is random."""
        arrays = {f"weights/{name}": view for name, view in self._views.items()}
        arrays |= {f"best/{name}": tensor for name, tensor in self.best.items()}
        for name, view in self._views.items():
            for key, tensor in self._optimiser.state.get(view, {}).items():
                arrays[f"adam/{key}/{name}"] = tensor
        facts = {
            "identity": self._identity(),
            "status": self.status,
            "step": self.step,
            "best_mse": self._best_mse if math.isfinite(self._best_mse) else None,
            "best_step": self._best_step,
            "curve": self._curve,
            "fit_seconds": self.fit_seconds,
        }
        return pack({name: tensor.detach().cpu().numpy() for name, tensor in arrays.items()}, facts)

    def restore_(self, data: bytes) -> None:
        arrays, facts = unpack(data)
        if facts.get("identity") != self._identity():
            raise CheckpointError(f"a checkpoint must be of the same fit, but got {facts.get('identity')}")
        try:
            self._restore_from_(arrays, facts)
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"a checkpoint must hold all of a fit, but: {error}") from error

    def _restore_from_(self, arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        device = next(iter(self._views.values())).device

        def tensor(name: str, like: tuple[int, ...]) -> Tensor:
            if arrays[name].shape != like:
                raise ValueError(f"{name} has shape {arrays[name].shape}, not {like}")
            return torch.from_numpy(arrays[name]).to(device)

        for name, view in self._views.items():
            shape = tuple(view.shape)
            view.copy_(tensor(f"weights/{name}", shape))
            self.best[name].copy_(tensor(f"best/{name}", shape))
            if facts["step"] > 0 and name in self._trained:
                self._optimiser.state[view] = {
                    "step": tensor(f"adam/step/{name}", ()),
                    "exp_avg": tensor(f"adam/exp_avg/{name}", shape),
                    "exp_avg_sq": tensor(f"adam/exp_avg_sq/{name}", shape),
                }
        self.status = Status(facts["status"])
        self.step = facts["step"]
        self._best_mse = math.inf if facts["best_mse"] is None else facts["best_mse"]
        self._best_step = facts["best_step"]
        self._curve = [(step, value) for step, value in facts["curve"]]
        self.fit_seconds = facts["fit_seconds"]

    def _identity(self) -> dict[str, Any]:
        network = {**asdict(self.network), "knobs": dict(self.network.knobs)}
        return {"network": network, "fit": asdict(self._fit), "seed": self._seed, "task": self._digest}


def fit_network(task: Task, network: NetworkConfig, fit: FitConfig, seed: int, device: str = "cpu") -> FitResult:
    """Fit one network from a fresh start to its end."""
    stack = FitStack(task, network, device=device)
    stack.start(0, network, fit, seed)
    stack.advance({0: fit.steps})
    return stack.result(0)
