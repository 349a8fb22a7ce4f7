"""Small real things: a signal, its task, and builders of trials."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from matplotlib.figure import Figure
from mlflow_server import MlflowServer

from search.cli import main
from search.config import StudySpec
from search.trial import TrialBuilder
from spaces.laws import LAWS
from spaces.parameters import Choice, Float
from spaces.space import Space
from trainers.signals import Crop, Signal, read_signal
from trainers.tasks import Task, build_task


@pytest.fixture(scope="session")
def signal() -> Signal:
    return read_signal("synthetic:bright", Crop(samples=256))


@pytest.fixture(scope="session")
def task(signal: Signal) -> Task:
    return build_task(signal)


@pytest.fixture
def builder(task: Task) -> TrialBuilder:
    return TrialBuilder(task=task.digest, width=16, depth=2, dims=1, channels=1, steps=40, study_seed=0)


@pytest.fixture(scope="session")
def conditional() -> Space:
    """A space one of whose two kinds has a parameter of its own."""
    return Space(
        name="conditional",
        architecture="siren",
        parameters=(
            Choice(name="kind", choices=("a", "b")),
            Float(name="k", low=0.1, high=5.0, when={"kind": ("a",)}),
            Float(name="lr", low=1e-4, high=1e-2, log=True),
        ),
        defaults={"kind": "a", "k": 1.0, "lr": 1e-4},
    )


def write_clip(folder: Path) -> Path:
    """A recording of 400 samples."""
    path = folder / "clip.wav"
    time = np.arange(400) / 8000
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * 1500 * time) + 0.1 * np.sin(2 * np.pi * 3100 * time), 8000)
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A recording of 400 samples."""
    return write_clip(tmp_path)


SMALL: dict[str, dict[str, Any]] = {
    "network": {"width": 16, "depth": 2},
    "fit": {"steps": 30},
    "search": {"trials": 6, "confirm": 2},
    "workers": {"workers": 0},
}


def small_spec_in(folder: Path, clip: Path, **sections: Any) -> StudySpec:
    """A study of 6 trials of 30 steps, inline; keyword arguments replace values of its sections."""
    top = {key: sections.pop(key) for key in ("name", "signals") if key in sections}
    data: dict[str, Any] = {"name": "small", "signals": (str(clip),), **top}
    for section in {*SMALL, *sections, "store"}:
        data[section] = {**SMALL.get(section, {}), **sections.get(section, {})}
    data["store"] = {"store": folder / "store", **data["store"]}
    return StudySpec.model_validate(data)


@pytest.fixture
def small_spec(tmp_path: Path, clip: Path) -> Callable[..., StudySpec]:
    """`small_spec_in` a folder of the test's own."""
    return partial(small_spec_in, tmp_path, clip)


@pytest.fixture(scope="module")
def shared_spec(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., StudySpec]:
    """`small_spec_in` a folder of the test module's: for a study that several tests look at."""
    folder = tmp_path_factory.mktemp("shared")
    return partial(small_spec_in, folder, write_clip(folder))


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were saved, in order."""
    saved: list[Figure] = []
    savefig = Figure.savefig

    def keep(figure: Figure, *args: Any, **kwargs: Any) -> None:
        saved.append(figure)
        savefig(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    return saved


Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Runs `winnow` in an empty folder: exit code, stdout, stderr."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["winnow", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """A real MLflow server, which whoever kills it starts again."""
    with MlflowServer(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """A Ray of this test module alone, with two CPUs."""
    from search.ray_session import start_local

    leave = start_local(2)
    yield
    leave()


@pytest.fixture(autouse=True)
def few_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Studies of this process draw nothing for tests that do not look at pictures: they take a second or two each."""
    if not request.node.get_closest_marker("pictures"):
        monkeypatch.setattr("search.study.StudyRun._report", lambda self: None)


@pytest.fixture(autouse=True)
def same_laws() -> Iterator[None]:
    """A law that a test registers is known until that test ends."""
    before = dict(LAWS)
    yield
    LAWS.clear()
    LAWS.update(before)
