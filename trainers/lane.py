"""One network of a stack: its views of the stacked tensors, and all that is its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from trainers.adam import Adam
from trainers.checkpoint import CheckpointError, pack, unpack
from trainers.config import Curve, FitConfig, NetworkConfig, Progress, Status
from trainers.metrics import psnr_db, snr_db
from trainers.tasks import Task

DIVERGED_POWERS = 1e3
"""A fit whose MSE exceeds the signal's power this many times has left for good: silence would score 30 dB more."""


class Lane:
    """A fit: weights, optimiser, schedule, step count and end.

    Args:
        views: its slice of every stacked tensor; trained ones have their slice of the gradient beside them.
        network, fit, seed: what it is.
        task: what it fits.
    """

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
        self._adam = Adam(self._trained)

    def update_(self, mse: float) -> None:
        """One step, given the MSE before it; the gradients lie in the views."""
        if not math.isfinite(mse):
            self.status = Status.NOT_FINITE
            return
        if mse < self._best_mse:
            self._best_mse, self._best_step = mse, self.step
            torch._foreach_copy_([self.best[name] for name in self._trained], list(self._trained.values()))
        if self.step % self._fit.curve_every == 0:
            self._curve.append((self.step, psnr_db(mse, self._kind)))
        if mse > DIVERGED_POWERS * self._power:
            self.status = Status.DIVERGED
            return
        self._adam.step_(self._fit.lr_at(self.step))
        self.step += 1
        if self.step == self._fit.steps:
            self.status = Status.DONE

    def progress(self) -> Progress:
        """Where it stands, over the trained samples."""
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
        arrays |= {f"adam/{name}": tensor for name, tensor in self._adam.state().items()}
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
        """Go on from a checkpoint.

        Raises:
            CheckpointError: it is damaged or of another fit.
        """
        arrays, facts = unpack(data)
        if facts.get("identity") != self._identity():
            raise CheckpointError(f"a checkpoint must be of the same fit, but got {facts.get('identity')}")
        try:
            self._restore_from_(arrays, facts)
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"a checkpoint must hold all of a fit, but: {error}") from error

    def _restore_from_(self, arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        def tensor(name: str, like: Tensor) -> Tensor:
            if arrays[name].shape != tuple(like.shape):
                raise ValueError(f"{name} has shape {arrays[name].shape}, not {tuple(like.shape)}")
            return torch.from_numpy(arrays[name]).to(like)

        for name, view in self._views.items():
            view.copy_(tensor(f"weights/{name}", view))
            self.best[name].copy_(tensor(f"best/{name}", view))
        self._adam.restore_(lambda name, like: tensor(f"adam/{name}", like))
        self.status = Status(facts["status"])
        self.step = facts["step"]
        self._best_mse = math.inf if facts["best_mse"] is None else facts["best_mse"]
        self._best_step = facts["best_step"]
        self._curve = [(step, value) for step, value in facts["curve"]]
        self.fit_seconds = facts["fit_seconds"]

    def _identity(self) -> dict[str, Any]:
        network = {**asdict(self.network), "knobs": dict(self.network.knobs)}
        return {"network": network, "fit": asdict(self._fit), "seed": self._seed, "task": self._digest}
