import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from spaces.spectrum import amplitude_spectra
from trainers.config import NetworkConfig
from trainers.diagnostics import MAX_BANDS, Diagnosis, diagnose
from trainers.modules import module_architecture
from trainers.networks import initial_tensors, register_architecture, render, trace
from trainers.probe import kernel_block, tangent_kernel


@dataclass(frozen=True)
class Grid:
    shape: tuple[int, ...]
    coordinates: NDArray[np.float32]
    values: NDArray[np.float32]


def grid_like(shape: tuple[int, ...], channels: int = 1) -> Grid:
    axes = np.meshgrid(*[np.linspace(-1.0, 1.0, num) for num in shape], indexing="ij")
    coordinates = np.stack(axes, axis=-1).reshape(-1, len(shape)).astype(np.float32)
    values = np.random.default_rng(5).standard_normal((len(coordinates), channels))
    return Grid(shape, coordinates, values.astype(np.float32))


NETWORK = NetworkConfig(architecture="siren", width=10, depth=3)


def weights_of(network: NetworkConfig, seed: int) -> dict[str, NDArray[np.float32]]:
    return {name: tensor.float().numpy() for name, tensor in initial_tensors(network, seed).items()}


@pytest.mark.parametrize(("shape", "channels"), [((300,), 1), ((1000,), 2), ((12, 15), 3), ((6, 7, 8), 1)])
class TestEveryGrid:
    def diagnosis(self, shape: tuple[int, ...], channels: int) -> Diagnosis:
        network = replace(NETWORK, dims=len(shape), channels=channels)
        return diagnose(grid_like(shape, channels), network, 3, weights_of(network, 4))

    def test_its_arrays_are_small_and_finite(self, shape: tuple[int, ...], channels: int) -> None:
        diagnosis = self.diagnosis(shape, channels)
        bands = len(diagnosis.frequency)
        assert bands <= MAX_BANDS
        assert diagnosis.target.shape == (bands,)
        for state in (diagnosis.start, diagnosis.end):
            assert state is not None
            assert state.layers.shape == (3, bands)
            assert state.output.shape == (bands,)
            assert len(state.ntk_eigenvalues) <= 256
            assert np.all(np.diff(state.ntk_eigenvalues) <= 0.0)
            for values in (state.layers, state.output, state.ntk_eigenvalues, state.ntk_spectrum):
                assert np.isfinite(values).all()
                assert (values >= 0.0).all()

    def test_it_can_be_written_as_json(self, shape: tuple[int, ...], channels: int) -> None:
        diagnosis = self.diagnosis(shape, channels)
        read = json.loads(json.dumps(diagnosis.to_dict(), allow_nan=False))
        assert read["start"]["layers"] == diagnosis.start.layers.tolist()
        assert read["nyquist"] == max(shape) / 2


def test_without_weights_there_is_no_end() -> None:
    diagnosis = diagnose(grid_like((100,)), NETWORK, 3)
    assert diagnosis.end is None
    assert diagnosis.to_dict()["end"] is None


def test_the_weights_of_the_start_give_the_start_again() -> None:
    diagnosis = diagnose(grid_like((100,)), NETWORK, 3, weights_of(NETWORK, 3))
    assert diagnosis.end is not None
    np.testing.assert_allclose(diagnosis.end.layers, diagnosis.start.layers, rtol=1e-6)
    np.testing.assert_allclose(diagnosis.end.ntk_eigenvalues, diagnosis.start.ntk_eigenvalues, rtol=1e-6)


def test_its_spectra_are_those_of_the_networks_own_features_and_output() -> None:
    task = grid_like((100,))
    start = diagnose(task, NETWORK, 3).start
    tensors = {name: tensor.float() for name, tensor in initial_tensors(NETWORK, 3).items()}
    x = torch.from_numpy(task.coordinates)
    for layer, features in enumerate(trace(NETWORK, tensors, x)[:-1]):
        expected = np.mean([amplitude_spectra(feature[:, None], (100,)) for feature in features.numpy().T], axis=0)
        np.testing.assert_allclose(start.layers[layer], expected, rtol=1e-5)
    np.testing.assert_allclose(start.output, amplitude_spectra(render(NETWORK, tensors, x).numpy(), (100,)), rtol=1e-5)


def test_its_eigenvalues_are_those_of_the_kernel_over_n_squared() -> None:
    task = grid_like((100,))
    start = diagnose(task, NETWORK, 3).start
    block, _ = kernel_block(task, 256)
    tensors = {name: tensor.float() for name, tensor in initial_tensors(NETWORK, 3).items()}
    kernel = tangent_kernel(NETWORK, tensors, torch.from_numpy(task.coordinates[block])) / 100**2
    np.testing.assert_allclose(start.ntk_eigenvalues.sum(), np.trace(kernel), rtol=1e-5)
    assert start.ntk_spectrum.shape == (50,)


def test_long_grids_are_traced_in_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    task = grid_like((100,))
    whole = diagnose(task, NETWORK, 3).start
    monkeypatch.setattr("trainers.diagnostics.VALUES_PER_PASS", 40 * 7)
    parts = diagnose(task, NETWORK, 3).start
    np.testing.assert_allclose(parts.layers, whole.layers, rtol=1e-4)
    np.testing.assert_allclose(parts.output, whole.output, rtol=1e-3, atol=1e-4)


def test_more_bins_than_a_picture_shows_become_bands() -> None:
    diagnosis = diagnose(grid_like((1000,)), NETWORK, 3)
    assert len(diagnosis.frequency) == MAX_BANDS
    assert diagnosis.frequency[0] == pytest.approx(1.5)
    assert diagnosis.frequency[-1] < diagnosis.nyquist == 500.0


def test_a_module_of_ones_own_shows_no_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(dims: int, channels: int, width: int, depth: int) -> nn.Module:
        return nn.Sequential(nn.Linear(dims, width), nn.Tanh(), nn.Linear(width, channels))

    monkeypatch.setattr("trainers.networks.ARCHITECTURES", {})
    monkeypatch.setattr("trainers.networks.WEIGHT_COUNTS", {})
    register_architecture("own", module_architecture(build))
    start = diagnose(grid_like((100,)), replace(NETWORK, architecture="own"), 3).start
    assert start.layers.shape == (0, 50)
    assert start.ntk_eigenvalues.shape == (100,)
