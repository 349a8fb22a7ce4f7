import subprocess
import sys

import pytest
import torch

from trainers.adam import Adam


def parameters(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"weight": (33, 17), "bias": (33,), "scalar": ()}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def set_gradients(params: dict[str, torch.Tensor], step: int) -> None:
    generator = torch.Generator().manual_seed(1000 + step)
    for param in params.values():
        param.grad = torch.randn(param.shape, generator=generator) * 10.0 ** (step % 5 - 3)


def test_every_step_is_that_of_torchs_own_bit_for_bit() -> None:
    ours, theirs = parameters(0), parameters(0)
    adam, reference = Adam(ours), torch.optim.Adam(theirs.values(), fused=True)
    for step in range(40):
        rate = 1e-2 * 0.9**step
        reference.param_groups[0]["lr"] = rate
        for params in (ours, theirs):
            set_gradients(params, step)
        adam.step_(rate)
        reference.step()
        for name, param in ours.items():
            torch.testing.assert_close(param, theirs[name], rtol=0, atol=0)


def test_a_restored_state_goes_on_bit_for_bit() -> None:
    params = parameters(0)
    adam = Adam(params)
    for step in range(3):
        set_gradients(params, step)
        adam.step_(1e-2)
    copy = {name: param.clone() for name, param in params.items()}
    state = {name: tensor.clone() for name, tensor in adam.state().items()}
    other = Adam(copy)
    other.restore_(lambda name, like: state[name])
    for each, optimiser in ((params, adam), (copy, other)):
        set_gradients(each, 3)
        optimiser.step_(1e-2)
    for name, param in params.items():
        torch.testing.assert_close(param, copy[name], rtol=0, atol=0)


@pytest.mark.parametrize("module", ["torch._dynamo", "sympy"])
def test_a_fit_does_not_load_torchs_compiler(module: str) -> None:
    code = f"""
import sys
from trainers.config import FitConfig, NetworkConfig
from trainers.fit import FitStack
from trainers.signals import Crop, read_signal
from trainers.tasks import build_task
task = build_task(read_signal("synthetic:pink", Crop(samples=64)))
network = NetworkConfig(architecture="siren", width=4, depth=2)
stack = FitStack(task, network)
stack.start(0, network, FitConfig(steps=2, lr=1e-3), 0)
stack.advance({{0: 2}})
sys.exit({module!r} in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
