"""All that storage holds of a study as plain data, and back into a storage: number by number, bit for bit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.errors import StudyError
from search.storage import (
    CONFIRMATIONS,
    HALF,
    READ_FORMATS,
    REFERENCES,
    all_names,
    delete_from_storage,
    mark_half,
    refuse_half,
)

PARTS: Mapping[str, str] = {"search": "", REFERENCES: f"/{REFERENCES}", CONFIRMATIONS: f"/{CONFIRMATIONS}"}
"""What a transcript calls a study and its siblings, and how their names end."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A study of Optuna's, read and checked, but in no storage yet."""

    directions: Sequence[StudyDirection]
    user_attrs: Mapping[str, Any]
    system_attrs: Mapping[str, Any]
    trials: Sequence[FrozenTrial]


def read_from_storage(storage: BaseStorage, name: str) -> dict[str, Any]:
    """A study and its siblings, JSON-able."""
    return {part: _read(storage, name + suffix) for part, suffix in PARTS.items()}


def parse(transcript: Mapping[str, Any]) -> dict[str, Part]:
    """What `read_from_storage` gave, checked.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is something else.
        StudyError: another version of winnow wrote the study.
    """
    parts = {part: _parse(transcript[part]) for part in PARTS}
    study_id, found = (parts["search"].user_attrs[key] for key in ("id", "format"))
    if not re.fullmatch("[0-9a-f]{32}", study_id):  # MLflow is asked for it
        raise ValueError(f"a study's id must be 32 hexadecimal digits, but got {study_id!r}")
    if found not in READ_FORMATS:
        formats = " or ".join(str(known) for known in READ_FORMATS)
        raise StudyError(f"a study must be of format {formats}, but got {found}, which another version of winnow wrote")
    return parts


def refuse_known(storage: BaseStorage, name: str) -> bool:
    """Refuse a name that a study has; whether one is there that was restored in part, which is begun anew.

    Raises:
        StudyError: it is there.
    """
    facts = all_names(storage).get(name)
    if facts is None:
        return False
    if facts.get(HALF) == "deleted":
        refuse_half(name, facts)
    if facts.get(HALF) != "restored":
        raise StudyError(f"study {name!r} is there already: it is restored where no study has its name")
    return True


def write_to_storage(storage: BaseStorage, name: str, parts: Mapping[str, Part]) -> None:
    """Write a study that is not there, or there in part; it stays marked as half restored."""
    delete_from_storage(storage, name)
    storage.create_new_study(list(parts["search"].directions), name)
    mark_half(storage, name, "restored")
    for part, suffix in PARTS.items():
        if suffix:
            storage.create_new_study(list(parts[part].directions), name + suffix)
        study_id = storage.get_study_id_from_name(name + suffix)
        for trial in parts[part].trials:
            storage.create_new_trial(study_id, template_trial=trial)
        for key, value in parts[part].system_attrs.items():
            storage.set_study_system_attr(study_id, key, value)
        for key, value in parts[part].user_attrs.items():
            storage.set_study_user_attr(study_id, key, value)


def _read(storage: BaseStorage, name: str) -> dict[str, Any]:
    study_id = storage.get_study_id_from_name(name)
    attrs = {key: value for key, value in storage.get_study_user_attrs(study_id).items() if key != HALF}
    return {
        "directions": [direction.name for direction in storage.get_study_directions(study_id)],
        "user_attrs": attrs,
        "system_attrs": storage.get_study_system_attrs(study_id),
        "trials": [_trial_facts(trial) for trial in storage.get_all_trials(study_id, deepcopy=False)],
    }


def _trial_facts(trial: FrozenTrial) -> dict[str, Any]:
    return {
        "state": trial.state.name,
        "values": trial.values,
        "params": trial.params,
        "distributions": {key: distribution_to_json(one) for key, one in trial.distributions.items()},
        "user_attrs": trial.user_attrs,
        "system_attrs": trial.system_attrs,
        "intermediate_values": {str(step): value for step, value in trial.intermediate_values.items()},
        "started": trial.datetime_start.isoformat() if trial.datetime_start else None,
        "completed": trial.datetime_complete.isoformat() if trial.datetime_complete else None,
    }


def _parse(facts: Mapping[str, Any]) -> Part:
    user_attrs = {str(key): value for key, value in facts["user_attrs"].items() if key != HALF}
    return Part(
        directions=[StudyDirection[name] for name in facts["directions"]],
        user_attrs=user_attrs,
        system_attrs=dict(facts["system_attrs"]),
        trials=[_to_trial(trial) for trial in facts["trials"]],
    )


def _to_trial(facts: Mapping[str, Any]) -> FrozenTrial:
    trial = create_trial(
        state=TrialState[facts["state"]],
        values=facts["values"],
        params=dict(facts["params"]),
        distributions={key: json_to_distribution(one) for key, one in facts["distributions"].items()},
        user_attrs=dict(facts["user_attrs"]),
        system_attrs=dict(facts["system_attrs"]),
        intermediate_values={int(step): value for step, value in facts["intermediate_values"].items()},
    )
    started, completed = (facts[key] and datetime.fromisoformat(facts[key]) for key in ("started", "completed"))
    trial.datetime_start, trial.datetime_complete = started, completed
    return trial
