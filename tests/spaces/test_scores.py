import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.scores import (
    SCORES,
    Score,
    ScoreError,
    Untrained,
    alpha_req,
    kernel_spectrum,
    power_law_exponent,
    register_score,
    score_named,
)
from spaces.spectrum import Array, amplitude_spectra

RNG = np.random.default_rng(3)


def of(name: str, network: Untrained) -> float:
    return SCORES[name].compute(network)


def tone(num: int, k: int) -> Array:
    return np.cos(2.0 * np.pi * k * np.arange(num) / num + 0.4)[:, None]


def with_features(H: Array) -> Untrained:
    return Untrained(shape=(16,), target=np.ones((16, 1)), activations=[np.zeros((len(H), 3)), H])


def complete(shape: tuple[int, ...], channels: int = 1) -> Untrained:
    points = math.prod(shape)
    J = RNG.standard_normal((20, 50))
    return Untrained(
        shape=shape,
        target=RNG.standard_normal((points, channels)),
        output=RNG.standard_normal((points, channels)),
        activations=[RNG.standard_normal((40, 12)) for _ in range(3)],
        kernel=J @ J.T,
        kernel_target=RNG.standard_normal((20, channels)),
    )


@pytest.mark.parametrize("score", SCORES.values(), ids=list(SCORES))
class TestEveryScore:
    @pytest.mark.parametrize(("shape", "channels"), [((64,), 1), ((64,), 2), ((8, 8), 3), ((4, 4, 4), 1)])
    def test_it_is_a_finite_number_for_any_grid(self, score: Score, shape: tuple[int, ...], channels: int) -> None:
        value = score.compute(complete(shape, channels))
        assert isinstance(value, float)
        assert math.isfinite(value)

    def test_it_does_not_change_with_the_float_type(self, score: Score) -> None:
        double = complete((64,))
        assert double.output is not None
        rounded = {name: getattr(double, name).astype(np.float32) for name in ("target", "output", "kernel_target")}
        single = replace(double, **rounded, activations=[H.astype(np.float32) for H in double.activations])
        assert score.compute(single) == pytest.approx(score.compute(double), rel=1e-4)

    def test_it_looks_at_nothing_that_it_does_not_need(self, score: Score) -> None:
        network = complete((64,))
        left_out = {
            "output": {"output": None},
            "activations": {"activations": ()},
            "kernel": {"kernel": None, "kernel_target": None},
        }
        for need, fields in left_out.items():
            if need not in score.needs:
                network = replace(network, **fields)
        assert math.isfinite(score.compute(network))

    def test_it_says_its_name_direction_and_source(self, score: Score) -> None:
        assert SCORES[score.name] is score
        assert score.direction in ("lower", "higher")
        assert score.source


@pytest.mark.parametrize("name", ["fresh", "centroid_gap", "bandwidth_gap"])
class TestEveryGap:
    @pytest.mark.parametrize("shape", [(64,), (8, 8), (4, 4, 4)])
    def test_it_is_zero_for_equal_signals(self, name: str, shape: tuple[int, ...]) -> None:
        values = RNG.standard_normal((64, 2))
        assert of(name, Untrained(shape=shape, target=values, output=values)) == pytest.approx(0.0, abs=1e-12)

    def test_it_does_not_change_with_loudness(self, name: str) -> None:
        target, output = RNG.standard_normal((2, 64, 1))
        quiet, loud = (Untrained(shape=(64,), target=target, output=c * output) for c in (0.01, 100.0))
        assert of(name, quiet) == pytest.approx(of(name, loud))

    def test_it_grows_with_the_distance_between_two_tones(self, name: str) -> None:
        gaps = [of(name, Untrained(shape=(256,), target=tone(256, 40), output=tone(256, k))) for k in (40, 50, 90)]
        assert gaps[0] < gaps[1] < gaps[2]


def test_the_fresh_distance_of_two_tones_is_their_difference_in_bins() -> None:
    assert of("fresh", Untrained(shape=(256,), target=tone(256, 40), output=tone(256, 57))) == pytest.approx(17.0)


def test_the_centroid_gap_of_two_tones_is_their_difference_over_nyquist() -> None:
    gap = of("centroid_gap", Untrained(shape=(256,), target=tone(256, 40), output=tone(256, 8)))
    assert gap == pytest.approx(32 / 128, abs=1e-9)


def test_the_bandwidth_gap_of_two_tones_is_the_logarithm_of_their_ratio() -> None:
    gap = of("bandwidth_gap", Untrained(shape=(256,), target=tone(256, 40), output=tone(256, 8)))
    assert gap == pytest.approx(math.log(5.0))


def test_a_constant_output_has_no_bandwidth_and_the_gap_is_infinite() -> None:
    assert of("bandwidth_gap", Untrained(shape=(256,), target=tone(256, 40), output=np.zeros((256, 1)))) == math.inf


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_rankme_of_orthonormal_columns_is_their_number(rank: int) -> None:
    Q, _ = np.linalg.qr(RNG.standard_normal((40, rank)))
    padded = np.hstack([Q, np.zeros((40, 10 - rank))])
    assert of("rankme", with_features(padded)) == pytest.approx(rank, rel=1e-4)


def test_rankme_of_unequal_directions_lies_between_one_and_the_rank() -> None:
    H = np.diag([4.0, 2.0, 1.0, 1.0])
    p = np.array([0.5, 0.25, 0.125, 0.125])
    assert of("rankme", with_features(H)) == pytest.approx(np.exp(-np.sum(p * np.log(p))), rel=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 2.5])
@pytest.mark.parametrize("num", [12, 64, 300])
def test_alpha_req_finds_the_exponent_of_a_power_law(alpha: float, num: int) -> None:
    assert power_law_exponent(np.arange(1, num + 1) ** -alpha) == pytest.approx(alpha, abs=1e-9)


def test_alpha_req_of_features_with_a_known_covariance() -> None:
    Q, _ = np.linalg.qr(RNG.standard_normal((200, 30)) - RNG.standard_normal((200, 30)).mean(axis=0))
    Q -= Q.mean(axis=0)
    Q, _ = np.linalg.qr(Q)  # orthonormal and without a mean
    H = Q * np.arange(1, 31) ** -0.6 + 5.0  # singular values i^-0.6: eigenvalues i^-1.2
    assert alpha_req(with_features(H)) == pytest.approx(1.2, abs=1e-6)


def test_alpha_req_agrees_with_the_authors_weighted_normal_equations() -> None:
    eigenvalues = np.sort(RNG.uniform(0.01, 1.0, 80))[::-1]
    ranks = np.arange(3, 80) + 1
    x = np.stack([-np.log(ranks), np.ones(len(ranks))], axis=1)
    w = (1.0 / ranks)[:, None]
    alpha, _ = np.linalg.solve(x.T @ (x * w), (w * x).T @ np.log(eigenvalues[3:80]))
    assert power_law_exponent(eigenvalues) == pytest.approx(alpha, rel=1e-9)


def test_alpha_req_of_too_few_directions_is_not_a_number() -> None:
    assert math.isnan(of("alpha_req", with_features(RNG.standard_normal((40, 4)))))


@given(rows=st.integers(2, 30), scale=st.floats(0.01, 1000.0))
def test_dse_lies_between_zero_and_the_logarithm_of_the_rows(rows: int, scale: float) -> None:
    H = scale * np.random.default_rng(rows).standard_normal((rows, 5))
    assert 0.0 <= of("dse", with_features(H)) <= math.log2(rows) + 1e-9


def test_dse_of_equal_rows_is_zero_and_of_far_rows_the_logarithm_of_their_number() -> None:
    assert of("dse", with_features(np.ones((16, 4)))) == pytest.approx(0.0, abs=1e-9)
    assert of("dse", with_features(1e4 * np.eye(16))) == pytest.approx(4.0)


def test_dse_of_two_rows_in_closed_form() -> None:
    # G = [[1, g], [g, 1]] and equal degrees: eigenvalues 1 and (1 - g) / (1 + g).
    H = np.array([[0.0, 0.0], [6.0, 8.0]])  # distance 10 = sigma
    g = math.exp(-0.5)
    small = (1 - g) / (1 + g)
    p = np.array([1.0, small]) / (1.0 + small)
    assert of("dse", with_features(H)) == pytest.approx(-np.sum(p * np.log2(p)), rel=1e-9)


def test_ntk_energy_of_a_target_along_one_eigenvector_is_its_share_of_the_trace() -> None:
    V, _ = np.linalg.qr(RNG.standard_normal((5, 5)))
    eigenvalues = np.array([5.0, 3.0, 1.0, 0.5, 0.5])
    K = (V * eigenvalues) @ V.T
    for i in range(5):
        network = Untrained(shape=(5,), target=V, kernel=K, kernel_target=7.0 * V[:, i : i + 1])
        assert of("ntk_energy", network) == pytest.approx(eigenvalues[i] / 10.0)
    both = Untrained(shape=(5,), target=V, kernel=K, kernel_target=V[:, :2])
    assert of("ntk_energy", both) == pytest.approx(0.4)


def test_ntk_energy_of_a_kernel_without_directions_is_one_over_n() -> None:
    network = Untrained(shape=(9,), target=np.ones((9, 1)), kernel=3.0 * np.eye(9), kernel_target=np.ones((9, 1)))
    assert of("ntk_energy", network) == pytest.approx(1 / 9)


def test_ntk_energy_of_a_silent_target_is_not_a_number() -> None:
    network = Untrained(shape=(9,), target=np.ones((9, 1)), kernel=np.eye(9), kernel_target=np.zeros((9, 1)))
    assert math.isnan(of("ntk_energy", network))


def test_the_kernel_of_a_tone_has_the_spectrum_of_the_tone() -> None:
    x = tone(32, 5)
    spectrum = kernel_spectrum(x @ x.T, (32,))
    # lambda = |x|^2 and v = x / |x|: S(f) = |X(f)|^2 / n.
    np.testing.assert_allclose(spectrum, amplitude_spectra(x, (32,)) ** 2 / 32, atol=1e-9)


def test_a_network_that_shows_no_activations_has_no_score_from_them() -> None:
    bare = Untrained(shape=(16,), target=np.ones((16, 1)))
    assert all(math.isnan(of(name, bare)) for name in ("rankme", "alpha_req", "dse"))


def test_a_score_of_ones_own_is_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spaces.scores.SCORES", dict(SCORES))
    loudness = Score(name="loudness", direction="higher", needs=("output",), compute=lambda n: float(np.std(n.output)))
    register_score("loudness", loudness)
    assert score_named("loudness") is loudness


def test_an_unknown_score_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ScoreError, match=r"^unknown score 'freshh'; known scores: fresh, centroid_gap, "):
        score_named("freshh")
