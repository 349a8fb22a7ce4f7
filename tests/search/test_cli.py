"""The commands as a shell sees them: documents, exit codes, one line for each error, nothing written."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

Shell = Callable[..., tuple[int, str, str]]

FAST = ["--samples", "256", "--width", "8", "--depth", "2", "--steps", "5"]
BRIGHT = "synthetic:bright"


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A folder of files that are no usable signals, and one that is."""
    folder = tmp_path / "bad"
    folder.mkdir()
    wave = np.sin(np.arange(2000) * 0.3)
    soundfile.write(folder / "good.wav", wave, 8000)
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("this is not a recording\n" * 50)
    (folder / "cut.wav").write_bytes((folder / "good.wav").read_bytes()[:2000])
    soundfile.write(folder / "none.wav", np.zeros(0), 8000)
    soundfile.write(folder / "one.wav", np.ones(1), 8000)
    soundfile.write(folder / "silent.wav", np.zeros(2000), 8000)
    soundfile.write(folder / "silent-middle.wav", np.r_[np.ones(50), np.zeros(1900), np.ones(50)], 8000)
    soundfile.write(folder / "nan.wav", np.r_[wave, np.nan], 8000, subtype="FLOAT")
    soundfile.write(folder / "inf.wav", np.r_[wave, np.inf], 8000, subtype="FLOAT")
    grey = (np.arange(400) % 251).astype(np.uint8).reshape(20, 20)
    Image.fromarray(grey).save(folder / "good.png")
    Image.fromarray(grey[:1]).save(folder / "thin.png")
    Image.fromarray(np.full((20, 20), 9, dtype=np.uint8)).save(folder / "constant.png")
    (folder / "text.png").write_text("this is not an image\n" * 50)
    (folder / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF")
    (folder / "text").write_text("this is nothing\n" * 50)
    np.save(folder / "five.npy", np.ones((4, 4, 4, 4, 4)))
    np.save(folder / "complex.npy", wave + 1j)
    np.save(folder / "objects.npy", np.array([{}] * 20), allow_pickle=True)
    np.savez(folder / "two.npz", a=wave, b=grey)
    (folder / "unknown-key.toml").write_text("[search]\ntrails = 3\n")
    (folder / "broken.toml").write_text("[search\n")
    (folder / "file-in-the-way").write_text("")
    return folder


BAD_INPUT: dict[str, tuple[list[str], str]] = {
    "empty name": ([""], "a signal must be named"),
    "empty campaign": (["{bad}/good.wav", "--name", ""], "a name must begin with"),
    "missing file": (["{bad}/no.wav"], "no such file"),
    "directory": (["{bad}"], "this is a directory"),
    "empty file": (["{bad}/empty.wav"], "the file is empty"),
    "text renamed": (["{bad}/text.wav"], "must be an audio file"),
    "truncated": (["{bad}/cut.wav"], "the file is truncated"),
    "zero samples": (["{bad}/none.wav"], "at least 16 samples are needed, but it has 0"),
    "one sample": (["{bad}/one.wav"], "at least 16 samples are needed, but it has 1"),
    "silent": (["{bad}/silent.wav"], "must not be silent"),
    "silent crop": (["{bad}/silent-middle.wav", "--samples", "1000"], "--start loudest finds them"),
    "nan": (["{bad}/nan.wav"], "must be finite"),
    "inf": (["{bad}/inf.wav"], "must be finite"),
    "unknown synthetic": (["synthetic:no"], "known signals: synthetic:tone"),
    "no signal": ([], "at least one signal is needed"),
    "samples 0": (["{bad}/good.wav", "--samples", "0"], "`1 <= samples` must hold, but got samples=0"),
    "samples negative": (["{bad}/good.wav", "--samples", "-5"], "`1 <= samples` must hold"),
    "samples no number": (["{bad}/good.wav", "--samples", "many"], "'many' is not a valid integer"),
    "samples too many": (["{bad}/good.wav", "--samples", "2001"], "to the 2000 that there are, but got 2001"),
    "start beyond": (["{bad}/good.wav", "--start", "9"], "must lie within its 0.250 s"),
    "start no number": (["{bad}/good.wav", "--start", "soon"], "a number of seconds or 'loudest'"),
    "1 x N image": (["{bad}/thin.png"], "at least 4 samples along each axis are needed, but it has 1 x 20"),
    "constant image": (["{bad}/constant.png"], "must not be constant, but all samples are 9"),
    "text as image": (["{bad}/text.png"], "must be an image that Pillow reads"),
    "truncated image": (["{bad}/cut.jpg"], "must be an image that Pillow reads"),
    "neither": (["{bad}/text"], "must be audio, an image or an array"),
    "5-D array": (["{bad}/five.npy"], "must have 1 to 3 axes, and channels as its last or none, but it has 5 axes"),
    "complex array": (["{bad}/complex.npy"], "must hold real numbers, but its type is complex128"),
    "pickled array": (["{bad}/objects.npy"], "must hold real numbers, nothing pickled"),
    "array of none": (["{bad}/two.npz:c"], "unknown array 'c'; known arrays: a, b"),
    "several arrays": (["{bad}/two.npz"], "needs a name, FILE.npz:NAME; known arrays: a, b"),
    "crop 0": (["{bad}/good.png", "--crop", "0x0"], "sizes joined by x, such as 128x128, but got crop='0x0'"),
    "crop no sizes": (["{bad}/good.png", "--crop", "middle"], "sizes joined by x, such as 128x128"),
    "crop too small": (["{bad}/good.png", "--crop", "3"], "from 4 samples along each axis to the 20 x 20"),
    "crop beyond": (["{bad}/good.png", "--crop", "21x20"], "to the 20 x 20 that there are, but got 21x20"),
    "crop of a recording": (["{bad}/good.wav", "--crop", "100"], "--crop is for images and volumes"),
    "samples of an image": (["{bad}/good.png", "--samples", "100"], "--samples is for audio, but this has 2 axes"),
    "dims 4": (["{bad}/good.png", "--dims", "4"], "`dims <= 3` must hold, but got dims=4"),
    "kind unknown": (["{bad}/good.png", "--kind", "video"], "'video' is not one of"),
    "kind of another": (["{bad}/good.png", "--kind", "volume"], "--kind must be image, which this is"),
    "channels unknown": (["{bad}/good.wav", "--channels", "left"], "'left' is not one of"),
    "winner of a volume": (["synthetic:torus", "--heuristic", "winner"], "is published for audio, image"),
    "width 0": (["{bad}/good.wav", "--width", "0"], "`1 <= width` must hold"),
    "width no number": (["{bad}/good.wav", "--width", "wide"], "'wide' is not a valid integer"),
    "depth absurd": (["{bad}/good.wav", "--depth", "1000"], "`depth <= 64` must hold"),
    "steps 0": (["{bad}/good.wav", "--steps", "0"], "`1 <= steps` must hold"),
    "steps negative": (["{bad}/good.wav", "--steps", "-1"], "`1 <= steps` must hold"),
    "trials 0": (["{bad}/good.wav", "--trials", "0"], "`1 <= trials` must hold"),
    "trials no number": (["{bad}/good.wav", "--trials", "few"], "'few' is not a valid integer"),
    "lr 0": (["{bad}/good.wav", "--lr", "0"], "`0.0 < lr` must hold"),
    "lr nan": (["{bad}/good.wav", "--lr", "nan"], "lr must be finite"),
    "confirm negative": (["{bad}/good.wav", "--confirm", "-1"], "`0 <= confirm` must hold"),
    "unknown space": (["{bad}/good.wav", "--space", "no"], "known spaces: siren, siren2"),
    "unknown heuristic": (["{bad}/good.wav", "--heuristic", "no"], "known heuristics: winner, bandwidth"),
    "unknown pruner": (["{bad}/good.wav", "--pruner", "no"], "'no' is not one of 'asha', 'none'"),
    "unknown option": (["{bad}/good.wav", "--trails", "3"], "No such option '--trails'"),
    "unknown config key": (
        ["{bad}/good.wav", "--config", "{bad}/unknown-key.toml"],
        "unknown key 'trails' in [search]",
    ),
    "broken config": (["{bad}/good.wav", "--config", "{bad}/broken.toml"], "must be TOML"),
    "missing config": (["{bad}/good.wav", "--config", "{bad}/no.toml"], "no such file"),
    "name that leaves the store": (["{bad}/good.wav", "--name", "../../etc"], "a name must begin with"),
    "the same signal twice": (["{bad}/good.wav", "{bad}/good.wav"], "must differ"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_of_a_run_is_one_line_exit_2_and_writes_nothing(shell: Shell, bad: Path, case: str) -> None:
    words, message = BAD_INPUT[case]
    code, out, err = shell("run", *[word.format(bad=bad) for word in words], "--workers", "0")
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "s0=-1"], "`0 <= s0` must hold, but got s0=-1.0"),
        (["--set", "lr=0"], "`0 < lr` must hold, but got lr=0.0"),
        (["--set", "s0=nan"], "`0 <= s0` must hold, but got s0=nan"),
        (["--set", "s0=inf"], "`0 <= s0` must hold, but got s0=inf"),
        (["--set", "s0=much"], "s0 must be a number, but got 'much'"),
        (["--set", "sigma=3"], "unknown parameter 'sigma' in space siren2; it has: s0, s1, lr"),
        (["--set", "lr=1e-3", "--lr", "1e-4"], "--lr and --set lr must agree, but got 0.0001 and 0.001"),
        (["--set", "s0"], "--set takes NAME=VALUE, but got 's0'"),
        (["--seeds", "0"], "0 is not in the range 1<=x<=100000"),
        (["--space", "no"], "unknown space 'no'"),
        (["--heuristic", "no"], "unknown heuristic 'no'"),
    ],
)
def test_bad_points_of_a_fit_are_one_line_and_exit_2(shell: Shell, words: list[str], message: str) -> None:
    code, out, err = shell("fit", BRIGHT, *FAST, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_every_bad_signal_gets_its_line(shell: Shell, bad: Path) -> None:
    code, _, err = shell("predict", f"{bad}/no.wav", f"{bad}/good.wav", f"{bad}/empty.wav")
    assert code == 2
    assert [line.split(": ")[1] for line in err.splitlines()] == [f"{bad}/no.wav", f"{bad}/empty.wav"]


def test_a_store_that_cannot_be_written_is_the_world_s_fault(shell: Shell, bad: Path) -> None:
    code, out, err = shell("run", BRIGHT, *FAST, "--workers", "0", "--store", f"{bad}/file-in-the-way")
    assert (code, out) == (1, "")
    assert "must be a writable folder" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_an_address_where_no_cluster_answers_is_said_and_nothing_is_written(shell: Shell) -> None:
    code, _, err = shell("run", BRIGHT, *FAST, "--address", "127.0.0.1:9")
    assert code == 1
    assert "error: no Ray cluster answers at 127.0.0.1:9" in err
    assert list(Path.cwd().iterdir()) == []


def test_predict_prints_the_document_of_the_contract(shell: Shell) -> None:
    code, out, err = shell("predict", BRIGHT, "--samples", "4096", "--width", "64", "--json")
    [entry] = json.loads(out)["signals"]
    assert (code, err) == (0, "")
    assert set(entry) == {
        "signal",
        "kind",
        "samples",
        "shape",
        "channels",
        "rate_hz",
        "centroid",
        "nyquist_rad",
        "predictions",
        "silent",
    }
    assert entry["silent"] == {}
    assert set(entry["predictions"]["calibrated"]) == {"s0", "s1", "lr"}
    assert set(entry["predictions"]["winner"]) == {"s0", "s1"}
    assert set(entry["predictions"]["bandwidth"]) == {"s0", "s1", "lr"}
    assert entry["centroid"] == pytest.approx(0.65, abs=0.02)
    _, out, _ = shell("predict", BRIGHT, "--heuristic", "winner", "--json")
    assert set(json.loads(out)["signals"][0]["predictions"]) == {"winner"}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["synthetic:texture", "--crop", "64x32"], "synthetic:texture: image, 64 x 32 samples, 3 channels, centroid "),
        (["synthetic:torus", "--crop", "8"], "synthetic:torus: volume, 8 x 8 x 8 samples, 1 channel, centroid "),
        (["synthetic:blob"], "synthetic:blob: occupancy, 32 x 32 x 32 samples, 1 channel, centroid "),
        (["{bad}/two.npz:a"], "two.npz:a: audio, 2,000 samples, 1 channel, centroid "),
        (["{bad}/good.png"], "good.png: image, 20 x 20 samples, 1 channel, centroid "),
        (["{bad}/good.wav", "--channels", "all"], "good.wav: audio, 2,000 samples at 8000 Hz, centroid "),
    ],
)
def test_predict_says_what_grid_a_signal_has(shell: Shell, bad: Path, words: list[str], line: str) -> None:
    words = [word.format(bad=bad) for word in words]
    code, out, err = shell("predict", *words)
    assert (code, err) == (0, "")
    assert line in out
    _, out, _ = shell("predict", *words, "--json")
    [entry] = json.loads(out)["signals"]
    assert np.prod(entry["shape"]) == entry["samples"]
    assert (entry["rate_hz"] is None) == ("Hz" not in line)
    assert ("winner" in entry["predictions"]) == (entry["kind"] in ("audio", "image"))


@pytest.mark.parametrize(("source", "crop"), [("synthetic:texture", "16x12"), ("synthetic:torus", "6")])
def test_fit_takes_images_and_volumes(shell: Shell, source: str, crop: str) -> None:
    code, out, _ = shell("fit", source, "--crop", crop, "--width", "8", "--depth", "2", "--steps", "5", "--json")
    assert code == 0
    assert json.loads(out)["status"] == ["done"]


def test_fit_prints_the_document_and_uses_what_is_given(shell: Shell) -> None:
    words = [*FAST, "--set", "s0=300", "--set", "s1=0.25", "--seeds", "3", "--json"]
    code, out, _ = shell("fit", BRIGHT, *words)
    document = json.loads(out)
    assert code == 0
    assert document["params"] == {"s0": 300.0, "s1": 0.25, "lr": 1e-4}
    assert len(document["psnr_db"]) == len(document["snr_db"]) == 3
    assert document["steps"] == 5
    _, again, _ = shell("fit", BRIGHT, *words)
    assert json.loads(again)["psnr_db"] == document["psnr_db"]


def test_fit_of_a_heuristic_takes_what_it_names(shell: Shell) -> None:
    _, out, _ = shell("predict", BRIGHT, "--samples", "256", "--width", "8", "--json")
    predicted = json.loads(out)["signals"][0]["predictions"]["bandwidth"]
    _, out, _ = shell("fit", BRIGHT, *FAST, "--heuristic", "bandwidth", "--set", "s1=0.5", "--json")
    assert json.loads(out)["params"] == {**predicted, "s1": 0.5}


def test_run_status_and_export_agree(shell: Shell) -> None:
    words = [*FAST, "--trials", "4", "--confirm", "2", "--workers", "0", "--name", "n"]
    code, out, err = shell("run", BRIGHT, *words, "--json")
    assert code == 0
    [summary] = json.loads(out)["studies"]
    assert set(summary) == {
        "study", "signal", "space", "objective", "trials", "best", "references", "steps", "wall_seconds", "fit_seconds",
        "mlflow_run_id",
    }  # fmt: skip
    assert set(summary["wall_seconds"]) == {"search", "references", "confirm"}
    assert set(summary["best"]["confirmed"]) == {"mean_psnr_db", "sd_db", "seeds"}
    assert summary["study"] in err
    _, out, _ = shell("status", "--json")
    [state] = json.loads(out)["studies"]
    assert {key: state[key] for key in summary} == summary
    assert (state["state"], state["budget"], state["running"]) == ("done", 4, False)
    _, out, _ = shell("status", "n")
    assert "done, 4/4 trials" in out
    code, out, _ = shell("export", summary["study"], "--out", "w")
    assert code == 0
    assert sorted(path.name for path in Path("w").iterdir()) == [
        "recipe.json",
        "snippet.py",
        "target.npy",
        "winner.safetensors",
    ]
    code, out, _ = shell("run", BRIGHT, *words)
    assert code == 0
    assert "found #" in out
    assert "winnow export" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["status"], "there is no store at winnow-store"),
        (["export", "x"], "there is no store at winnow-store"),
        (["report", "x"], "there is no store at winnow-store"),
        (["ui"], "there is nothing to show at winnow-store"),
    ],
)
def test_a_store_that_is_not_there_is_said_and_not_made(shell: Shell, words: list[str], message: str) -> None:
    code, _, err = shell(*words)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
    assert list(Path.cwd().iterdir()) == []


def test_an_unknown_study_is_refused_with_the_known_ones(shell: Shell) -> None:
    shell("run", BRIGHT, *FAST, "--trials", "1", "--confirm", "0", "--workers", "0", "--name", "n")
    code, _, err = shell("export", "m")
    assert code == 2
    assert "there is no study 'm'; known studies: n/bright-" in err


def test_a_port_in_use_is_said(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "mlflow.db").write_bytes(b"")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, _, err = shell("ui", "--port", port, "--store", str(tmp_path / "store"))
    assert code == 1
    assert f"127.0.0.1:{port} cannot be opened" in err


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['winnow', '--help']\nfrom search.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'ray', 'optuna', 'mlflow', 'torch', 'numpy', 'matplotlib', 'scipy', 'soundfile', 'jinja2'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Usage: winnow" in ended.stdout


def test_predicting_and_driving_load_no_torch() -> None:
    code = (
        "import sys\nfrom search import predict\nimport search.run, search.study, search.study_runs\n"
        "predict(['synthetic:bright'])\nsys.exit('torch' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("command", ["predict", "fit", "run", "status", "export", "report", "ui"])
def test_every_command_has_help_and_stands_in_the_readme(shell: Shell, command: str) -> None:
    code, out, _ = shell(command, "--help")
    assert code == 0
    assert f"Usage: winnow {command}" in out
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert f"winnow {command}" in readme


def test_without_a_command_the_help_is_shown_as_it_is(shell: Shell) -> None:
    code, _, err = shell()
    assert code == 2
    assert "\nCommands:\n" in err
    assert "error:" not in err


def test_python_m_search_is_winnow() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "search", "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert "0.1.0" in ended.stdout


def test_the_options_are_those_of_the_contract(shell: Shell) -> None:
    _, out, _ = shell("run", "--help")
    contract = """samples start task objective heuristic width depth steps lr trials pruner confirm seed workers
        cpus-per-worker gpus-per-worker lanes deterministic address store storage tracking-uri config space name json"""
    missing: list[Any] = [option for option in contract.split() if f"--{option} " not in out.replace("\n", " ")]
    assert missing == []
