from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from trainers.layers import linear, sine

W_SINE = torch.tensor([1.0, 2.5, 30.0], dtype=torch.float64)


def sine_layer(h: Tensor, W: Tensor, b: Tensor) -> Tensor:
    return sine(h, W, b, W_SINE.to(h.dtype))


def literal_linear(h: Tensor, W: Tensor, b: Tensor) -> Tensor:
    return torch.stack([h[lane] @ W[lane].T + b[lane] for lane in range(len(h))])


def literal_sine(h: Tensor, W: Tensor, b: Tensor) -> Tensor:
    w = W_SINE.to(h.dtype)
    return torch.stack([torch.sin(w[lane] * (h[lane] @ W[lane].T + b[lane])) for lane in range(len(h))])


def inputs(dtype: torch.dtype, num_lanes: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(num_lanes, 5, 2), (num_lanes, 4, 2), (num_lanes, 4)]
    h, W, b = (torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes)
    return h.requires_grad_(), W.requires_grad_(), b.requires_grad_()


Layer = Callable[[Tensor, Tensor, Tensor], Tensor]


@pytest.mark.parametrize(("layer", "literal"), [(linear, literal_linear), (sine_layer, literal_sine)])
class TestEveryLayer:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_its_output_has_lanes_points_and_features(self, layer: Layer, literal: Layer, dtype: torch.dtype) -> None:
        output = layer(*inputs(dtype))
        assert output.shape == (3, 5, 4)
        assert output.dtype == dtype

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_it_agrees_with_the_literal_formula(self, layer: Layer, literal: Layer, dtype: torch.dtype) -> None:
        tensors = inputs(dtype)
        torch.testing.assert_close(layer(*tensors), literal(*tensors), rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_its_gradient_is_that_of_the_literal_formula(
        self, layer: Layer, literal: Layer, dtype: torch.dtype
    ) -> None:
        tensors = inputs(dtype)
        fast = torch.autograd.grad(layer(*tensors).square().sum(), tensors)
        slow = torch.autograd.grad(literal(*tensors).square().sum(), tensors)
        for actual, expected in zip(fast, slow, strict=True):
            torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-3)

    def test_its_gradient_is_that_of_finite_differences(self, layer: Layer, literal: Layer) -> None:
        assert torch.autograd.gradcheck(layer, inputs(torch.float64))

    def test_one_lane_has_no_gradient_in_another(self, layer: Layer, literal: Layer) -> None:
        tensors = inputs(torch.float64)
        for gradient in torch.autograd.grad(layer(*tensors)[1].sum(), tensors):
            assert gradient[1].abs().max() > 0
            assert gradient[[0, 2]].abs().max() == 0

    def test_what_is_not_finite_in_one_lane_stays_there(self, layer: Layer, literal: Layer) -> None:
        h, W, b = inputs(torch.float64)
        with torch.no_grad():
            W[1] = torch.nan
        gradients = torch.autograd.grad(layer(h, W, b).sum(), (h, W, b))
        for gradient in gradients:
            assert gradient[[0, 2]].isfinite().all()

    def test_points_can_be_shared_by_all_lanes(self, layer: Layer, literal: Layer) -> None:
        h, W, b = inputs(torch.float64)
        shared = h[:1].detach()
        output = layer(shared.expand(3, -1, -1), W, b)
        torch.testing.assert_close(output, literal(shared.repeat(3, 1, 1), W, b))

    def test_a_second_derivative_is_right_or_refused(self, layer: Layer, literal: Layer) -> None:
        h, W, b = inputs(torch.float64)
        slow = torch.autograd.grad(literal(h, W, b).sum(), h, create_graph=True)[0]
        fast = torch.autograd.grad(layer(h, W, b).sum(), h, create_graph=True)[0]
        expected = torch.autograd.grad(slow.square().sum(), W)[0]
        try:
            actual = torch.autograd.grad(fast.square().sum(), W)[0]
        except RuntimeError:
            return
        torch.testing.assert_close(actual, expected)


def test_the_frequency_factor_is_each_lanes_own() -> None:
    h, W, b = inputs(torch.float64)
    doubled = sine(h, W, b, 2.0 * W_SINE)
    torch.testing.assert_close(doubled, literal_sine(h, 2.0 * W, 2.0 * b))
    assert not torch.allclose(doubled, sine(h, W, b, W_SINE))


def test_a_sine_layer_needs_no_gradient_of_its_input() -> None:
    h, W, b = inputs(torch.float64)
    sine(h.detach(), W, b, W_SINE).sum().backward()
    assert W.grad is not None
    assert h.grad is None
