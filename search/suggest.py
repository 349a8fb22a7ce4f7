"""Spaces and points to and from Optuna, and the sampler that proposes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def ask(study: optuna.Study, space: Space, study_seed: int, number: int) -> tuple[optuna.Trial, dict[str, Value]]:
    """A new trial of the study and the point that it proposes.

    Multivariate TPE with constant liar (Optuna's default), in groups where the space is conditional, seeded anew from
    the study's seed and the trial's number: a sampler's state is not in the storage, and so a resumed study proposes
    what an undisturbed one would have.

    Args:
        study: what the sampler sees.
        space: where the point comes from.
        study_seed: of all the study's draws.
        number: of the trial; `study` may hold fewer.
    """
    study.sampler = _sampler(space, study_seed, number)
    trial = study.ask()
    return trial, _suggest(trial, space)


class _SeededTPE(optuna.samplers.BaseSampler):
    """TPE whose every draw depends on the trial's seed and on the name of what it draws.

    Args:
        seed: of the trial.
        groups: of a conditional space, the parameters that are active together; each group is drawn jointly when its
            first parameter is asked for. (Optuna's own groups are drawn all at once, though one branch of many is
            taken, and a running trial then counts as an observation of them all.)
        first: narrower distributions, by name, to draw from while too few trials are told.
    """

    def __init__(
        self, seed: int, groups: Sequence[Mapping[str, BaseDistribution]], first: Mapping[str, BaseDistribution]
    ) -> None:
        self._seed = seed
        self._groups = groups
        self._first = first
        self._drawn: dict[str, Any] = {}
        self._joint = self._tpe("")

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {} if self._groups else self._joint.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {} if self._groups else self._joint.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        for group in self._groups:
            if param_name in group and param_name not in self._drawn:
                # Empty while too few trials are told.
                self._drawn.update(self._tpe("/".join(group)).sample_relative(study, trial, dict(group)))
        if param_name in self._drawn:
            return self._drawn[param_name]
        distribution = self._first.get(param_name, param_distribution)
        return self._tpe(param_name).sample_independent(study, trial, param_name, distribution)

    def _tpe(self, name: str) -> optuna.samplers.TPESampler:
        return optuna.samplers.TPESampler(seed=derive_seed(self._seed, f"sampler/{name}", 0) % 2**32)


def _sampler(space: Space, study_seed: int, number: int) -> _SeededTPE:
    searched = space.searched
    by_condition: dict[tuple[tuple[str, tuple[str, ...]], ...], dict[str, BaseDistribution]] = {}
    if any(parameter.when for parameter in searched):
        for parameter in searched:
            distribution = to_distribution(parameter)
            if not distribution.single():
                by_condition.setdefault(tuple(parameter.when.items()), {})[parameter.name] = distribution
    first = {
        parameter.name: FloatDistribution(*parameter.first, log=parameter.log)
        for parameter in searched
        if isinstance(parameter, Float) and parameter.first
    }
    return _SeededTPE(derive_seed(study_seed, "sampler", number), list(by_condition.values()), first)


def _suggest(trial: optuna.Trial, space: Space) -> dict[str, Value]:
    """Draw the parameters in order, those alone whose conditions hold."""
    drawn: dict[str, Value] = {}
    for parameter in space.searched:
        if not parameter.is_active({**space.fixed, **drawn}):
            continue
        match parameter:
            case Float():
                drawn[parameter.name] = trial.suggest_float(
                    parameter.name, parameter.low, parameter.high, log=parameter.log
                )
            case Int():
                drawn[parameter.name] = trial.suggest_int(
                    parameter.name, parameter.low, parameter.high, log=parameter.log
                )
            case Choice():
                drawn[parameter.name] = trial.suggest_categorical(parameter.name, parameter.choices)
    return space.from_search(drawn)


def told_trial(
    space: Space, point: Mapping[str, Any], values: Sequence[float], user_attrs: dict[str, Any]
) -> FrozenTrial:
    """A finished trial at a point that was not proposed, for `Study.add_trial`.

    The point must lie in the search range with all its parameters: others would break the sampler's joint space.
    """
    assert space.reason_not_proposed(point) is None
    coordinates = space.to_search(point)
    distributions = {name: found for name, found in to_distributions(space).items() if name in coordinates}
    return optuna.trial.create_trial(
        params=coordinates, distributions=distributions, values=values, user_attrs=user_attrs
    )
