"""What it costs a study that its MLflow server is killed for the middle third of its trials, and what arrives.

    python tests/benchmarks/bench_outage.py [--trials 100] [--steps 150] [--rounds 3]

The same deterministic study, fitted in this process, with a real server that is up all the time and with one that gets
`kill -9` after a third of the trials and is started again after two thirds, in turn. Then `winnow sync`, and MLflow has
to hold what storage holds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from paired import Row, print_rows, spread

sys.path.insert(0, str(Path(__file__).parents[1] / "chaos"))

from mirror import assert_mlflow_equals_storage
from mlflow_server import MlflowServer

from search.config import StudySpec
from search.display import Display
from search.record import Record
from search.run import run_study
from search.status import find_studies
from search.sync import sync_studies

GROWTH_ASKED = 1.05


class Outage(Display):
    """Kills the server after a third of the trials and starts it again after two thirds, or leaves it alone."""

    def __init__(self, server: MlflowServer, trials: int, *, happens: bool) -> None:
        self._server = server
        self._down, self._up = (trials // 3, 2 * trials // 3) if happens else (0, 0)
        self._num = 0
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        """Keep it."""
        self.lines.append(line)

    def ended(self, study: str, record: Record, score_db: float | None) -> None:
        """A fit of the search counts."""
        self._num += record.key.startswith("search/")
        if record.key.startswith("search/") and self._num == self._down:
            self._server.kill()
        elif record.key.startswith("search/") and self._num == self._up:
            self._server.start(wait=False)


def search_seconds(folder: Path, trials: int, steps: int, *, happens: bool) -> tuple[float, int, list[str]]:
    """Of the search phase; how many runs only the sync brought; and what the session said."""
    with MlflowServer(folder / "server") as server:
        spec = StudySpec(
            name="outage",
            signals=("synthetic:bright",),
            signal={"samples": 2048},
            network={"width": 64, "depth": 3},
            fit={"steps": steps},
            search={"trials": trials, "confirm": 0, "pruner": "none", "deterministic": True},
            workers={"workers": 0},
            store={"store": folder / "store", "tracking_uri": server.uri},
        )
        display = Outage(server, trials, happens=happens)
        [summary] = run_study(spec, display=display)["studies"]
        server.wait()
        [synced] = sync_studies(spec.store.store, None, "outage", server.uri)["studies"]
        [study] = find_studies(spec.store.store, None, "outage")
        assert_mlflow_equals_storage(server.uri, study, spec.store.store)
        assert len(study.trials()) == trials
    return summary["wall_seconds"]["search"], synced["logged"], display.lines


def main(words: Sequence[str] | None = None) -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(words)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    brought: list[int] = []
    said: list[str] = []
    with tempfile.TemporaryDirectory(prefix="winnow-bench-") as folder:
        search_seconds(Path(folder) / "warm", 3, 10, happens=False)
        for number in range(options.rounds):
            for happens in (True, False) if number % 2 else (False, True):
                place = Path(folder) / f"{number}-{happens}"
                wall, logged, lines = search_seconds(place, options.trials, options.steps, happens=happens)
                seconds[happens].append(wall)
                if happens:
                    brought.append(logged)
                    said += [line for line in lines if "MLflow" in line]
    print("\n".join(said))  # noqa: T201
    growth = [out / up for out, up in zip(seconds[True], seconds[False], strict=True)]
    row = Row(
        what=f"search of {options.trials} trials in one process, MLflow killed for the middle third",
        ours=f"{spread(seconds[True], 1)} s",
        alternative=f"{spread(seconds[False], 1)} s: MLflow up all the time",
        result=f"{spread(growth, 3)} of its wall time; after sync, which brought {spread(brought, 0)} runs, "
        "MLflow holds what storage holds",
        asked=f"< {GROWTH_ASKED}",
        holds=statistics.median(growth) < GROWTH_ASKED,
    )
    print_rows([row])


if __name__ == "__main__":
    main()
