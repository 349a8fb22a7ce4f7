"""`winnow replay`: every proposal again, from the log alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState

from search.config import StudySpec
from search.errors import StorageError, StudyError
from search.plan import Plan, plan_studies
from search.replay import replay
from search.run import run_study
from search.searched import spectrum_facts
from search.storage import StudyStorage, open_storage
from search.trial import Outcome, State, TrialSpec
from spaces.catalog import SPACES
from trainers.config import Progress, Status

SpecOf = Callable[..., StudySpec]


def outcome_of(spec: TrialSpec, rng: np.random.Generator) -> Outcome:
    """An end at random: pruned and failed ones too."""
    state = State(rng.choice([State.COMPLETE, State.COMPLETE, State.PRUNED, State.FAILED]))
    psnr_db = None if state is State.FAILED else float(30 + 5 * np.log10(float(spec.point["lr"])) + rng.normal())
    progress = Progress(
        step=30, status=Status.DONE, psnr_db=psnr_db, snr_db=psnr_db, best_step=29, curve=[], fit_seconds=0.0
    )
    return Outcome(spec=spec, state=state, progress=progress, reason="")


class Drivers:
    """Sessions on one study without a fit: trials end in any order, and some are left running."""

    def __init__(self, spec: StudySpec) -> None:
        self.spec = spec
        [self.plan] = plan_studies(spec)
        self.rng = np.random.default_rng(0)
        self.num_references = 0
        study = self.open()
        study.set_facts("spectrum", spectrum_facts(self.plan.spectrum))

    def open(self) -> StudyStorage:
        plan: Plan = self.plan
        storage = open_storage(self.spec.store.store, self.spec.store.storage)
        return StudyStorage.create_or_resume(storage, plan.name, plan.fingerprint)

    def session(self, num: int) -> None:
        study, plan = self.open(), self.plan
        point = plan.space.complete({"lr": self.spec.fit.lr or 10 ** self.rng.uniform(-4, -3)})
        self.num_references += 1
        key = f"references/own/{self.num_references}"
        reference = plan.builder.build(key, label="own", space=plan.space, point=point)
        complete = outcome_of(reference, self.rng)
        while complete.state is not State.COMPLETE:
            complete = outcome_of(reference, self.rng)
        study.tell_reference(plan.space, study.add_reference(complete), width=16, depth=2)

        history = study.history(plan.space, self.spec.search.seed)
        running: dict[int, TrialSpec] = {}
        for frozen in study.unfinished():
            point = frozen.user_attrs["spec"]["point"]
            key = f"search/{frozen.number}"
            running[frozen._trial_id] = plan.builder.build(key, label="", space=plan.space, point=point)
        while num or len(running) > 3:
            if num and len(running) < 8:
                proposal = history.propose()
                key = f"search/{proposal.number}"
                spec = plan.builder.build(key, label="", space=plan.space, point=proposal.point)
                running[study.begin(proposal, spec)] = spec
                num -= 1
            if running and self.rng.random() < 0.9:
                # Half of the time the latest one: early ones are late, as slow workers make them.
                ids = sorted(running)
                chosen = ids[-1] if self.rng.random() < 0.5 else int(self.rng.choice(ids))
                history.tell(study.tell(chosen, outcome_of(running.pop(chosen), self.rng)))


@pytest.mark.parametrize(
    ("search", "more"),
    [
        ({"objective": "fit"}, {}),
        ({"objective": "both"}, {"fit": {"lr": 1e-3}}),
        ({"space": "any"}, {"network": {"max_weights": 4000}}),
    ],
)
def test_any_order_of_ends_over_several_sessions_is_replayed_bit_for_bit(
    small_spec: SpecOf, monkeypatch: pytest.MonkeyPatch, search: dict[str, Any], more: dict[str, Any]
) -> None:
    monkeypatch.setattr("search.history.BLOCK", 16)
    monkeypatch.setattr("search.history.NUM_BEST", 4)
    drivers = Drivers(small_spec(search=search, **more))
    for num in (20, 1, 35, 14, 0, 30):
        drivers.session(num)
    study = drivers.open()
    assert study.unfinished()
    assert replay(study) == {"study": study.name, "proposals": 100, "agree": 100, "first_difference": None}


def test_what_was_not_proposed_is_found_out(small_spec: SpecOf) -> None:
    drivers = Drivers(small_spec())
    for num in (30, 20):
        drivers.session(num)
    study = drivers.open()
    # In memory alone: Optuna refuses to change a trial that has ended.
    by_order = {
        trial.user_attrs["outcome"]["order"]: trial
        for trial in study.search.get_trials(deepcopy=False)
        if trial.state.is_finished() and "spec" in trial.user_attrs
    }
    facts = by_order[25].user_attrs["spec"]
    proposed = facts["point"]
    facts["point"] = {**proposed, "lr": np.nextafter(proposed["lr"], 1.0)}
    first = {"number": by_order[25].number, "stored": facts["point"], "proposed": proposed}
    assert replay(study) == {"study": study.name, "proposals": 50, "agree": 49, "first_difference": first}
    facts["point"] = proposed

    by_order[0].values = [99.0 if by_order[0].values != [99.0] else 98.0]
    by_order[0].state = TrialState.COMPLETE
    found = replay(study)
    assert 10 <= found["agree"] < 49

    by_order[3].user_attrs["outcome"]["order"] = 4
    with pytest.raises(StorageError, match=f"the end of trial {by_order[3].number} has number 4 in place of 3"):
        replay(study)


def test_the_command_says_how_many_agree_and_needs_no_signal(
    small_spec: SpecOf, shell: Callable[..., tuple[int, str, str]], clip: Path
) -> None:
    spec = small_spec(search={"trials": 12, "confirm": 0}, store={"tracking_uri": "nowhere://"})
    run_study(spec)
    clip.unlink()
    words = ("replay", "small", "--store", str(spec.store.store))
    code, out, err = shell(*words)
    assert (code, err) == (0, "")
    assert "12 of 12 proposals agree bit for bit" in out
    code, out, _ = shell(*words, "--json")
    [entry] = json.loads(out)["studies"]
    assert entry["first_difference"] is None
    before = journal_of(spec).read_text()
    tampered = before.replace('"seen":{"tells":10,', '"seen":{"tells":9,')
    assert tampered != before
    journal_of(spec).write_text(tampered)
    code, out, err = shell(*words)
    assert code == 1
    assert "11 of 12 proposals agree bit for bit" in out
    assert err.startswith("error: proposal #")
    assert err.count("\n") == 1


def journal_of(spec: StudySpec) -> Path:
    return spec.store.store / "journal.log"


def test_what_an_older_version_wrote_is_shown_but_neither_continued_nor_replayed(
    small_spec: SpecOf, shell: Callable[..., tuple[int, str, str]], clip: Path
) -> None:
    spec = small_spec(search={"trials": 1, "confirm": 0}, store={"tracking_uri": "nowhere://"})
    run_study(spec)
    journal = journal_of(spec)
    journal.write_text(journal.read_text().replace('"user_attr":{"format":3}', '"user_attr":{"format":2}'))
    before = journal.read_bytes()
    store = ("--store", str(spec.store.store))
    assert shell("status", *store)[0] == 0
    code, _, err = shell("replay", "small", *store)
    assert code == 2
    assert "but is of format 2, which lacks the order in which trials ended" in err
    with pytest.raises(StudyError, match="must be of format 3, but it is of format 2"):
        run_study(spec)
    assert journal.read_bytes() == before


def test_a_space_of_a_plugin_is_asked_for(
    small_spec: SpecOf, shell: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = tmp_path / "own.py"
    plugin.write_text("from spaces.catalog import SPACES, register_space\nregister_space('mine', SPACES['siren'])\n")
    monkeypatch.setattr("spaces.catalog.SPACES", dict(SPACES))
    spec = small_spec(
        search={"trials": 2, "confirm": 0, "space": "mine", "plugin": (plugin,)},
        store={"tracking_uri": "nowhere://"},
    )
    run_study(spec)
    words = ("replay", "small", "--store", str(spec.store.store))
    assert shell(*words, "--plugin", str(plugin))[0] == 0
    monkeypatch.setattr("spaces.catalog.SPACES", {key: value for key, value in SPACES.items() if key != "mine"})
    code, _, err = shell(*words)
    assert code == 2
    assert "needs the --plugin that it was run with: unknown space 'mine'" in err
