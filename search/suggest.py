"""Spaces and points to and from Optuna, and the sampler that proposes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from search.trial import derive_seed
from spaces.parameters import Choice, Float, Int, Parameter, Value
from spaces.space import Space

optuna.logging.set_verbosity(optuna.logging.WARNING)


def to_distribution(parameter: Parameter) -> BaseDistribution:
    """The search range of a parameter as an Optuna distribution."""
    match parameter:
        case Float():
            return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
        case Int():
            return IntDistribution(parameter.low, parameter.high, log=parameter.log)
        case Choice():
            return CategoricalDistribution(parameter.choices)


def to_distributions(space: Space) -> dict[str, BaseDistribution]:
    """The search coordinates of a space, by name."""
    return {parameter.name: to_distribution(parameter) for parameter in space.searched}


def ask(study: optuna.Study, space: Space, study_seed: int) -> tuple[optuna.Trial, dict[str, Value]]:
    """A new trial of the study and the point that it proposes.

    Multivariate TPE with constant liar (Optuna's default), seeded anew from the study's seed and the trial's number:
    a sampler's state is not in the storage, and so a resumed study proposes what an undisturbed one would have.
    """
    number = len(study.get_trials(deepcopy=False))
    seed = derive_seed(study_seed, "sampler", number) % 2**32
    study.sampler = optuna.samplers.TPESampler(seed=seed)
    trial = study.ask(to_distributions(space))
    assert trial.number == number, "a study has one driver"
    return trial, space.from_search(trial.params)


def told_trial(space: Space, point: Mapping[str, Any], value: float, user_attrs: dict[str, Any]) -> FrozenTrial:
    """A finished trial at a point that was not proposed, for `Study.add_trial`.

    The point must lie in the search range with all its parameters: others would break the sampler's joint space.
    """
    assert space.reason_not_proposed(point) is None
    return optuna.trial.create_trial(
        params=space.to_search(point), distributions=to_distributions(space), value=value, user_attrs=user_attrs
    )
