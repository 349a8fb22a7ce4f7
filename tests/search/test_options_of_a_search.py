"""What a search may be asked for beside its space: a budget of weights, FreSh, diagnoses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from search.config import StudySpec
from search.connection import default_tracking_uri
from search.display import Display
from search.run import run_study
from search.status import find_studies
from search.trial import State
from spaces.catalog import build_space
from trainers.checkpoint import unpack
from trainers.config import NetworkConfig
from trainers.fresh import select
from trainers.signals import Crop, read_signal
from trainers.tasks import build_task

SpecOf = Callable[..., StudySpec]
Shell = Callable[..., tuple[int, str, str]]

BRIGHT = "synthetic:bright"
UNTRACKED = {"tracking_uri": "nowhere://"}  # what a test is about that is not about MLflow
FAST = ["--samples", "256", "--width", "8", "--depth", "2", "--steps", "8"]
QUIET = ["--workers", "0", "--tracking-uri", "nowhere://", "--json"]


def no_constant(name: str) -> None:
    raise AssertionError(f"JSON has no {name}")


class Lines(Display):
    """A display that keeps what it says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def weights_of(point: dict[str, Any], width: int = 8, depth: int = 2) -> int:
    return NetworkConfig(
        architecture="siren2", width=point.get("width", width), depth=point.get("depth", depth)
    ).num_weights


@pytest.mark.parametrize("width", [8, 128])
def test_every_network_of_a_search_under_a_budget_keeps_within_it(
    small_spec: SpecOf, tmp_path: Path, width: int
) -> None:
    network = {"width": width, "depth": 3, "max_weights": 300}
    spec = small_spec(network=network, search={"trials": 12, "confirm": 1}, fit={"steps": 10}, store=UNTRACKED)
    lines = Lines()
    [summary] = run_study(spec, display=lines)["studies"]
    [study] = find_studies(spec.store.store, None, None)
    records = study.trials()
    shapes = {(record.point["width"], record.point["depth"]) for record in records}
    assert len(shapes) > 2
    assert max(weights_of(dict(record.point)) for record in records) <= 300
    # References are held to the budget too, or the comparison would not be one.
    told = [line for line in lines.lines if "is beyond --max-weights 300: references have width" in line]
    assert len(told) == (width == 128)
    paid = int(told[0].split()[-1]) if told else width
    assert weights_of({}, paid, 3) <= 300
    assert width == 8 or weights_of({}, paid + 1, 3) > 300

    best, folder = summary["best"]["params"], spec.store.store / "studies" / summary["study"]
    assert set(best) == {"s0", "s1", "lr", "width", "depth"}
    tensors, _ = unpack((folder / "winner.safetensors").read_bytes())
    assert sum(tensor.size for tensor in tensors.values()) == weights_of(best)
    assert tensors["weight0"].shape == (best["width"], 1)
    network = json.loads((folder / "recipe.json").read_text())["network"]
    assert (network["width"], network["depth"]) == (best["width"], best["depth"])


def test_fit_repeats_a_trial_of_a_search_under_a_budget(shell: Shell) -> None:
    words = [*FAST, "--trials", "2", "--confirm", "0", "--max-weights", "300"]
    code, out, err = shell("run", BRIGHT, *words, *QUIET)
    assert code == 0, err
    best = json.loads(out)["studies"][0]["best"]
    shape = {name: best["params"].pop(name) for name in ("width", "depth")}
    words = [word for name, value in shape.items() for word in (f"--{name}", str(value))]
    words += [word for name, value in best["params"].items() for word in ("--set", f"{name}={value!r}")]
    code, out, err = shell("fit", BRIGHT, "--samples", "256", "--steps", "8", *words, "--json")
    assert code == 0, err
    assert json.loads(out)["psnr_db"] == [best["psnr_db"]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-weights", "0"], "`1 <= max_weights` must hold"),
        (["--max-weights", "50"], "<= max_weights` must hold for siren2 with 8 layers of 4, but got max_weights=50"),
        (
            ["--max-weights", "200", "--depth", "40"],
            "<= max_weights` must hold for depth=40 at width=4, but got max_weights=200",
        ),
        (["--heuristic", "fresh-published", "--crop", "16x12"], "fresh-published is for recordings and square images"),
        (["--heuristic", "fresh-published", "--crop", "9"], "fresh-published is for recordings and square images"),
        (["--heuristic", "freshh"], "known heuristics: winner, bandwidth"),
    ],
)
def test_what_cannot_be_searched_is_one_line_exit_2_and_writes_nothing(
    shell: Shell, words: list[str], message: str
) -> None:
    signal = {"16x12": "synthetic:texture", "9": "synthetic:torus"}.get(words[-1], BRIGHT)
    samples = ["--samples", "256"] if signal == BRIGHT else []
    code, out, err = shell("run", signal, *samples, *words, *QUIET)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: ")
    assert message in err
    assert list(Path.cwd().iterdir()) == []


def test_fit_has_no_budget(shell: Shell) -> None:
    code, _, err = shell("fit", BRIGHT, *FAST, "--max-weights", "300")
    assert (code, err.count("\n")) == (2, 1)
    assert "No such option '--max-weights'" in err


def test_fresh_is_a_reference_at_the_point_that_it_selects(shell: Shell) -> None:
    words = ["--samples", "256", "--width", "8", "--depth", "2"]
    fresh = ["--heuristic", "fresh", "--heuristic", "winner", "--seed", "4"]
    signal = read_signal(BRIGHT, Crop(samples=256))
    space = build_space("siren", signal.spectrum(), width=8)
    expected = select(build_task(signal), space, width=8, depth=2, seed=4).point

    code, out, err = shell("predict", BRIGHT, *words, *fresh, "--space", "siren", "--json")
    assert code == 0, err
    assert json.loads(out)["signals"][0]["predictions"]["fresh"] == expected

    more = ["--steps", "8", "--trials", "2", "--confirm", "1", "--space", "siren"]
    code, out, err = shell("run", BRIGHT, *words, *fresh, *more, *QUIET)
    assert code == 0, err
    [summary] = json.loads(out)["studies"]
    reference = summary["references"]["fresh"]
    assert (reference["kind"], reference["space"]) == ("prediction", "siren")
    assert {**expected, "lr": reference["params"]["lr"]} == reference["params"]
    assert reference["params"]["lr"] in (1e-4, 5e-4, 2e-3)

    code, out, _ = shell("fit", BRIGHT, *words, "--space", "siren", "--heuristic", "fresh", "--seed", "4",
                         "--steps", "3", "--set", "lr=1e-3", "--json")  # fmt: skip
    assert json.loads(out)["params"] == {**expected, "lr": 1e-3}


def test_diagnoses_lie_in_the_folder_and_on_the_runs_of_what_ended(small_spec: SpecOf) -> None:
    # A picture takes a second: few trials, and references at one learning rate.
    search = {"trials": 1, "confirm": 0, "diagnose": True, "space": "gauss", "heuristic": ("bandwidth",)}
    sections = {"search": search, "fit": {"steps": 10, "lr": 1e-3}, "signal": {"samples": 64}}
    run_study(small_spec(**sections, store=UNTRACKED))  # MLflow is away, and catches up with pictures and all
    spec = small_spec(**sections)
    [summary] = run_study(spec)["studies"]
    [study] = find_studies(spec.store.store, None, None)
    folder = spec.store.store / "studies" / summary["study"] / "diagnoses"
    records = [*study.trials(), *study.references()]
    client = MlflowClient(default_tracking_uri(spec.store.store))
    parent = client.get_run(summary["mlflow_run_id"])
    own = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    runs = {run.data.tags["winnow.key"]: run for run in client.search_runs([parent.info.experiment_id], own)}
    ended = {record.key for record in records if record.state is State.COMPLETE}
    assert ended
    stems = {path.stem for path in folder.iterdir()}
    assert stems >= {key.replace("/", "-") for key in ended}
    for path in folder.glob("*.json"):
        assert json.loads(path.read_text(), parse_constant=no_constant)
        assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    for key in ended:
        stem = key.replace("/", "-")
        artifacts = {item.path for item in client.list_artifacts(runs[key].info.run_id)}
        assert artifacts == {f"{stem}.json", f"{stem}.png"}


def test_a_search_whose_networks_all_explode_prints_its_document_too(shell: Shell) -> None:
    words = [*FAST, "--trials", "3", "--confirm", "2", "--lr", "900", "--objective", "both", "--task", "denoise"]
    code, out, err = shell("run", BRIGHT, *words, *QUIET)
    assert code == 1
    assert err.splitlines()[-1].startswith("error: every trial of ")
    [summary] = json.loads(out, parse_constant=no_constant)["studies"]
    assert (summary["best"], summary["front"]) == (None, [])
    assert sum(summary["trials"].values()) == 3
    _, out, _ = shell("status", "--json")
    assert json.loads(out, parse_constant=no_constant)["studies"][0]["front"] == []


def test_nothing_that_is_not_finite_reaches_a_document() -> None:
    from search.commands.shared import to_finite

    document = {"front": [{"psnr_db": float("nan"), "params": {"s0": 1.0}}], "metrics": {"ssim": float("-inf")}}
    document["pair"] = (1.0, float("inf"))  # type: ignore[assignment]
    text = json.dumps(to_finite(document), allow_nan=False)
    assert json.loads(text) == {
        "front": [{"psnr_db": None, "params": {"s0": 1.0}}],
        "metrics": {"ssim": None},
        "pair": [1.0, None],
    }
