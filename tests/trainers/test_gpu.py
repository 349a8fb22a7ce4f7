"""Fits on a CUDA device; they wait for a machine that has one."""

from __future__ import annotations

import time

import pytest
import torch

from trainers.config import FitConfig, NetworkConfig, Status
from trainers.fit import FitStack, fit_network
from trainers.lanes import lanes_that_pay, measure_lanes
from trainers.networks import BUILT_IN, architecture_of, initial_tensors, render
from trainers.passes import FullBatch, GraphedFullBatch
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


def test_a_captured_pass_gives_the_gradients_of_the_eager_one() -> None:
    task = build_task(read_signal("synthetic:bright", Crop(samples=2048)))
    x, y = torch.from_numpy(task.coordinates).cuda(), torch.from_numpy(task.targets).cuda()
    tensors = initial_tensors(NETWORK, 0)
    leaves = {name: tensor.float().cuda().unsqueeze(0).requires_grad_() for name, tensor in tensors.items()}
    for leaf in leaves.values():
        leaf.grad = torch.zeros_like(leaf)
    factors = {"w_first": torch.full((1,), 30.0).cuda(), "w": torch.full((1,), 30.0).cuda()}
    eager = FullBatch(architecture_of(NETWORK).forward(NETWORK), x, y, rows=500)
    expected = eager(leaves, factors).clone(), {name: leaf.grad.clone() for name, leaf in leaves.items()}
    graphed = GraphedFullBatch(eager)
    for _ in range(3):  # captured once, then replayed
        losses = graphed(leaves, factors)
        torch.testing.assert_close(losses, expected[0])
        for name, leaf in leaves.items():
            torch.testing.assert_close(leaf.grad, expected[1][name])


def test_a_lane_that_is_refilled_in_a_captured_stack_fits_as_alone() -> None:
    task = build_task(read_signal("synthetic:bright", Crop(samples=2048)))
    stack = FitStack(task, NETWORK, num_lanes=2, device="cuda")
    for lane in range(2):
        stack.start(lane, NETWORK, FIT, lane)
    stack.advance({0: 10, 1: 10})
    stack.stop(1)
    stack.start(1, NETWORK, FIT, 7)
    stack.advance({0: 30, 1: 30})
    stack.advance({1: 30})
    alone = fit_network(task, NETWORK, FIT, 7, "cuda").progress
    assert stack.progress(1).psnr_db == pytest.approx(alone.psnr_db, abs=0.05)


def test_replayed_steps_of_a_small_network_are_faster_than_launched_ones() -> None:
    task = build_task(read_signal("synthetic:bright", Crop(samples=4096)))
    stack = FitStack(task, NETWORK, device="cuda")
    stack.start(0, NETWORK, FitConfig(steps=10**6, lr=1e-4), 0)
    batch = stack._batches[0]
    graphed = batch._run
    assert isinstance(graphed, GraphedFullBatch)
    seconds = {}
    for name, run in (("replayed", graphed), ("launched", graphed._eager)):
        run(batch._tensors, batch._factors)
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(200):
            run(batch._tensors, batch._factors)
        torch.cuda.synchronize()
        seconds[name] = time.perf_counter() - began
    assert seconds["replayed"] < seconds["launched"]


def test_lanes_are_measured_until_more_do_not_pay() -> None:
    task = build_task(read_signal("synthetic:bright", Crop(samples=4096)))
    rates = measure_lanes(task, NETWORK, "cuda")
    assert lanes_that_pay(rates) > 1
