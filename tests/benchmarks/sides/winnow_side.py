"""A search as `winnow run --workers 2 --confirm 0` does it; `bench_tune.py` starts this."""

from __future__ import annotations

import time

from case import DEPTH, WORKERS, Case, Found

from search.config import StudySpec
from search.display import Display
from search.run import run_study


class Phases(Display):
    """When each phase began: `search`, and the first round of `selection`."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}

    def phase(self, study: str, title: str, total: int, done: int = 0) -> None:
        self.began.setdefault(title.partition(" ")[0], time.monotonic())


def main() -> None:
    case, phases = Case.from_argument(), Phases()
    spec = StudySpec.model_validate(
        {
            "name": "bench",
            "signals": [case.source],
            "signal": {"samples": case.samples},
            "network": {"width": case.width, "depth": DEPTH},
            "fit": {"steps": case.steps},
            "search": {"trials": case.trials, "pruner": case.pruner, "confirm": 0, "seed": case.seed},
            "workers": {"workers": WORKERS},
            "store": {"store": case.folder / "store"},
        }
    )
    [study] = run_study(spec, display=phases)["studies"]
    Found(
        search_seconds=phases.began["selection"] - phases.began["search"],
        phase_seconds=study["wall_seconds"]["search"],
        trials=sum(study["trials"].values()),
        point=study["best"]["params"],
    ).say()


if __name__ == "__main__":
    main()
