"""Fits on a CUDA device; they wait for a machine that has one."""

from __future__ import annotations

import pytest
import torch

from trainers.config import FitConfig, NetworkConfig, Status
from trainers.fit import FitStack, fit_network
from trainers.networks import BUILT_IN, initial_tensors, render
from trainers.signals import Crop, read_signal
from trainers.tasks import build_task

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

NETWORK = NetworkConfig(architecture="siren2", width=32, depth=3, knobs={"s0": 300.0, "s1": 0.2})
FIT = FitConfig(steps=30, lr=1e-4)


def test_a_fit_on_cuda_follows_the_one_on_the_cpu() -> None:
    task = build_task(read_signal("synthetic:bright", Crop(samples=2048)))
    cpu, cuda = (fit_network(task, NETWORK, FIT, 0, device).progress for device in ("cpu", "cuda"))
    assert cuda.status is Status.DONE
    # The curves part by rounding alone, which 30 steps at this rate do not magnify.
    assert [value for _, value in cuda.curve] == pytest.approx([value for _, value in cpu.curve], abs=0.05)


def test_lanes_on_cuda_continue_from_a_checkpoint_of_the_cpu() -> None:
    task = build_task(read_signal("synthetic:bright", Crop(samples=2048)))
    cpu = FitStack(task, NETWORK)
    cpu.start(0, NETWORK, FIT, 0)
    cpu.advance({0: 15})
    cuda = FitStack(task, NETWORK, num_lanes=2, device="cuda")
    for lane in range(2):
        cuda.start(lane, NETWORK, FIT, 0, cpu.checkpoint(0))
    cuda.advance({0: 30, 1: 30})
    cpu.advance({0: 30})
    for lane in range(2):
        assert cuda.progress(lane).psnr_db == pytest.approx(cpu.progress(0).psnr_db, abs=0.05)


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_network_gives_on_cuda_what_it_gives_on_the_cpu(name: str) -> None:
    knobs = {"siren2": {"s0": 100.0, "s1": 0.2}, "positional": {"octaves": 6.0}}.get(name, {})
    config = NetworkConfig(architecture=name, width=32, depth=3, dims=2, channels=3, knobs=knobs)
    x = torch.rand(500, 2, dtype=torch.float64) * 2 - 1
    tensors = initial_tensors(config, 0)
    on_cuda = {key: tensor.cuda() for key, tensor in tensors.items()}
    torch.testing.assert_close(render(config, on_cuda, x.cuda()).cpu(), render(config, tensors, x))
