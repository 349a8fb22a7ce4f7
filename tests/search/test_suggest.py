"""Spaces to and from Optuna."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
import pytest

from search.suggest import ask, ask_again, to_distributions, told_trial
from spaces.catalog import SPACES, build_space
from spaces.parameters import Choice, Float, Int, Interval
from spaces.space import Space
from spaces.spectrum import Spectrum, nyquist_rad

SPECTRUM = Spectrum(kind="audio", shape=(4096,), channels=1, centroid=0.4, nyquist_rad=nyquist_rad(4096))

EVERY_SPACE = [build_space(name, SPECTRUM, width=64, coordinates=c) for name in SPACES for c in ("ridge", "plain")] + [
    Space(
        name="mixed",
        architecture="siren",
        parameters=(
            Choice(name="kind", choices=("a", "b")),
            Int(name="octaves", low=1, high=9, domain=Interval(low=1)),
            Float(name="lr", low=1e-4, high=1e-2, log=True),
        ),
        defaults={"kind": "a", "octaves": 3, "lr": 1e-4},
    )
]


def assert_same(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Equal up to the rounding of one change of variables and back."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == (pytest.approx(value, rel=1e-12, abs=1e-15) if isinstance(value, float) else value)


@pytest.mark.parametrize("space", EVERY_SPACE, ids=lambda s: f"{s.name}-{s.describe()['coordinates']}")
class TestEverySpace:
    def test_a_proposal_comes_back_from_storage_as_the_same_point(self, space: Space) -> None:
        study = optuna.create_study(direction="maximize")
        for _ in range(5):
            trial, point = ask(study, space, study_seed=3)
            study.tell(trial, 1.0)
            assert space.from_search(study.trials[-1].params) == point
            assert space.reason_not_proposed(point) is None
            assert_same(space.to_search(point), study.trials[-1].params)

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


CONDITIONAL = Space(
    name="conditional",
    architecture="siren",
    parameters=(
        Choice(name="kind", choices=("a", "b")),
        Float(name="k", low=0.1, high=5.0, when={"kind": ("a",)}),
        Float(name="lr", low=1e-4, high=1e-2, log=True),
    ),
    defaults={"kind": "a", "k": 1.0, "lr": 1e-4},
)


def test_a_conditional_space_is_asked_for_its_active_parameters_alone() -> None:
    study = optuna.create_study(direction="maximize")
    kinds = set()
    for number in range(25):
        trial, point = ask(study, CONDITIONAL, study_seed=1)
        kinds.add(point["kind"])
        assert ("k" in point) == (point["kind"] == "a")
        assert set(trial.params) == set(point)
        study.tell(trial, float(number % 7))
    assert kinds == {"a", "b"}


@pytest.mark.parametrize("num_left", [0, 1, 2])
@pytest.mark.parametrize("num_before", [0, 3, 12])
def test_a_proposal_that_a_crash_cut_short_is_finished_as_it_would_have_been(num_before: int, num_left: int) -> None:
    space = EVERY_SPACE[2]  # siren2 on the ridge
    studies = [optuna.create_study(direction="maximize") for _ in range(2)]
    for study in studies:
        for number in range(num_before):
            trial, _ = ask(study, space, 5)
            study.tell(trial, float(number))
    whole, cut = studies
    _, expected = ask(whole, space, 5)
    half = cut.ask()
    for parameter in space.searched[:num_left]:
        value = space.to_search(expected)[parameter.name]
        distribution = to_distributions(space)[parameter.name]
        cut._storage.set_trial_param(half._trial_id, parameter.name, distribution.to_internal_repr(value), distribution)
    trial, point = ask_again(cut, half._trial_id, num_before, space, 5)
    assert point == expected
    assert trial.number == num_before


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
