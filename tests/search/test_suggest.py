"""Spaces to and from Optuna."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import optuna
import pytest

from search import suggest
from search.suggest import to_distributions, told_trial
from spaces.capacity import with_capacity
from spaces.catalog import SPACES, build_space
from spaces.parameters import Choice, Float, Int, Interval, Point, Value
from spaces.space import Space
from spaces.spectrum import Spectrum, nyquist_rad

SPECTRUM = Spectrum(kind="audio", shape=(4096,), channels=1, centroid=0.4, nyquist_rad=nyquist_rad(4096))


def num_weights(point: Point, width: int, depth: int) -> int:
    """Of a plain network; Fourier features cost more."""
    inputs = 512 if point.get("architecture") in ("fourier", "siren-rff") else 1
    return width * (inputs + 1) + (depth - 1) * width * (width + 1) + width + 1


def with_budget(name: str) -> Space:
    space = build_space(name, SPECTRUM, width=64)
    return with_capacity(space, 20_000, num_weights, width=64, depth=4)


ANY = build_space("any", SPECTRUM, width=64)
EVERY_SPACE = [
    *(build_space(name, SPECTRUM, width=64, coordinates=c) for name in SPACES for c in ("ridge", "plain")),
    *(with_budget(name) for name in SPACES),
    ANY.with_fixed("lr", 1e-3),
    with_budget("any").with_fixed("lr", 1e-3),
    ANY.with_fixed("architecture", "finer"),
    with_budget("any").with_fixed("architecture", "siren2").with_fixed("depth", 3),
    Space(
        name="mixed",
        architecture="siren",
        parameters=(
            Choice(name="kind", choices=("a", "b")),
            Int(name="octaves", low=1, high=9, domain=Interval(low=1)),
            Float(name="lr", low=1e-4, high=1e-2, log=True),
        ),
        defaults={"kind": "a", "octaves": 3, "lr": 1e-4},
    ),
]


def assert_same(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Equal up to the rounding of one change of variables and back."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == (pytest.approx(value, rel=1e-12, abs=1e-15) if isinstance(value, float) else value)


def ask(study: optuna.Study, space: Space, study_seed: int) -> tuple[optuna.Trial, dict[str, Value]]:
    """The study's next trial."""
    return suggest.ask(study, space, study_seed, len(study.get_trials(deepcopy=False)))


@pytest.mark.parametrize("space", EVERY_SPACE, ids=lambda s: f"{s.name}-{s.fingerprint()[:4]}")
class TestEverySpace:
    def test_a_proposal_comes_back_from_storage_as_the_same_point(self, space: Space) -> None:
        study = optuna.create_study(direction="maximize")
        for _ in range(5):
            trial, point = ask(study, space, study_seed=3)
            study.tell(trial, 1.0)
            assert space.from_search(study.trials[-1].params) == point
            assert space.reason_not_proposed(point) is None
            # A share of the budget pays for whole features: the point has the share that it uses.
            found, drawn = ({**values, "share": None} for values in (space.to_search(point), study.trials[-1].params))
            assert_same(found, drawn)
            assert_same(space.from_search(space.to_search(point)), point)

    def test_distributions_are_the_search_ranges(self, space: Space) -> None:
        distributions = to_distributions(space)
        assert list(distributions) == [parameter.name for parameter in space.searched]
        for parameter in space.searched:
            if isinstance(parameter, Choice):
                assert distributions[parameter.name].choices == parameter.choices  # type: ignore[attr-defined]
            else:
                found = distributions[parameter.name]
                assert (found.low, found.high) == (parameter.low, parameter.high)  # type: ignore[attr-defined]

    def test_a_told_point_keeps_its_value_and_point(self, space: Space) -> None:
        study = optuna.create_study(direction="maximize")
        _, point = ask(study, space, study_seed=0)
        told = told_trial(space, point, [12.5], {"told": "x"})
        assert told.value == 12.5
        assert_same(space.from_search(told.params), point)


def test_a_conditional_space_is_asked_for_its_active_parameters_alone(conditional: Space) -> None:
    study = optuna.create_study(direction="maximize")
    kinds = set()
    for number in range(25):
        trial, point = ask(study, conditional, study_seed=1)
        kinds.add(point["kind"])
        assert ("k" in point) == (point["kind"] == "a")
        assert set(trial.params) == set(point)
        study.tell(trial, float(number % 7))
    assert kinds == {"a", "b"}


def test_proposals_depend_on_seed_and_number_and_not_on_the_sampler_before() -> None:
    space = EVERY_SPACE[0]

    def propose(seed: int, *, reopen: bool) -> list[dict[str, object]]:
        storage = optuna.storages.InMemoryStorage()
        study = optuna.create_study(storage=storage, study_name="s", direction="maximize")
        points = []
        for number in range(14):
            if reopen:
                study = optuna.load_study(storage=storage, study_name="s")
            trial, point = ask(study, space, seed)
            study.tell(trial, float(number % 5))
            points.append(dict(point))
        return points

    assert propose(1, reopen=False) == propose(1, reopen=True)
    assert propose(1, reopen=False) != propose(2, reopen=False)


def propose(space: Space, num: int, *, reopen: bool = False, seed: int = 0) -> tuple[optuna.Study, list[Point]]:
    """A study of `num` proposals with values that depend on the point alone; opened anew for each if `reopen`."""
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(storage=storage, study_name="s", direction="maximize")
    points: list[Point] = []
    for _ in range(num):
        if reopen:
            study = optuna.load_study(storage=storage, study_name="s")
        trial, point = ask(study, space, seed)
        study.tell(trial, -float(sum(abs(value) for value in trial.params.values() if isinstance(value, float))))
        points.append(point)
    return study, points


@pytest.mark.parametrize("space", [ANY, with_budget("any")], ids=lambda space: space.name)
class TestASearchOfTheArchitecture:
    def test_every_proposal_is_a_point_of_one_branch(self, space: Space) -> None:
        study, points = propose(space, 40)
        for trial, point in zip(study.trials, points, strict=True):
            assert space.reason_not_proposed(point) is None
            assert space.check(point) == point
            architecture = space.architecture_of(point)
            branches = {name.partition(".")[0] for name in trial.params if "." in name}
            assert branches == {architecture}
        assert len({space.architecture_of(point) for point in points}) >= 5

    def test_a_resumed_study_proposes_what_an_undisturbed_one_does(self, space: Space) -> None:
        assert propose(space, 40, reopen=True)[1] == propose(space, 40)[1]
        assert propose(space, 12, seed=1)[1] != propose(space, 12)[1]

    def test_told_references_of_other_spaces_are_part_of_the_search(self, space: Space) -> None:
        study = optuna.create_study(direction="maximize")
        siren = build_space("siren", SPECTRUM, width=64)
        point = space.translate("siren", siren.complete({}), width=64, depth=4)
        assert point is not None
        study.add_trial(told_trial(space, point, [50.0], {}))
        for _ in range(14):
            trial, proposed = ask(study, space, 0)
            study.tell(trial, 1.0)
            assert space.reason_not_proposed(proposed) is None
        assert study.best_params["architecture"] == "siren"

    @pytest.mark.parametrize("best", ["finer", "gauss"])
    def test_the_sampler_comes_to_prefer_the_branch_that_is_better(self, space: Space, best: str) -> None:
        shares = []
        for seed in range(3):
            study = optuna.create_study(direction="maximize")
            points = []
            for _ in range(60):
                trial, point = ask(study, space, seed)
                level = 60.0 if point["architecture"] == best else 30.0
                study.tell(trial, level - 5.0 * abs(math.log10(float(point["lr"])) + 3.0))
                points.append(point)
            shares.append(sum(point["architecture"] == best for point in points[30:]) / 30)
        assert min(shares) > 0.3  # a ninth without a preference
        assert sum(shares) / len(shares) > 0.5


def test_the_first_proposals_keep_to_the_first_part_of_a_range_and_later_ones_may_leave_it() -> None:
    scale = Float(name="scale", low=1.0, high=1e4, log=True, first=(10.0, 100.0))
    rate = Float(name="lr", low=1e-4, high=1e-2, log=True)
    space = Space(name="own", architecture="siren", parameters=(scale, rate), defaults={"scale": 30.0, "lr": 1e-3})
    study = optuna.create_study(direction="maximize")
    scales = []
    for _ in range(40):
        trial, point = ask(study, space, study_seed=5)
        scales.append(float(point["scale"]))
        study.tell(trial, scales[-1])  # the larger, the better
    assert all(10.0 <= value <= 100.0 for value in scales[:10])
    assert max(scales[10:]) > 1000.0
