"""Adam on tensors that stay where they are, by torch's fused kernel.

g: gradient; m, v: running means of g and g^2; t: steps made; lr: learning rate.

[Kingma2015] D. Kingma, J. Ba, Adam: a method for stochastic optimization.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
"""[Kingma2015], and torch's defaults."""


class Adam:
    """m <- b1 m + (1 - b1) g; v <- b2 v + (1 - b2) g^2; p <- p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps).

    What torch.optim.Adam(fused=True) computes, bit for bit; but the first of those in a process loads torch's compiler,
    which takes two seconds, and each of its steps goes through Python that costs as much as a small network's pass.

    Args:
        params: by name; each has its gradient beside it.
    """

    def __init__(self, params: Mapping[str, Tensor]) -> None:
        self._params = dict(params)
        self._means = {name: torch.zeros_like(param) for name, param in params.items()}
        self._squares = {name: torch.zeros_like(param) for name, param in params.items()}
        self._step = torch.zeros((), device=next(iter(params.values())).device)

    def step_(self, lr: float) -> None:
        """One update of the parameters, in place."""
        self._step += 1
        grads = [param.grad for param in self._params.values() if param.grad is not None]
        assert len(grads) == len(self._params), "every parameter must have its gradient beside it"
        torch._fused_adam_(
            list(self._params.values()),
            grads,
            list(self._means.values()),
            list(self._squares.values()),
            [],  # of amsgrad
            [self._step] * len(grads),
            lr=lr,
            beta1=BETA1,
            beta2=BETA2,
            weight_decay=0.0,
            eps=EPS,
            amsgrad=False,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """`step`, and `exp_avg/NAME` and `exp_avg_sq/NAME` (m and v) of every parameter: itself, not a copy."""
        means = {f"exp_avg/{name}": tensor for name, tensor in self._means.items()}
        return {"step": self._step, **means, **{f"exp_avg_sq/{name}": tensor for name, tensor in self._squares.items()}}

    def restore_(self, read: Callable[[str, Tensor], Tensor]) -> None:
        """Take its state from read(name, a tensor of that shape)."""
        for name, tensor in self.state().items():
            tensor.copy_(read(name, tensor))
