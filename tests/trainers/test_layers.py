import cmath
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from spaces.embeddings import num_inputs, positional_frequencies
from trainers.layers import (
    complex_matrix,
    finer,
    fourier_features,
    gabor,
    gauss,
    linear,
    real_gabor,
    real_part,
    relu,
    sine,
)

W_SINE = torch.tensor([1.0, 2.5, 30.0], dtype=torch.float64)


def sine_layer(h: Tensor, W: Tensor, b: Tensor) -> Tensor:
    return sine(h, W, b, W_SINE.to(h.dtype))


def literal_linear(h: Tensor, W: Tensor, b: Tensor) -> Tensor:
    return torch.stack([h[lane] @ W[lane].T + b[lane] for lane in range(len(h))])


def literal_sine(h: Tensor, W: Tensor, b: Tensor) -> Tensor:
    w = W_SINE.to(h.dtype)
    return torch.stack([torch.sin(w[lane] * (h[lane] @ W[lane].T + b[lane])) for lane in range(len(h))])


W_GABOR = torch.tensor([1.0, 2.5, 4.0], dtype=torch.float64)
S_GABOR = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
IMAGINARY = 0.5
"""Tests of complex layers look at the real parts of their outputs plus this times the imaginary ones."""


def gauss_layer(h: Tensor, W: Tensor, b: Tensor) -> Tensor:
    return gauss(h, W, b, S_GABOR.to(h.dtype))


def literal_gauss(h: Tensor, W: Tensor, b: Tensor) -> Tensor:
    s = S_GABOR.to(h.dtype)
    return torch.stack([torch.exp(-((s[lane] * (h[lane] @ W[lane].T + b[lane])) ** 2)) for lane in range(len(h))])


def literal_relu(h: Tensor, W: Tensor, b: Tensor) -> Tensor:
    return torch.stack([(h[lane] @ W[lane].T + b[lane]).clamp(min=0) for lane in range(len(h))])


def finer_layer(h: Tensor, W: Tensor, b: Tensor) -> Tensor:
    return finer(h, W, b, W_GABOR.to(h.dtype))


def literal_finer(h: Tensor, W: Tensor, b: Tensor) -> Tensor:
    w = W_GABOR.to(h.dtype)
    z = [h[lane] @ W[lane].T + b[lane] for lane in range(len(h))]
    return torch.stack([torch.sin(w[lane] * (z[lane].abs() + 1).detach() * z[lane]) for lane in range(len(h))])


def real_gabor_layer(h: Tensor, W: Tensor, b: Tensor) -> Tensor:
    real, imag = real_gabor(h, W, b, W_GABOR.to(h.dtype), S_GABOR.to(h.dtype)).chunk(2, dim=2)
    return real + IMAGINARY * imag


def literal_gabor_of(z: list[Tensor]) -> Tensor:
    out = [torch.exp(1j * w * y - (s * y).abs().square()) for w, s, y in zip(W_GABOR, S_GABOR, z, strict=True)]
    return torch.stack([y.real + IMAGINARY * y.imag for y in out]).to(z[0].real.dtype)


def literal_real_gabor(h: Tensor, W: Tensor, b: Tensor) -> Tensor:
    return literal_gabor_of([h[lane] @ W[lane].T + b[lane] for lane in range(len(h))])


def gabor_layer(h: Tensor, W: Tensor, b: Tensor) -> Tensor:
    """h is one complex feature, W one complex column; the bias' imaginary part is half its real one."""
    complex_b = torch.stack([b, 0.5 * b], dim=-1)
    real, imag = gabor(h, W.unsqueeze(2), complex_b, W_GABOR.to(h.dtype), S_GABOR.to(h.dtype)).chunk(2, dim=2)
    return real + IMAGINARY * imag


def literal_gabor(h: Tensor, W: Tensor, b: Tensor) -> Tensor:
    h, W, b = torch.complex(h[..., :1], h[..., 1:]), torch.complex(W[..., :1], W[..., 1:]), torch.complex(b, 0.5 * b)
    return literal_gabor_of([h[lane] @ W[lane].T + b[lane] for lane in range(len(h))])


def real_part_layer(h: Tensor, W: Tensor, b: Tensor) -> Tensor:
    return real_part(h, W.unsqueeze(2), torch.stack([b, 0.5 * b], dim=-1))


def literal_real_part(h: Tensor, W: Tensor, b: Tensor) -> Tensor:
    h, W = torch.complex(h[..., :1], h[..., 1:]), torch.complex(W[..., :1], W[..., 1:])
    return torch.stack([(h[lane] @ W[lane].T).real + b[lane] for lane in range(len(h))])


LAYERS = {
    "linear": (linear, literal_linear),
    "sine": (sine_layer, literal_sine),
    "relu": (relu, literal_relu),
    "gauss": (gauss_layer, literal_gauss),
    "finer": (finer_layer, literal_finer),
    "real gabor": (real_gabor_layer, literal_real_gabor),
    "gabor": (gabor_layer, literal_gabor),
    "real part": (real_part_layer, literal_real_part),
}


def inputs(dtype: torch.dtype, num_lanes: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(num_lanes, 5, 2), (num_lanes, 4, 2), (num_lanes, 4)]
    h, W, b = (torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes)
    return h.requires_grad_(), W.requires_grad_(), b.requires_grad_()


Layer = Callable[[Tensor, Tensor, Tensor], Tensor]


@pytest.mark.parametrize(("layer", "literal"), LAYERS.values(), ids=LAYERS)
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
        # FINER's factor counts as a constant in the gradient, so finite differences, which see it move, must differ.
        is_exact = layer is not finer_layer
        assert torch.autograd.gradcheck(layer, inputs(torch.float64), raise_exception=False) == is_exact

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
        slow = torch.autograd.grad(literal(h, W, b).square().sum(), h, create_graph=True)[0]
        fast = torch.autograd.grad(layer(h, W, b).square().sum(), h, create_graph=True)[0]
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


def test_finers_gradient_is_cos_times_the_factor_that_has_none() -> None:
    # One neuron of z = 0.3: d sin(w (|z| + 1) z) / dz with the factor held is w 1.3 cos(w 1.3 0.3); with it, w 1.6 cos.
    z = torch.tensor([[[0.3]]], dtype=torch.float64, requires_grad=True)
    one, zero, w = (
        torch.ones_like(z),
        torch.zeros((1, 1), dtype=torch.float64),
        torch.tensor([2.0], dtype=torch.float64),
    )
    out = finer(z, one.detach(), zero, w)
    out.sum().backward()
    assert out.item() == pytest.approx(math.sin(2.0 * 1.3 * 0.3), abs=1e-12)
    assert z.grad is not None
    assert z.grad.item() == pytest.approx(2.0 * 1.3 * math.cos(2.0 * 1.3 * 0.3), abs=1e-12)


def test_gaussian_activations_are_those_of_numpy() -> None:
    h, W, b = inputs(torch.float64)
    for lane, s in enumerate(S_GABOR.tolist()):
        z = h[lane].detach().numpy() @ W[lane].detach().numpy().T + b[lane].detach().numpy()
        expected = np.array([[math.exp(-((s * value) ** 2)) for value in row] for row in z])
        np.testing.assert_allclose(gauss_layer(h, W, b)[lane].detach().numpy(), expected, rtol=1e-12)


def test_gabor_activations_are_those_of_pythons_complex_numbers() -> None:
    h, W, b = inputs(torch.float64)
    out = gabor(h, W.unsqueeze(2), torch.stack([b, 0.5 * b], dim=-1), W_GABOR, S_GABOR).detach()
    for lane, (w, s) in enumerate(zip(W_GABOR.tolist(), S_GABOR.tolist(), strict=True)):
        for point in range(5):
            feature = complex(*h[lane, point].tolist())
            for neuron in range(4):
                bias = complex(b[lane, neuron].item(), 0.5 * b[lane, neuron].item())
                z = feature * complex(*W[lane, neuron].tolist()) + bias
                expected = cmath.exp(1j * w * z - abs(s * z) ** 2)
                actual = complex(out[lane, point, neuron].item(), out[lane, point, 4 + neuron].item())
                assert actual == pytest.approx(expected, rel=1e-10)


def test_a_complex_matrix_acts_on_real_and_imaginary_parts_as_the_complex_one() -> None:
    generator = torch.Generator().manual_seed(0)
    W, h = torch.randn((3, 4, 5, 2), generator=generator), torch.randn((3, 5, 2), generator=generator)
    expected = (torch.view_as_complex(W) @ torch.view_as_complex(h)[..., None]).squeeze(-1)
    actual = (complex_matrix(W) @ torch.cat([h[..., 0], h[..., 1]], dim=1)[..., None]).squeeze(-1)
    torch.testing.assert_close(actual, torch.cat([expected.real, expected.imag], dim=1))


def test_relu_has_no_gradient_at_zero_and_below() -> None:
    z = torch.tensor([[[-1.0], [0.0], [2.0]]], requires_grad=True)
    relu(z, torch.ones((1, 1, 1)), torch.zeros((1, 1))).sum().backward()
    assert z.grad is not None
    assert z.grad.flatten().tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("layer", [relu, gauss_layer, finer_layer, real_gabor_layer, gabor_layer])
def test_what_is_not_a_number_stays_none(layer: Layer) -> None:
    h, W, b = inputs(torch.float64)
    with torch.no_grad():
        h[0, 0] = torch.nan
    assert layer(h, W, b)[0, 0].isnan().all()


def test_fourier_features_are_those_of_numpy() -> None:
    generator = torch.Generator().manual_seed(0)
    x, B = torch.rand((2, 5, 3), generator=generator, dtype=torch.float64), torch.randn((2, 4, 3), generator=generator)
    for lane in range(2):
        phases = 2.0 * np.pi * x[lane].numpy() @ B[lane].double().numpy().T
        expected = np.concatenate([np.sin(phases), np.cos(phases)], axis=-1)
        np.testing.assert_allclose(fourier_features(x, B.double())[lane].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_lies_far_outside_a_gaussian_is_nothing_and_has_no_gradient(dtype: torch.dtype) -> None:
    z = torch.tensor([[[100.0], [1e4]]], dtype=dtype, requires_grad=True)
    out = gauss(z, torch.ones((1, 1, 1), dtype=dtype), torch.zeros((1, 1), dtype=dtype), torch.ones(1, dtype=dtype))
    out.sum().backward()
    assert out.max() < 1e-37
    assert z.grad is not None
    assert z.grad.abs().max() < 1e-30


def literal_positional(x: np.ndarray, octaves: int) -> np.ndarray:
    """As vsitzmann/siren writes it: coordinates, then sine and cosine in turn, octave by octave, axis by axis."""
    columns = list(x.T)
    for octave in range(octaves):
        for axis in range(x.shape[1]):
            columns += [np.sin(2**octave * np.pi * x[:, axis]), np.cos(2**octave * np.pi * x[:, axis])]
    return np.stack(columns, axis=1)


def features_of(x: NDArray[np.float64], frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
    return fourier_features(torch.from_numpy(x)[None], torch.from_numpy(frequencies)[None])[0].numpy()


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("octaves", [1, 4])
def test_positional_features_are_those_of_the_public_code_in_another_order(dims: int, octaves: int) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (7, dims))
    features = np.concatenate([x, features_of(x, positional_frequencies(dims, octaves))], axis=1)
    assert features.shape == (7, num_inputs("positional", dims, {"octaves": octaves}))
    literal = literal_positional(x, octaves)
    first, rows = dims, dims * octaves
    np.testing.assert_allclose(features[:, :first], literal[:, :first])
    np.testing.assert_allclose(features[:, first : first + rows], literal[:, first::2], atol=1e-12)
    np.testing.assert_allclose(features[:, first + rows :], literal[:, first + 1 :: 2], atol=1e-12)


def test_a_fourier_feature_of_whole_cycles_is_a_tone_at_their_bin() -> None:
    x = (-1.0 + 2.0 * np.arange(64) / 64)[:, None]
    spectrum = np.abs(np.fft.rfft(features_of(x, np.array([[2.5]])), axis=0))
    assert spectrum.shape == (33, 2)
    assert spectrum[5] == pytest.approx([32.0, 32.0])  # 2.5 cycles a unit are 5 over [-1, 1]
    assert np.delete(spectrum, 5, axis=0).max() < 1e-9
