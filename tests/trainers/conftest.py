import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from trainers.config import FitConfig, NetworkConfig
from trainers.signals import Crop, read_signal
from trainers.tasks import Task, build_task

Array = NDArray[np.float64]
Writer = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of small products wait for each other, on a busy machine for ever."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tone() -> Array:
    """8000 samples of a sinusoid at 0.05 cycles per sample, peak 0.8."""
    return 0.8 * np.sin(2.0 * math.pi * 0.05 * np.arange(8000) + 0.3)


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    """Writes samples to a file of the given name, wav of 64-bit floats unless said otherwise."""

    def write_file(values: Array, name: str = "clip.wav", rate: int = 8000, subtype: str | None = "DOUBLE") -> Path:
        path = tmp_path / name
        soundfile.write(path, values, rate, subtype=subtype)
        return path

    return write_file


@pytest.fixture(scope="session")
def bright() -> Task:
    """The middle 1024 samples of `synthetic:bright`."""
    return build_task(read_signal("synthetic:bright", Crop(samples=1024)))


@pytest.fixture(scope="session")
def small() -> Task:
    """400 samples of `synthetic:pink`: enough to fit, quick to fit."""
    return build_task(read_signal("synthetic:pink", Crop(samples=400)))


@pytest.fixture(scope="session")
def network() -> NetworkConfig:
    """A network that learns from `small` at once."""
    return NetworkConfig(architecture="siren2", width=16, depth=3, knobs={"s0": 200.0, "s1": 0.25})


@pytest.fixture(scope="session")
def brief() -> FitConfig:
    """Sixty steps: three rungs of the schedule."""
    return FitConfig(steps=60, lr=2e-3)


@pytest.fixture(scope="session")
def unsteady() -> FitConfig:
    """Twenty steps at too large a rate: with seed 0, the PSNR rises until about step 12 and then falls by over 1 dB."""
    return FitConfig(steps=20, lr=0.1)
