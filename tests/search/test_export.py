"""What is exported of a winner: files by kind of signal, and a snippet that is a network of every architecture."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from search.export import build_recipe, has_weights_of, kept_files, save_recipe, save_weights
from search.objective import Objective
from search.record import Record
from search.samples import write_listening
from search.snippet import DEFAULT_KNOBS, all_knobs
from search.trial import State, TrialBuilder, TrialSpec
from spaces.catalog import SPACES, build_space
from trainers.audio import read_wav
from trainers.config import LEFT_OUT, WEIGHT_COUNTS, FitResult, NetworkConfig
from trainers.fit import fit_network
from trainers.modules import module_architecture
from trainers.networks import (
    ARCHITECTURES,
    architecture_of,
    initial_tensors,
    register_architecture,
)
from trainers.scaling import build_signal
from trainers.signals import Crop, Signal, read_signal
from trainers.tasks import TaskConfig, build_task

AUDIO = read_signal("synthetic:bright", Crop(samples=300))
IMAGE = read_signal("synthetic:texture", Crop(box=(12, 10)))
VOLUME = read_signal("synthetic:torus", Crop(box=(6, 5, 7)))
SIGNAL_OF = {
    "siren2": IMAGE,
    "finer": VOLUME,
    "fourier": IMAGE,
    "positional": VOLUME,
    "wire": IMAGE,
    "siren-rff": IMAGE,  # of audio its w_first is 3000: rounding alone parts two fits by 0.05 dB in 20 steps
}
"""What a space is tried on, where not on audio."""


def record_of(spec: TrialSpec, result: FitResult) -> Record:
    progress = result.progress
    return Record(
        key=spec.key, label=spec.label, number=0, space=spec.space, point=spec.point, purpose="confirm", repeat=0,
        seed=spec.seed, state=State.COMPLETE, psnr_db=progress.psnr_db, snr_db=progress.snr_db,
        held_psnr_db=progress.held_psnr_db, metrics=progress.metrics, best_step=progress.best_step,
        step=progress.step, steps=spec.fit.steps, curve=progress.curve, rung_scores={}, attempts=0, reason="",
        fit_seconds=0.0, started=0.0, ended=0.0,
    )  # fmt: skip


def fitted(space: str, signal: Signal, config: TaskConfig, steps: int = 20) -> tuple[TrialSpec, FitResult]:
    task = build_task(signal, config)
    spectrum = signal.spectrum()
    builder = TrialBuilder(
        task=task.digest,
        width=12,
        depth=2,
        dims=spectrum.dims,
        channels=spectrum.channels,
        steps=steps,
        study_seed=0,
    )
    searched = build_space(space, spectrum, width=12)
    spec = builder.build("confirm/#0/0", label="#0", space=searched, point=searched.complete({}))
    return spec, fit_network(task, spec.network, spec.fit, spec.seed)


def exported(folder: Path, space: str, signal: Signal, config: TaskConfig | None = None) -> dict[str, Any]:
    config = config or TaskConfig()
    spec, result = fitted(space, signal, config)
    save_weights(folder, spec, result, signal)
    record = record_of(spec, result)
    recipe = build_recipe(spec, record, signal, None, task=config, objective=Objective.FIT)
    save_recipe(folder, recipe)
    assert has_weights_of(folder, spec)
    return recipe


def printed(folder: Path) -> list[float]:
    """What the snippet says: PSNR of the exported weights, and of a network trained anew, dB."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "snippet.py"], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    return [float(line.split(": ")[1].removesuffix(" dB")) for line in ended.stdout.splitlines()]


def names_of(text: str) -> dict[str, Any]:
    """What a snippet defines."""
    names: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(text, "snippet.py", "exec"), names)
    return names


@pytest.mark.parametrize("space", DEFAULT_KNOBS)
def test_the_snippet_is_the_network_and_trains_it(space: str, tmp_path: Path) -> None:
    recipe = exported(tmp_path, space, SIGNAL_OF.get(space, AUDIO))
    weights, anew = printed(tmp_path)
    assert weights == pytest.approx(recipe["psnr_db"], abs=0.01)
    assert math.isfinite(anew)
    text = (tmp_path / "snippet.py").read_text()
    assert not [line for line in text.splitlines() if len(line) > 120]
    assert "$" not in text


@pytest.mark.parametrize("space", DEFAULT_KNOBS)
def test_the_snippet_trains_as_winnow_does_from_the_same_weights(space: str, tmp_path: Path) -> None:
    recipe = exported(tmp_path, space, SIGNAL_OF.get(space, AUDIO))
    names = names_of((tmp_path / "snippet.py").read_text())
    initial = initial_tensors(NetworkConfig(**recipe["network"]), recipe["seed"])
    draw = names["Network"]

    def start() -> torch.nn.Module:
        network: torch.nn.Module = draw()
        with torch.no_grad():
            network.load({name: tensor.float() for name, tensor in initial.items()})
        return network

    names["Network"] = start
    target = torch.from_numpy(np.load(tmp_path / "target.npy")).reshape(-1, names["CHANNELS"])
    _, psnr_db = names["train"](names["coordinates"](names["SHAPE"]), target)
    assert psnr_db == pytest.approx(recipe["psnr_db"], abs=0.01)


@pytest.mark.parametrize("space", DEFAULT_KNOBS)
def test_the_snippet_draws_weights_of_the_same_size(space: str, tmp_path: Path) -> None:
    recipe = exported(tmp_path, space, SIGNAL_OF.get(space, AUDIO))
    text = (tmp_path / "snippet.py").read_text()
    names = names_of(text.replace("WIDTH, DEPTH, DIMS = 12,", "WIDTH, DEPTH, DIMS = 400,"))
    torch.manual_seed(0)
    network = NetworkConfig(**{**recipe["network"], "width": 400})
    drawn = architecture_of(network).initial(network, architecture_of(network).complete_knobs(network), 0)
    for number, layer in enumerate(names["Network"]().layers):
        for own, tensor in ((layer.weight, drawn[f"weight{number}"]), (layer.bias, drawn[f"bias{number}"])):
            own = torch.view_as_real(own) if own.is_complex() else own
            assert own.shape == tensor.shape
            if tensor.numel() > 300:
                assert own.std().item() == pytest.approx(tensor.std().item(), rel=0.15)
                assert own.abs().max().item() == pytest.approx(tensor.abs().max().item(), rel=0.4)


def test_the_defaults_of_knobs_are_those_of_the_networks() -> None:
    for name in DEFAULT_KNOBS:
        defaults = ARCHITECTURES[name].knobs
        known = {knob: value for knob, value in defaults.items() if value is not None and value != LEFT_OUT}
        assert DEFAULT_KNOBS[name] == known
    assert set(SPACES) - {"any"} <= set(DEFAULT_KNOBS)
    assert all_knobs(NetworkConfig(architecture="siren", width=4, depth=1, knobs={"w": 20.0}))["w"] == 20.0


@pytest.mark.parametrize(("name", "noun"), [("holdout", "trained"), ("denoise", "noisy")])
def test_the_snippet_says_what_task_the_study_had_and_takes_all_samples(name: str, noun: str, tmp_path: Path) -> None:
    recipe = exported(tmp_path, "siren2", AUDIO, TaskConfig(name=name))
    text = (tmp_path / "snippet.py").read_text()
    assert f"The study's task was {name}" in text
    assert noun in text
    output, target = (np.load(tmp_path / file) for file in ("reconstruction.npy", "target.npy"))
    weights, _ = printed(tmp_path)
    assert weights == pytest.approx(-10 * math.log10(np.mean((output - target) ** 2)), abs=0.01)
    assert recipe["task"]["name"] == name
    assert recipe["held_psnr_db"] is not None


def test_the_recipe_holds_what_was_fitted_and_how(tmp_path: Path) -> None:
    recipe = exported(tmp_path, "fourier", IMAGE, TaskConfig(name="upsample"))
    assert json.loads((tmp_path / "recipe.json").read_text()) == recipe
    assert recipe["format"] == 2
    assert recipe["signal"]["shape"] == [12, 10]
    assert recipe["signal"]["total"] == [128, 128]
    assert recipe["signal"]["start"] == [58, 59]
    assert recipe["signal"]["channels"] == 3
    assert recipe["task"] == {"name": "upsample", "factor": 2}
    assert recipe["objective"] == "fit"
    assert recipe["network"]["knobs"] == {"sigma": 10.0, "features": 256.0}
    assert recipe["metrics"].keys() >= {"mae"}


class Sine(torch.nn.Module):
    """A user's own."""

    def __init__(self, dims: int, channels: int, width: int, depth: int, w: float) -> None:
        super().__init__()
        self.first, self.last = torch.nn.Linear(dims, width), torch.nn.Linear(width, channels)
        self.register_buffer("factor", torch.tensor(w), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.sin(self.factor * self.first(x)))


def test_for_a_network_of_ones_own_the_snippet_loads_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.networks.ARCHITECTURES", dict(ARCHITECTURES))
    monkeypatch.setitem(WEIGHT_COUNTS, "mine", lambda config: 0)  # gone after the test, with what replaces it
    register_architecture("mine", module_architecture(Sine, {"w": 30.0}))
    task = build_task(AUDIO)
    spec, _ = fitted("siren", AUDIO, TaskConfig())
    spec = replace(spec, network=replace(spec.network, architecture="mine", knobs={"w": 12.0}))
    result = fit_network(task, spec.network, spec.fit, spec.seed)
    save_weights(tmp_path, spec, result, AUDIO)
    config, objective = TaskConfig(), Objective.FIT
    recipe = build_recipe(spec, record_of(spec, result), AUDIO, None, task=config, objective=objective)
    save_recipe(tmp_path, recipe)
    text = (tmp_path / "snippet.py").read_text()
    assert "module = build(dims=1, channels=1, width=12, depth=2, w=12.0)" in text
    module = names_of(text)["load_winner"](Sine(1, 1, 12, 2, 1.0), tmp_path / "winner.safetensors")
    module.factor = torch.tensor(12.0)
    with torch.no_grad():
        output = module(torch.from_numpy(task.coordinates))
    assert output.numpy() == pytest.approx(result.output, abs=1e-5)


def with_channels(kind: str, shape: tuple[int, ...], channels: int, rate_hz: float | None = None) -> Signal:
    raw = np.random.default_rng(0).uniform(0.0, 1.0, (*shape, channels))
    zeros = (0,) * len(shape)
    return build_signal(raw, kind=kind, name="x", source="x", start=zeros, total=shape, rate_hz=rate_hz)


LOSSLESS = {"reconstruction.npy", "target.npy"}


@pytest.mark.parametrize(
    ("signal", "more"),
    [
        (with_channels("audio", (40,), 2, 8000.0), {"listen.wav", "reconstruction.wav", "target.wav"}),
        (with_channels("audio", (40,), 1), set()),
        (with_channels("image", (9, 8), 5), {"reconstruction.png", "target.png"}),
        (with_channels("volume", (5, 6, 7), 1), {"reconstruction.png", "target.png"}),
    ],
    ids=["stereo", "without a rate", "image of 5 channels", "volume"],
)
def test_each_kind_is_kept_as_what_can_be_heard_or_seen_and_without_loss(
    signal: Signal, more: set[str], tmp_path: Path
) -> None:
    exported(tmp_path, "siren", signal)
    kept = {path.name for path in kept_files(tmp_path)}
    assert kept == LOSSLESS | more | {"winner.safetensors", "recipe.json", "snippet.py"}
    target = np.load(tmp_path / "target.npy")
    assert target.dtype == np.float32
    assert target.shape == (*signal.shape, signal.channels)
    assert target.reshape(signal.values.shape) == pytest.approx(signal.values, abs=1e-7)
    if "target.wav" in more:
        assert read_wav(tmp_path / "target.wav") == pytest.approx(signal.values, abs=1e-7)


def test_a_clip_too_short_to_be_heard_is_repeated_target_first(tmp_path: Path) -> None:
    signal = with_channels("audio", (400,), 2, 8000.0)
    assert write_listening(tmp_path / "listen.wav", signal.values, -signal.values, signal)
    heard = read_wav(tmp_path / "listen.wav")
    assert len(heard) == 2 * 12_000 + 3_200
    inner = slice(400 + 40, 800 - 40)  # of the second repetition, where nothing is faded
    assert heard[inner] == pytest.approx(signal.values[40:-40], abs=1e-6)
    assert heard[12_000 : 12_000 + 3_200] == pytest.approx(0.0)
    assert heard[-12_000:] == pytest.approx(-heard[:12_000])
    assert abs(heard[0]).max() < 0.01
    long = with_channels("audio", (12_000,), 1, 8000.0)
    assert not write_listening(tmp_path / "long.wav", long.values, long.values, long)
    assert not (tmp_path / "long.wav").exists()


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA"), (5, "L")])
def test_an_image_is_a_png_of_its_channels(channels: int, mode: str, tmp_path: Path) -> None:
    signal = with_channels("image", (9, 8), channels)
    exported(tmp_path, "siren", signal)
    with Image.open(tmp_path / "target.png") as image:
        assert image.mode == mode
        pixels = np.asarray(image, dtype=np.float64).reshape(9, 8, -1)
    shown = signal.values.reshape(9, 8, -1)[..., : pixels.shape[-1]]
    assert pixels / 127.5 - 1.0 == pytest.approx(shown, abs=0.51 / 127.5)


@pytest.mark.parametrize("damage", ["winner.safetensors", "reconstruction.png", "target.npy"])
def test_what_is_not_all_there_is_no_winner(damage: str, tmp_path: Path) -> None:
    spec, result = fitted("siren", IMAGE, TaskConfig())
    save_weights(tmp_path, spec, result, IMAGE)
    assert has_weights_of(tmp_path, spec)
    assert not has_weights_of(tmp_path, replace(spec, seed=1))
    assert not has_weights_of(tmp_path, replace(spec, point={"w_first": 1.0, "lr": 1.0}))
    (tmp_path / damage).unlink()
    assert not has_weights_of(tmp_path, spec)
