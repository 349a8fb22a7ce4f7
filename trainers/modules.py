"""Architectures of a user's own torch modules."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping

import torch
from torch import Tensor, nn

from trainers.config import ConfigError, Knobs, NetworkConfig
from trainers.networks import Architecture, Forward, Tensors, Trace

_FIXED = "fixed/"
"""Begins the names of a module's tensors that are not trained."""


def module_architecture(build: Callable[..., nn.Module], knobs: Knobs | None = None) -> Architecture:
    """An architecture of one's own torch module, to be registered.

    The module must be a function of its inputs alone: no dropout, no batch statistics. Its buffers are held fixed, and
    so are parameters without requires_grad. Lanes run one after the other.

    Args:
        build: build(dims=, channels=, width=, depth=, **knobs) returns a module that takes (N, dims) to (N, channels).
            Knobs come as floats. It draws its weights from torch's generator for the CPU, which is seeded for it and
            restored after it.
        knobs: as for `Architecture`.
    """
    own = dict(knobs or {})

    def make(config: NetworkConfig, seed: int = 0) -> nn.Module:
        sizes = {"dims": config.dims, "channels": config.channels, "width": config.width, "depth": config.depth}
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed would seed the GPUs too, which nothing restores. It takes 64 bits.
            torch.default_generator.manual_seed(seed % 2**64)
            return build(**sizes, **architecture.complete_knobs(config))

    def initial(config: NetworkConfig, knobs: Mapping[str, float], seed: int) -> dict[str, Tensor]:
        module = make(config, seed)
        tensors = {name: tensor.detach() for name, tensor in module.named_parameters() if tensor.requires_grad}
        tensors |= {_FIXED + name: tensor.detach() for name, tensor in _constants(module)}
        complex_ones = [name for name, tensor in tensors.items() if tensor.is_complex()]
        if complex_ones:
            raise ConfigError(f"a module's tensors must be real, but got complex {', '.join(complex_ones)}")
        for name, tensor in tensors.items():
            if not tensor.is_floating_point() and not torch.equal(tensor.float().to(tensor.dtype), tensor):
                raise ConfigError(f"whole numbers in a module must fit into float32, but those of {name} do not")
        return {name: tensor.double() for name, tensor in tensors.items()}

    def forward(config: NetworkConfig) -> Forward:
        module = make(config)
        _check_output(module, config)
        dtypes = {_FIXED + name: tensor.dtype for name, tensor in _constants(module) if not tensor.is_floating_point()}

        def run(tensors: Tensors, factors: Tensors, x: Tensor) -> Tensor:
            outputs = []
            for lane, points in enumerate(x.unbind()):
                state = {
                    name.removeprefix(_FIXED): tensor[lane].to(dtypes.get(name, tensor.dtype))
                    for name, tensor in tensors.items()
                }
                outputs.append(torch.func.functional_call(module, state, (points,)))
            return torch.stack(outputs)

        return run

    def trace(config: NetworkConfig) -> Trace:
        run = forward(config)
        return lambda tensors, factors, x: [run(tensors, factors, x)]

    architecture = Architecture(
        family=f"module {id(build)}",  # unlike any other's: the architecture holds `build`
        knobs=own,
        initial=initial,
        factors=lambda knobs: {},
        forward=forward,
        trace=trace,
        fixed=_Fixed(),
        shape_knobs=tuple(own),
    )
    return architecture


class _Fixed(Container[str]):
    """The names that begin so: which buffers a module has may depend on its configuration."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.startswith(_FIXED)


def _check_output(module: nn.Module, config: NetworkConfig) -> None:
    """On two points, before any fit begins: a worker then blames the trial and not itself."""
    dtype = next((tensor.dtype for tensor in module.parameters()), torch.float32)
    with torch.no_grad():
        output = tuple(module(torch.zeros((2, config.dims), dtype=dtype)).shape)
    if output != (2, config.channels):
        raise ConfigError(
            f"{config.architecture} must return (points, channels), here {(2, config.channels)}, but got {output}"
        )


def _constants(module: nn.Module) -> list[tuple[str, Tensor]]:
    frozen = [(name, tensor) for name, tensor in module.named_parameters() if not tensor.requires_grad]
    return [*module.named_buffers(), *frozen]
