import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from spaces.laws import BUILT_IN as BUILT_IN_LAWS
from spaces.laws import LAWS
from trainers.config import FitConfig, FitResult, NetworkConfig, Status
from trainers.fit import FitStack, fit_network
from trainers.metrics import psnr_db
from trainers.networks import BUILT_IN, initial_tensors, render
from trainers.signals import Crop, read_signal
from trainers.tasks import Task, build_task


def literal_fit(task: Task, network: NetworkConfig, fit: FitConfig, seed: int) -> list[float]:
    """PSNR before each update of nn.Linear modules, torch.optim.Adam and StepLR, full batch."""
    tensors = initial_tensors(network, seed)
    linears = nn.ModuleList()
    for layer in range(network.depth + 1):
        weight, bias = tensors[f"weight{layer}"].float(), tensors[f"bias{layer}"].float()
        module = nn.Linear(weight.shape[1], weight.shape[0])
        module.load_state_dict({"weight": weight, "bias": bias})
        linears.append(module)
    optimiser = torch.optim.Adam(linears.parameters(), lr=fit.lr)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, step_size=fit.decay_every, gamma=fit.decay)
    factors = [network.knobs.get("w_first", 30.0)] + [30.0] * (network.depth - 1)
    y = torch.from_numpy(task.values)
    scores = []
    for _ in range(fit.steps):
        h = torch.from_numpy(task.coordinates)
        for factor, module in zip(factors, linears[:-1], strict=True):
            h = torch.sin(factor * module(h))
        loss = nn.functional.mse_loss(linears[-1](h), y)
        scores.append(psnr_db(loss.item(), task.kind))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return scores


def picture(rows: int, columns: int) -> Task:
    """A colour image of gratings, (rows columns, 3)."""
    axes = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    coordinates = np.stack(axes, axis=-1).reshape(-1, 2).astype(np.float32)
    values = np.sin(coordinates @ np.array([[9.0, 1.0, 20.0], [2.0, 12.0, -5.0]])).astype(np.float32)
    points = np.arange(len(values))
    held = np.zeros(0, dtype=np.int64)
    return Task(
        kind="image",
        shape=(rows, columns),
        coordinates=coordinates,
        values=values,
        trained=points,
        targets=values,
        held=held,
    )


def clip(samples: int) -> Task:
    return build_task(read_signal("synthetic:pink", Crop(samples=samples)))


def mse_of(output: np.ndarray, task: Task) -> float:
    return float(np.mean((output.astype(np.float64) - task.values) ** 2))


def run_to_the_end(stack: FitStack, steps: Mapping[int, int]) -> None:
    while going := {lane: num for lane, num in steps.items() if stack.progress(lane).status is Status.RUNNING}:
        stack.advance(going)


def assert_same(first: FitResult, second: FitResult) -> None:
    """Bit for bit, but for the seconds."""
    assert replace(first.progress, fit_seconds=0.0) == replace(second.progress, fit_seconds=0.0)
    for name, weights in first.weights.items():
        np.testing.assert_array_equal(weights, second.weights[name])
    np.testing.assert_array_equal(first.output, second.output)


NOISY = {"s0": 200.0, "s1": 0.25}


@pytest.mark.parametrize(
    ("task", "network"),
    [
        (clip(400), NetworkConfig(architecture="siren", width=16, depth=3, knobs={"w_first": 300.0})),
        (clip(400), NetworkConfig(architecture="siren2", width=16, depth=3, knobs=NOISY)),
        (clip(400), NetworkConfig(architecture="siren2", width=32, depth=1, knobs=NOISY)),
        (clip(2500), NetworkConfig(architecture="siren2", width=16, depth=3, knobs=NOISY)),
        (picture(20, 30), NetworkConfig(architecture="siren", width=16, depth=3, dims=2, channels=3)),
    ],
    ids=["siren", "siren2", "one hidden layer", "more points than a chunk holds", "colour image"],
)
def test_a_fit_scores_as_a_plain_torch_loop_does(task: Task, network: NetworkConfig) -> None:
    fit = FitConfig(steps=60, lr=1e-3)
    expected = literal_fit(task, network, fit, seed=1)
    progress = fit_network(task, network, fit, seed=1).progress
    assert [step for step, _ in progress.curve] == list(range(60))
    assert [value for _, value in progress.curve] == pytest.approx(expected, abs=0.01)
    assert progress.psnr_db == pytest.approx(max(expected), abs=0.01)


def test_the_schedule_is_the_callers(small: Task, network: NetworkConfig) -> None:
    fit = FitConfig(steps=60, lr=2e-3, decay=0.5, decay_every=7)
    curve = fit_network(small, network, fit, seed=1).progress.curve
    assert [value for _, value in curve] == pytest.approx(literal_fit(small, network, fit, seed=1), abs=0.01)


def test_a_fit_without_decay_keeps_its_rate(small: Task, network: NetworkConfig) -> None:
    fit = FitConfig(steps=60, lr=2e-3, decay=1.0)
    curve = fit_network(small, network, fit, seed=1).progress.curve
    assert [value for _, value in curve] == pytest.approx(literal_fit(small, network, fit, seed=1), abs=0.01)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_share_the_chunks_of_a_pass_and_agree_with_one(threads: int) -> None:
    task, network, fit = clip(7000), network_named("siren2", width=16), FitConfig(steps=20, lr=1e-3)
    alone = fit_network(task, network, fit, seed=1)
    torch.set_num_threads(threads)
    try:
        shared, again = (fit_network(task, network, fit, seed=1) for _ in range(2))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(1)
    assert_same(shared, again)
    expected = [value for _, value in alone.progress.curve]
    assert [value for _, value in shared.progress.curve] == pytest.approx(expected, abs=1e-3)


def test_a_fit_is_the_same_every_time(small: Task, network: NetworkConfig, brief: FitConfig) -> None:
    assert_same(fit_network(small, network, brief, seed=3), fit_network(small, network, brief, seed=3))


def test_another_seed_gives_another_fit(small: Task, network: NetworkConfig, brief: FitConfig) -> None:
    first, second = (fit_network(small, network, brief, seed=seed).progress for seed in (3, 4))
    assert first.psnr_db != second.psnr_db


def test_a_fit_neither_reads_nor_changes_the_global_generator(
    small: Task, network: NetworkConfig, brief: FitConfig
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        before = torch.get_rng_state()
        first = fit_network(small, network, brief, seed=3)
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(2)
        second = fit_network(small, network, brief, seed=3)
    assert_same(first, second)


def test_the_reported_psnr_is_the_best_steps(small: Task, network: NetworkConfig, unsteady: FitConfig) -> None:
    progress = fit_network(small, network, unsteady, seed=0).progress
    step, value = max(progress.curve, key=lambda point: point[1])
    assert 5 < step < 18
    assert (progress.best_step, progress.psnr_db) == (step, value)


def test_the_best_weights_give_the_reported_psnr(small: Task, network: NetworkConfig, unsteady: FitConfig) -> None:
    result = fit_network(small, network, unsteady, seed=0)
    assert psnr_db(mse_of(result.output, small), "audio") == pytest.approx(result.progress.psnr_db, abs=1e-3)
    weights = {name: torch.from_numpy(array) for name, array in result.weights.items()}
    output = render(network, weights, torch.from_numpy(small.coordinates)).numpy()
    np.testing.assert_array_equal(output, result.output)


def test_the_output_of_a_long_signal_is_that_of_all_its_points(network: NetworkConfig) -> None:
    task = clip(5000)
    result = fit_network(task, network, FitConfig(steps=3, lr=1e-3), seed=0)
    assert result.output.shape == (5000, 1)
    assert psnr_db(mse_of(result.output, task), "audio") == pytest.approx(result.progress.psnr_db, abs=1e-3)


def test_the_best_weights_are_a_copy(small: Task, network: NetworkConfig, brief: FitConfig) -> None:
    stack = FitStack(small, network)
    stack.start(0, network, brief, seed=0)
    stack.advance({0: 20})
    early = stack.result(0)
    kept = {name: weights.copy() for name, weights in early.weights.items()}
    stack.advance({0: 60})
    late = stack.result(0)
    assert late.progress.psnr_db > early.progress.psnr_db  # type: ignore[operator]
    for name, weights in early.weights.items():
        np.testing.assert_array_equal(weights, kept[name])
        assert not np.array_equal(weights, late.weights[name])


def test_the_best_weights_are_those_of_the_best_step(small: Task, network: NetworkConfig, unsteady: FitConfig) -> None:
    whole = fit_network(small, network, unsteady, seed=0)
    until_best = FitStack(small, network)
    until_best.start(0, network, unsteady, seed=0)
    until_best.advance({0: whole.progress.best_step + 1})
    for name, weights in until_best.result(0).weights.items():
        np.testing.assert_array_equal(weights, whole.weights[name])


def test_the_snr_differs_from_the_psnr_by_the_floor(small: Task, network: NetworkConfig, brief: FitConfig) -> None:
    progress = fit_network(small, network, brief, seed=0).progress
    assert progress.psnr_db - progress.snr_db == pytest.approx(-10 * math.log10(small.power))  # type: ignore[operator]


def test_an_image_is_scored_on_zero_to_one(brief: FitConfig) -> None:
    task = picture(20, 20)
    network = NetworkConfig(architecture="siren", width=16, depth=2, dims=2, channels=3)
    image = fit_network(task, network, brief, seed=0).progress
    audio = fit_network(replace(task, kind="audio"), network, brief, seed=0).progress
    assert image.psnr_db - audio.psnr_db == pytest.approx(20 * math.log10(2))  # type: ignore[operator]
    assert image.snr_db == audio.snr_db


def test_a_finished_fit_is_done(small: Task, network: NetworkConfig, brief: FitConfig) -> None:
    progress = fit_network(small, network, brief, seed=0).progress
    assert (progress.status, progress.step) == (Status.DONE, 60)


def test_a_fit_before_its_first_step_has_no_score(small: Task, network: NetworkConfig, brief: FitConfig) -> None:
    stack = FitStack(small, network)
    stack.start(0, network, brief, seed=0)
    progress = stack.progress(0)
    assert (progress.status, progress.step, progress.curve) == (Status.RUNNING, 0, [])
    assert (progress.psnr_db, progress.snr_db) == (None, None)


def test_segments_add_up_to_one_go(small: Task, network: NetworkConfig, brief: FitConfig) -> None:
    stack = FitStack(small, network)
    stack.start(0, network, brief, seed=0)
    for until in (1, 2, 20, 59, 60):
        stack.advance({0: until})
        assert stack.progress(0).step == until
    assert_same(stack.result(0), fit_network(small, network, brief, seed=0))


def test_a_stack_without_seconds_left_makes_no_step(small: Task, network: NetworkConfig, brief: FitConfig) -> None:
    stack = FitStack(small, network)
    stack.start(0, network, brief, seed=0)
    stack.advance({0: 60}, seconds=-1.0)
    assert stack.progress(0).step == 0


@pytest.mark.parametrize("steps", [1, 100, 101, 250])
def test_a_curve_begins_at_step_zero_and_has_at_most_a_hundred_points(steps: int, network: NetworkConfig) -> None:
    curve = fit_network(clip(32), network, FitConfig(steps=steps, lr=1e-3), seed=0).progress.curve
    assert curve[0][0] == 0
    assert len(curve) <= 100
    assert len({b - a for (a, _), (b, _) in pairwise(curve)}) <= 1
    assert steps - curve[-1][0] <= math.ceil(steps / 100)


def test_a_fit_whose_rate_is_far_too_large_diverges_and_keeps_its_best(small: Task, network: NetworkConfig) -> None:
    result = fit_network(small, network, FitConfig(steps=60, lr=1e6), seed=0)
    assert result.progress.status is Status.DIVERGED
    assert result.progress.step < 60
    assert psnr_db(mse_of(result.output, small), "audio") == pytest.approx(result.progress.psnr_db, abs=1e-3)


def test_a_fit_whose_loss_overflows_is_not_finite_and_keeps_its_best(small: Task, network: NetworkConfig) -> None:
    result = fit_network(small, network, FitConfig(steps=60, lr=1e30), seed=0)
    assert result.progress.status is Status.NOT_FINITE
    assert result.progress.step < 60
    assert all(math.isfinite(value) for _, value in result.progress.curve)
    assert psnr_db(mse_of(result.output, small), "audio") == pytest.approx(result.progress.psnr_db, abs=1e-3)


def test_a_fit_that_is_never_finite_has_no_score(small: Task, network: NetworkConfig, brief: FitConfig) -> None:
    hopeless = replace(network, knobs={"s0": math.nan, "s1": 0.0})
    progress = fit_network(small, hopeless, brief, seed=0).progress
    assert (progress.status, progress.step, progress.psnr_db, progress.curve) == (Status.NOT_FINITE, 0, None, [])


def test_silence_scores_the_zero_output_floor(bright: Task) -> None:
    silent = np.zeros_like(bright.values)
    assert mse_of(silent, bright) == pytest.approx(bright.power)
    assert psnr_db(bright.power, "audio") == pytest.approx(-10 * math.log10(float(np.mean(bright.values**2))), abs=1e-4)


@pytest.mark.parametrize("lr", [1e-4, 1e-3])
def test_plain_siren_returns_silence_for_a_bright_signal(lr: float, bright: Task) -> None:
    siren = NetworkConfig(architecture="siren", width=32, depth=3)
    progress = fit_network(bright, siren, FitConfig(steps=100, lr=lr), seed=0).progress
    assert progress.snr_db == pytest.approx(0.0, abs=0.5)


@pytest.mark.parametrize("law", [law.name for law in BUILT_IN_LAWS if not law.is_variant])
def test_the_laws_points_leave_the_spectral_bottleneck(law: str, bright: Task) -> None:
    spectrum = read_signal("synthetic:bright", Crop(samples=1024)).spectrum()
    point = LAWS[law].point(spectrum, width=32)
    siren2 = NetworkConfig(architecture="siren2", width=32, depth=3, knobs={name: point[name] for name in ("s0", "s1")})
    progress = fit_network(bright, siren2, FitConfig(steps=100, lr=1e-3), seed=0).progress
    assert progress.snr_db > 20.0  # type: ignore[operator]


LANES = [
    (NetworkConfig(architecture="siren2", width=16, depth=3, knobs=NOISY), FitConfig(steps=40, lr=2e-3), 0),
    (NetworkConfig(architecture="siren2", width=16, depth=3, knobs={"s0": 50.0, "s1": 1.0}),
     FitConfig(steps=25, lr=5e-4, decay=0.9, decay_every=5), 1),
    (NetworkConfig(architecture="siren", width=16, depth=3, knobs={"w_first": 300.0}), FitConfig(steps=60, lr=1e-3), 2),
]  # fmt: skip


def stack_of(task: Task, lanes: list[tuple[NetworkConfig, FitConfig, int]], is_batched: bool | None = None) -> FitStack:
    stack = FitStack(task, lanes[0][0], num_lanes=len(lanes), is_batched=is_batched)
    for lane, (network, fit, seed) in enumerate(lanes):
        stack.start(lane, network, fit, seed)
    return stack


def test_lanes_of_a_stack_fit_as_each_would_alone(small: Task) -> None:
    stack = stack_of(small, LANES)
    run_to_the_end(stack, {lane: fit.steps for lane, (_, fit, _) in enumerate(LANES)})
    for lane, (network, fit, seed) in enumerate(LANES):
        assert stack.progress(lane).status is Status.DONE
        assert_same(stack.result(lane), fit_network(small, network, fit, seed))


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_lane_of_any_network_is_what_it_is_alone_whoever_sits_beside_it(name: str) -> None:
    # Odd sizes, more points than a chunk holds, a rate that magnifies rounding, and a neighbour that leaves.
    task, network = clip(2500), network_named(name, width=17)
    fits = [FitConfig(steps=steps, lr=5e-3) for steps in (60, 10, 60)]
    stack = stack_of(task, [(network, fit, lane) for lane, fit in enumerate(fits)])
    run_to_the_end(stack, {lane: fit.steps for lane, fit in enumerate(fits)})
    for lane, fit in enumerate(fits):
        assert_same(stack.result(lane), fit_network(task, network, fit, lane))


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_batched_pass_gives_every_lane_what_it_gives_alone(name: str) -> None:
    # What a GPU does, on the CPU: rounding parts them, which a hundred steps at this rate do not magnify.
    task, network, fit = clip(2500), network_named(name, width=16), FitConfig(steps=100, lr=2e-4)
    stack = FitStack(task, network, num_lanes=3, is_batched=True)
    for lane in range(3):
        stack.start(lane, network, fit, lane)
    run_to_the_end(stack, dict.fromkeys(range(3), fit.steps))
    for lane in range(3):
        alone = fit_network(task, network, fit, lane).progress.psnr_db
        assert stack.progress(lane).psnr_db == pytest.approx(alone, abs=1e-3)


def network_named(name: str, width: int) -> NetworkConfig:
    knobs = {"siren2": NOISY, "positional": {"octaves": 6.0}}.get(name, {})
    return NetworkConfig(architecture=name, width=width, depth=3, knobs=knobs)


def test_a_stack_returns_when_the_first_lane_reaches_its_step(small: Task) -> None:
    stack = stack_of(small, LANES)
    stack.advance({0: 30, 1: 10, 2: 30})
    assert [stack.progress(lane).step for lane in range(3)] == [10, 10, 10]


def test_a_lane_that_is_not_named_waits(small: Task) -> None:
    stack = stack_of(small, LANES)
    stack.advance({0: 10})
    assert [stack.progress(lane).step for lane in range(3)] == [10, 0, 0]


@pytest.mark.parametrize("is_batched", [False, True])
@pytest.mark.parametrize(("lr", "status"), [(1e30, Status.NOT_FINITE), (1e6, Status.DIVERGED)])
def test_a_lane_that_fails_leaves_the_others_as_they_are(
    lr: float, status: Status, is_batched: bool, small: Task
) -> None:
    failing = [LANES[0], (LANES[1][0], replace(LANES[1][1], lr=lr), 1), LANES[2]]
    healthy, beside = stack_of(small, LANES, is_batched), stack_of(small, failing, is_batched)
    for stack in (healthy, beside):
        run_to_the_end(stack, {0: 40, 1: 25, 2: 60})
    assert beside.progress(1).status is status
    for lane in (0, 2):
        assert_same(beside.result(lane), healthy.result(lane))


def test_a_network_in_a_used_lane_starts_afresh(small: Task) -> None:
    used = stack_of(small, LANES)
    used.advance({0: 20, 1: 20, 2: 20})
    used.stop(1)
    network, fit, seed = LANES[0]
    used.start(1, network, fit, seed)
    run_to_the_end(used, {1: fit.steps})
    fresh = stack_of(small, [LANES[1], LANES[0], LANES[2]])
    run_to_the_end(fresh, {1: fit.steps})
    assert_same(used.result(1), fresh.result(1))


def test_a_network_that_starts_in_one_lane_leaves_the_others_as_they_are(small: Task) -> None:
    undisturbed, disturbed = stack_of(small, LANES), stack_of(small, LANES)
    for stack in (undisturbed, disturbed):
        stack.advance({0: 20, 2: 20})
    disturbed.start(1, *LANES[2])
    for stack in (undisturbed, disturbed):
        run_to_the_end(stack, {0: 40, 2: 60})
    for lane in (0, 2):
        assert_same(disturbed.result(lane), undisturbed.result(lane))


@pytest.mark.parametrize("extent", [{"width": 1}, {"width": 8}, {"depth": 2}, {"depth": 4}])
def test_a_network_of_another_shape_is_refused(extent: dict[str, int], small: Task, network: NetworkConfig) -> None:
    stack = FitStack(small, network, num_lanes=2)
    stack.start(0, network, FitConfig(steps=10, lr=1e-3), seed=0)
    with pytest.raises((ValueError, AssertionError)):
        stack.start(1, replace(network, **extent), FitConfig(steps=10, lr=1e-3), seed=0)
