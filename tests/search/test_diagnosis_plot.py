from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from search.diagnosis_plot import draw
from trainers.config import NetworkConfig
from trainers.diagnostics import diagnose
from trainers.networks import initial_tensors


@dataclass(frozen=True)
class Grid:
    shape: tuple[int, ...]
    coordinates: NDArray[np.float32]
    values: NDArray[np.float32]


@pytest.mark.parametrize("has_end", [True, False])
@pytest.mark.parametrize("is_silent", [True, False])
def test_a_diagnosis_becomes_a_picture_without_warnings(tmp_path: Path, has_end: bool, is_silent: bool) -> None:
    x = np.linspace(-1.0, 1.0, 64, dtype=np.float32)[:, None]
    task = Grid((64,), x, np.zeros_like(x) if is_silent else np.sin(20 * x))
    network = NetworkConfig(architecture="siren", width=8, depth=2)
    weights = {name: tensor.float().numpy() for name, tensor in initial_tensors(network, 1).items()}
    diagnosis = diagnose(task, network, 0, weights if has_end else None)
    draw(tmp_path / "diagnosis.png", diagnosis, "a tone")
    assert (tmp_path / "diagnosis.png").read_bytes().startswith(b"\x89PNG")
