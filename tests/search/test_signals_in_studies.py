"""Images, volumes and stereo sound on the command line: what is fitted, recorded and refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from mlflow import MlflowClient
from PIL import Image

Shell = Callable[..., tuple[int, str, str]]

RUN = ["--width", "8", "--depth", "2", "--steps", "10", "--trials", "2", "--confirm", "1", "--workers", "0"]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder of small signals, good and bad."""
    folder = tmp_path / "files"
    folder.mkdir()
    rows, columns = np.mgrid[0:14, 0:12]
    grey = (127 + 100 * np.sin(columns * 0.9) * np.cos(rows * 0.7)).astype(np.uint8)
    Image.fromarray(grey).save(folder / "grey.png")
    Image.fromarray(np.stack([grey, grey[::-1], 255 - grey], axis=-1)).save(folder / "colour.png")
    x, y, z = np.mgrid[-1:1:7j, -1:1:6j, -1:1:5j]
    distance = np.sqrt(x**2 + y**2 + z**2) - 0.6
    np.save(folder / "distance.npy", distance)
    np.save(folder / "inside.npy", (distance < 0).astype(np.uint8))
    time = np.arange(300) / 8000
    stereo = np.stack([0.3 * np.sin(9000 * time), 0.2 * np.sin(4000 * time)], axis=1)
    soundfile.write(folder / "stereo.wav", stereo, 8000)
    Image.fromarray(grey[:1]).save(folder / "thin.png")
    Image.fromarray(np.full((20, 20), 9, dtype=np.uint8)).save(folder / "constant.png")
    np.save(folder / "five.npy", np.ones((4, 4, 4, 4, 4)))
    np.save(folder / "complex.npy", np.arange(20) + 1j)
    np.save(folder / "objects.npy", np.array([{}] * 20), allow_pickle=True)
    return folder


GOOD: dict[str, tuple[list[str], dict[str, Any]]] = {
    "grey.png": ([], {"kind": "image", "shape": [14, 12], "channels": 1, "metrics": {"mae", "ssim"}}),
    "colour.png": ([], {"kind": "image", "shape": [14, 12], "channels": 3, "metrics": {"mae", "ssim"}}),
    "distance.npy": ([], {"kind": "volume", "shape": [7, 6, 5], "channels": 1, "metrics": {"mae", "iou"}}),
    "inside.npy": ([], {"kind": "occupancy", "shape": [7, 6, 5], "channels": 1, "metrics": {"mae", "iou"}}),
    "stereo.wav": (
        ["--channels", "all"],
        {"kind": "audio", "shape": [300], "channels": 2, "metrics": {"mae", "si_snr_db", "lsd_db"}},
    ),
}


@pytest.fixture
def one_database(tmp_path: Path) -> list[str]:
    """Studies of one test share MLflow's database: making one takes longer than they do."""
    return ["--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db"]


def test_every_kind_of_signal_is_searched_recorded_and_exported(
    shell: Shell, files: Path, one_database: list[str]
) -> None:
    for name, (words, expected) in GOOD.items():
        code, out, err = shell("predict", f"{files}/{name}", *words, "--json")
        [entry] = json.loads(out)["signals"]
        assert {key: entry[key] for key in ("kind", "shape", "channels")} == {
            key: expected[key] for key in ("kind", "shape", "channels")
        }
        code, out, err = shell("run", f"{files}/{name}", *words, *RUN, *one_database, "--name", "all", "--json")
        assert code == 0, err
        [summary] = json.loads(out)["studies"]
        assert set(summary["best"]["metrics"]) == expected["metrics"]
        assert ("winner" in summary["references"]) == (expected["kind"] in ("audio", "image"))
        client = MlflowClient(one_database[1])
        parent = client.get_run(summary["mlflow_run_id"])
        assert parent.data.params["kind"] == expected["kind"]
        assert parent.data.params["shape"] == " x ".join(map(str, expected["shape"]))
        own = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
        runs = client.search_runs([parent.info.experiment_id], own)
        assert runs
        for run in runs:
            is_complete = run.data.tags["winnow.state"] == "complete"
            assert not is_complete or expected["metrics"] <= run.data.metrics.keys()
        code, _, _ = shell("export", summary["study"], "--out", name)
        assert code == 0
        target = np.load(Path(name) / "target.npy")
        assert target.shape == (*expected["shape"], expected["channels"])


BAD = {
    "thin.png": "at least 4 samples along each axis",
    "constant.png": "must not be constant",
    "five.npy": "it has 5 axes",
    "complex.npy": "must hold real numbers",
    "objects.npy": "nothing pickled",
    "none.npy": "no such file",
}


def test_several_bad_signals_are_a_line_each_and_nothing_is_written(shell: Shell, files: Path) -> None:
    paths = [f"{files}/{name}" for name in (*BAD, "grey.png")]
    for command in (["run", *paths, *RUN], ["predict", *paths]):
        code, out, err = shell(*command)
        assert (code, out) == (2, "")
        assert [line.split(": ")[:2] for line in err.splitlines()] == [["error", path] for path in paths[:-1]]
        for line, message in zip(err.splitlines(), BAD.values(), strict=True):
            assert message in line
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("name", BAD)
def test_a_bad_signal_of_a_fit_is_one_line(shell: Shell, files: Path, name: str) -> None:
    code, out, err = shell("fit", f"{files}/{name}", "--width", "8", "--steps", "5")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert BAD[name] in err
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.pictures
def test_the_architecture_of_an_image_is_searched(shell: Shell, files: Path) -> None:
    words = ["--space", "any", "--objective", "both", "--trials", "8", "--tracking-uri", "nowhere://", "--json"]
    code, out, err = shell("run", f"{files}/grey.png", *RUN, *words)
    assert code == 0, err
    [summary] = json.loads(out)["studies"]
    assert summary["trials"]["failed"] == 0
    assert len({point["params"]["architecture"] for point in summary["front"]} | {"siren2"}) >= 2
    folder = Path("winnow-store") / "studies" / summary["study"]
    assert {"landscape.png", "curves.png", "front.png", "comparison.png"} <= {p.name for p in folder.iterdir()}
    point = [word for name, value in summary["best"]["params"].items() for word in ("--set", f"{name}={value}")]
    words = ["--space", "any", "--task", "holdout", "--width", "8", "--depth", "2", "--steps", "10", "--json"]
    code, out, err = shell("fit", f"{files}/grey.png", *words, *point)
    assert code == 0, err
    assert json.loads(out)["held_psnr_db"] == [summary["best"]["held_psnr_db"]]
