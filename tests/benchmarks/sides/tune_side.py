"""The same search with Ray Tune, OptunaSearch and MLflowLoggerCallback, as a user would write it with care.

Its best settings: a class trainable with `reuse_actors`, as many trials at a time as there are cores, results reported
where they are looked at (at the rung, and at the end), no loggers but MLflow's, no checkpoints. The network is plain
torch, the whole batch at once; space, first weights and schedule are winnow's own. With a function trainable the search
took as long: 17.6 s for this one's 17.9, 17.8 for 14.3, 31.4 for 33.1. `bench_tune.py` starts this.
"""

from __future__ import annotations

import math
import os
import time
from typing import Any

os.environ.update(
    RAY_USAGE_STATS_ENABLED="0",
    MLFLOW_DISABLE_TELEMETRY="true",
    TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
    TUNE_GLOBAL_CHECKPOINT_S="1000000",
    RAY_AIR_NEW_OUTPUT="0",
)

import ray
import torch
from case import DEPTH, WORKERS, Case, Found
from optuna.samplers import TPESampler
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler
from ray.tune.search.optuna import OptunaSearch
from torch import nn

from search.suggest import to_distributions
from search.trial import Purpose, derive_seed
from spaces.catalog import build_space
from spaces.space import Space
from trainers.config import FitConfig
from trainers.initialise import apply_noise_, apply_siren_
from trainers.signals import Crop, Signal, read_signal

W = 30.0
"""SIREN's factor, of every sine."""


class Siren(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(nn.Linear(width if layer else 1, width) for layer in range(DEPTH))
        self.last = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.hidden:
            x = torch.sin(W * layer(x))
        return self.last(x)


class Fit(tune.Trainable):
    """One trial; an iteration is the way to the rung, or the rest."""

    def setup(self, config: dict[str, Any], signal: Signal, space: Space, case: Case) -> None:
        torch.set_num_threads(1)
        self.x = torch.from_numpy(signal.coordinates()).float()
        self.y = torch.from_numpy(signal.values).float()
        self.space, self.case = space, case
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial in this process."""
        self.began = time.time()
        point = self.space.from_search(new_config)
        self.fit = FitConfig(steps=self.case.steps, lr=float(point["lr"]))
        seed = derive_seed(self.case.seed, Purpose.SEARCH, 0)
        self.network = Siren(self.case.width)
        apply_siren_(self.network, w=W, seed=seed)
        apply_noise_(self.network, point["s0"], point["s1"], w=W, seed=seed)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=self.fit.lr, fused=True)
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimiser, self.fit.decay_every, self.fit.decay)
        self.best_mse = math.inf
        return True

    def step(self) -> dict[str, Any]:
        for _ in range(steps_of_iteration(self.case)):
            self.optimiser.zero_grad()
            loss = (self.network(self.x) - self.y).square().mean()
            loss.backward()
            self.optimiser.step()
            self.schedule.step()
            self.best_mse = min(self.best_mse, loss.item())
        psnr_db = -10.0 * math.log10(self.best_mse) if self.best_mse < math.inf else -math.inf
        return {"psnr_db": psnr_db, "began": self.began}


def steps_of_iteration(case: Case) -> int:
    return case.steps // iterations_of(case)


def iterations_of(case: Case) -> int:
    return 2 if case.pruner == "asha" else 1


def main() -> None:
    case = Case.from_argument()
    signal = read_signal(case.source, Crop(samples=case.samples))
    space = build_space("siren2", signal.spectrum(), width=case.width)
    ray.init(address="local", num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    database = f"sqlite:///{case.folder / 'mlflow.db'}"
    iterations = iterations_of(case)
    tuner = tune.Tuner(
        tune.with_parameters(Fit, signal=signal, space=space, case=case),
        tune_config=tune.TuneConfig(
            num_samples=case.trials,
            max_concurrent_trials=WORKERS,
            reuse_actors=True,
            search_alg=OptunaSearch(
                to_distributions(space),
                metric="psnr_db",
                mode="max",
                sampler=TPESampler(multivariate=True, seed=case.seed),
            ),
            scheduler=ASHAScheduler(metric="psnr_db", mode="max", max_t=iterations, grace_period=1, reduction_factor=3)
            if case.pruner == "asha"
            else FIFOScheduler(),
        ),
        run_config=tune.RunConfig(
            name="bench",
            storage_path=str(case.folder / "tune"),
            stop={"training_iteration": iterations},
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            callbacks=[MLflowLoggerCallback(tracking_uri=database, experiment_name="bench")],
        ),
    )
    began = time.time()
    results = tuner.fit()
    ended = time.time()
    rows = [result.metrics for result in results if result.metrics]
    whole = [result for result in results if result.metrics["training_iteration"] == iterations]
    best = max(whole, key=lambda result: result.metrics["psnr_db"])
    Found(
        search_seconds=ended - min(row["began"] for row in rows),
        phase_seconds=ended - began,
        trials=len(results),
        point=space.from_search(best.config),
    ).say()


if __name__ == "__main__":
    main()
