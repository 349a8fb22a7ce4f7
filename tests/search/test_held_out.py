"""Studies whose objective is held-out PSNR: every task, what is refused, and that held-out samples choose nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.config import StudySpec
from search.display import Display
from search.run import run_study
from search.status import find_studies
from search.trial import State
from trainers.config import FitConfig, NetworkConfig
from trainers.fit import FitStack
from trainers.signals import Signal, read_signal
from trainers.tasks import TaskConfig, build_task

SpecOf = Callable[..., StudySpec]
Shell = Callable[..., tuple[int, str, str]]

UNTRACKED = {"tracking_uri": "nowhere://"}  # what this is about is not MLflow

FAST = ["--samples", "256", "--width", "8", "--depth", "2", "--steps", "5"]
BRIGHT = "synthetic:bright"

TASKS: dict[str, dict[str, Any]] = {
    "random": {"task": None, "holdout": 0.25},
    "every": {"task": "holdout", "holdout": 0.25, "pattern": "every"},
    "upsample": {"task": "upsample", "factor": 3},
    "denoise": {"task": "denoise", "noise_db": 12.0},
    "inpaint": {"task": "inpaint", "holdout": 0.2, "gap": 7},
}


def psnr_db(error: np.ndarray) -> float:
    return -10.0 * math.log10(float(np.mean(error.astype(np.float64) ** 2)))


class Lines(Display):
    """A display that keeps what it says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.mark.parametrize("task", TASKS)
def test_a_study_of_held_out_samples_maximises_their_psnr(small_spec: SpecOf, clip: Path, task: str) -> None:
    spec = small_spec(
        task=TASKS[task],
        search={"objective": "holdout", "trials": 3, "confirm": 1},
        fit={"steps": 20},
        store=UNTRACKED,
    )
    [summary] = run_study(spec)["studies"]
    [study] = find_studies(spec.store.store, None, None)
    records = {record.number: record for record in study.trials()}
    for number, record in records.items():
        if record.state is State.COMPLETE:
            assert study.search.trials[number].values == [record.held_psnr_db]
    confirmed, best = summary["best"]["confirmed"], summary["best"]
    assert best["held_psnr_db"] == records[best["number"]].held_psnr_db
    [own] = [r for r in study.confirmations() if r.purpose == "confirm" and r.label == f"#{best['number']}"]
    assert confirmed["mean_held_psnr_db"] == own.held_psnr_db
    for name, reference in summary["references"].items():
        [other] = [r for r in study.confirmations() if r.purpose == "confirm" and r.label == name]
        assert reference["regret_db"] == pytest.approx(own.held_psnr_db - other.held_psnr_db)

    # The winner's output, as it was kept, against the clean signal and against what was trained on.
    built = build_task(read_signal(str(clip)), spec.task_config)
    output = np.load(spec.store.store / "studies" / summary["study"] / "reconstruction.npy").reshape(-1, 1)
    recipe = json.loads((spec.store.store / "studies" / summary["study"] / "recipe.json").read_text())
    assert psnr_db(output[built.held] - built.values[built.held]) == pytest.approx(own.held_psnr_db, abs=0.01)
    assert psnr_db(output[built.trained] - built.targets) == pytest.approx(own.psnr_db, abs=0.01)
    assert (recipe["held_psnr_db"], recipe["task"]["name"]) == (own.held_psnr_db, spec.task_config.name)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--objective", "holdout", "--task", "fit"], "objective holdout needs a task that holds samples out"),
        (["--objective", "both", "--task", "fit"], "objective both needs a task that holds samples out"),
        (["--objective", "most"], "'most' is not one of 'fit', 'holdout', 'both'"),
        (["--task", "guess"], "'guess' is not one of 'fit', 'holdout'"),
        (["--task", "holdout", "--holdout", "0"], "`0.0 < holdout` must hold, but got holdout=0"),
        (["--task", "holdout", "--holdout", "1"], "`holdout < 1.0` must hold, but got holdout=1"),
        (["--task", "holdout", "--holdout", "nan"], "holdout must be finite"),
        (["--task", "holdout", "--holdout", "0.001"], "must leave samples to train on and to hold out"),
        (["--task", "holdout", "--holdout", "0.9", "--pattern", "every"], "`holdout <= 0.66` must hold"),
        (["--task", "upsample", "--factor", "1"], "`2 <= factor` must hold"),
        (["--task", "denoise", "--noise-db", "inf"], "noise_db must be finite"),
        (["--task", "inpaint", "--gap", "0"], "`1 <= gap` must hold"),
        (["--task", "inpaint", "--gap", "200"], "a gap must be at most half an axis, but got gap=200"),
    ],
)
def test_bad_tasks_are_one_line_exit_2_and_write_nothing(shell: Shell, words: list[str], message: str) -> None:
    code, out, err = shell("run", BRIGHT, *FAST, *words, "--workers", "0")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: ")
    assert message in err
    assert list(Path.cwd().iterdir()) == []
    if "--objective" not in words:
        assert shell("fit", BRIGHT, *FAST, *words)[::2] == (2, err)


def test_options_that_a_task_does_not_look_at_are_said_once_each(small_spec: SpecOf, tmp_path: Path) -> None:
    def said(task: dict[str, Any], objective: str = "fit") -> list[str]:
        return StudySpec(task=task, search={"objective": objective}).idle_task_options  # type: ignore[arg-type]

    assert said({"task": "holdout", "factor": 3, "holdout": 0.2}) == ["--factor has no effect on task holdout"]
    assert said({"gap": 3}, "both") == ["--gap has no effect on task holdout"]
    assert said({"holdout": 0.2}) == ["--holdout has no effect on task fit"]
    assert said({"task": "denoise", "noise_db": 3, "pattern": "every", "gap": 3}) == [
        "--gap has no effect on task denoise",
        "--pattern has no effect on task denoise",
    ]
    for task in ({"task": "fit"}, {"task": "upsample", "factor": 3}, {"task": "inpaint", "holdout": 0.2, "gap": 3}):
        assert said(task) == []
    lines = Lines()
    task = {"task": "upsample", "noise_db": 3.0}
    run_study(small_spec(task=task, search={"trials": 1, "confirm": 0}, store=UNTRACKED), display=lines)
    assert lines.lines.count("warning: --noise-db has no effect on task upsample") == 1


def test_a_settings_file_and_the_command_line_are_told_alike_of_idle_options(shell: Shell) -> None:
    code, out, err = shell("fit", BRIGHT, *FAST, "--task", "holdout", "--factor", "3", "--json")
    assert (code, err) == (0, "warning: --factor has no effect on task holdout\n")
    json.loads(out)
    Path("study.toml").write_text('[task]\ntask = "holdout"\nfactor = 3\n')
    words = [*FAST, "--trials", "1", "--confirm", "0", "--workers", "0", "--tracking-uri", "nowhere://"]
    code, _, err = shell("run", BRIGHT, *words, "--config", "study.toml")
    assert (code, err.count("warning: --factor has no effect on task holdout\n")) == (0, 1)


def test_fit_repeats_a_held_out_trial_of_a_study_exactly(shell: Shell) -> None:
    task = ["--task", "inpaint", "--holdout", "0.3", "--gap", "5"]
    words = [BRIGHT, *FAST, *task, "--seed", "3"]
    more = ["--trials", "2", "--confirm", "0", "--workers", "0", "--objective", "both"]
    code, out, _ = shell("run", *words, *more, "--tracking-uri", "nowhere://", "--json")
    assert code == 0
    best = json.loads(out)["studies"][0]["best"]
    point = [word for name, value in best["params"].items() for word in ("--set", f"{name}={value!r}")]
    code, out, _ = shell("fit", *words, *point, "--json")
    fitted = json.loads(out)
    assert (code, fitted["params"]) == (0, best["params"])
    assert fitted["psnr_db"] == [best["psnr_db"]]
    assert fitted["held_psnr_db"] == [best["held_psnr_db"]]
    assert fitted["metrics"] == [best["metrics"]]
    _, out, _ = shell("fit", *words, *point)
    assert f"held out: mean {best['held_psnr_db']:.2f} dB" in out


def test_the_step_is_chosen_on_the_trained_samples_though_held_out_ones_peak_earlier(signal: Signal) -> None:
    """Trained on noise, a network fits it ever better while it leaves the clean signal."""
    task = build_task(signal, TaskConfig(name="denoise", noise_db=0.0))
    network = NetworkConfig(architecture="siren2", width=24, depth=2, knobs={"s0": 400.0, "s1": 0.25})
    fit, seed = FitConfig(steps=120, lr=2e-3), 5
    stack = FitStack(task, network)
    stack.start(0, network, fit, seed)
    seen = []
    for step in range(4, fit.steps + 1, 4):
        stack.advance({0: step})
        seen.append(stack.progress(0))
    held = [progress.held_psnr_db or -math.inf for progress in seen]
    peak = int(np.argmax(held))
    last = seen[-1]
    assert seen[peak].best_step < last.best_step - 10
    assert held[peak] > held[-1] + 0.5
    assert (last.psnr_db or 0.0) > (seen[peak].psnr_db or 0.0) + 0.5

    # Whatever the held-out samples are, the same step and weights are kept.
    result = stack.result(0)
    other = replace(task, held=task.held[::3])
    blind = FitStack(other, network)
    blind.start(0, network, fit, seed)
    blind.advance({0: fit.steps})
    same = blind.result(0)
    assert (same.progress.best_step, same.progress.psnr_db) == (last.best_step, last.psnr_db)
    for name, tensor in result.weights.items():
        np.testing.assert_array_equal(same.weights[name], tensor)
