"""The case that both sides of `bench_tune.py` search, and what a side prints: one line of JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

DEPTH = 4
WORKERS = 2


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is searched on both sides.

    Attributes:
        source, samples: the signal, and how many of its middle samples.
        width, steps, trials: of the networks, of a fit, of the search.
        pruner: "none", or "asha": a third of the trials goes on at half of the steps.
        seed: of the sampler and of the weights.
        store: an empty folder.
    """

    source: str
    samples: int
    width: int
    steps: int
    trials: int
    pruner: str
    seed: int
    store: str

    def to_argument(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_argument(cls) -> Case:
        return cls(**json.loads(sys.argv[1]))

    @property
    def folder(self) -> Path:
        return Path(self.store)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a side's search came to.

    Attributes:
        search_seconds: from the first step of the first trial to the last trial's record.
        phase_seconds: the side's own figure: `wall_seconds.search` (selection included), or `tuner.fit()`.
        trials: that ended.
        point: that is recommended.
    """

    search_seconds: float
    phase_seconds: float
    trials: int
    point: Mapping[str, Any]

    def say(self) -> None:
        sys.stdout.write(f"\n{json.dumps(asdict(self))}\n")
        sys.stdout.flush()

    @classmethod
    def from_output(cls, output: str) -> Found:
        return cls(**json.loads(output.strip().splitlines()[-1]))
