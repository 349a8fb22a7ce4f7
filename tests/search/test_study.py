"""Whole studies on a clip of 400 samples, inline: what they keep, how they resume, what they agree on."""

from __future__ import annotations

import json
import signal as system_signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from mlflow import MlflowClient

from search.config import StudySpec
from search.connection import default_tracking_uri
from search.display import Display
from search.errors import InputError, StorageError, StudyError
from search.replay import replay
from search.run import run_study
from search.status import export_winner, find_studies, status_of
from search.storage import StudyStorage
from search.trial import State, derive_seed
from spaces.laws import LawError
from spaces.parameters import PointError
from trainers.checkpoint import unpack

SpecOf = Callable[..., StudySpec]


def opened(spec: StudySpec) -> StudyStorage:
    [study] = find_studies(spec.store.store, spec.store.storage, spec.name)
    return study


def table(spec: StudySpec) -> list[Any]:
    """What must be the same in two runs of a study."""
    study = opened(spec)
    return [
        (r.number, r.point, r.state, r.psnr_db, r.held_psnr_db, r.best_step, r.step, r.curve, r.rung_scores, r.reason)
        for r in study.trials()
    ]


class Lines(Display):
    """A display that keeps what it says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.mark.pictures
def test_the_document_agrees_with_optuna_and_mlflow(small_spec: SpecOf) -> None:
    spec = small_spec()
    [summary] = run_study(spec)["studies"]
    study = opened(spec)

    best = summary["best"]
    optuna_trial = study.search.trials[best["number"]]
    assert optuna_trial.value == best["psnr_db"]
    assert optuna_trial.user_attrs["spec"]["point"] == best["params"]
    states = [record.state for record in study.trials()]
    assert summary["trials"] == {state.value: states.count(state) for state in State}
    assert sum(summary["trials"].values()) == 6

    client = MlflowClient(default_tracking_uri(spec.store.store))
    parent = client.get_run(summary["mlflow_run_id"])
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["psnr_db"] == best["psnr_db"]
    assert parent.data.metrics["confirmed_psnr_db"] == best["confirmed"]["mean_psnr_db"]
    for name, reference in summary["references"].items():
        assert parent.data.metrics[f"regret_db_{name}"] == reference["regret_db"]
    children = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    by_key = {run.data.tags["winnow.key"]: run for run in children}
    records = [*study.trials(), *study.references()]
    assert by_key.keys() == {record.key for record in records}
    for record in records:
        run = by_key[record.key]
        assert run.data.metrics["psnr_db"] == record.psnr_db
        assert {name: float(run.data.params[name]) for name in record.point} == record.point
        history = client.get_metric_history(run.info.run_id, "curve_psnr_db")
        assert [(metric.step, metric.value) for metric in history] == record.curve
        assert run.data.tags["winnow.state"] == record.state
        assert run.data.tags["mlflow.runName"].startswith(record.label)
    found = [run for run in children if run.data.tags["winnow.role"] == "found"]
    assert [run.data.tags["winnow.key"] for run in found] == [f"search/{best['number']}"]
    artifacts = {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert {"landscape.png", "curves.png", "spectra.png", "reconstruction.wav", "winner.safetensors"} <= artifacts
    json.dumps(summary)


def test_regret_is_the_paired_difference_over_the_same_confirm_seeds(small_spec: SpecOf) -> None:
    spec = small_spec()
    [summary] = run_study(spec)["studies"]
    fits = opened(spec).confirmations()
    label = f"#{summary['best']['number']}"
    seeds = [derive_seed(0, "confirm", repeat) for repeat in range(2)]

    def values(name: str) -> list[float]:
        own = sorted((r for r in fits if r.label == name and r.purpose == "confirm"), key=lambda r: r.repeat)
        assert [r.seed for r in own] == seeds
        return [r.psnr_db or 0.0 for r in own]

    assert summary["best"]["confirmed"]["mean_psnr_db"] == pytest.approx(np.mean(values(label)))
    for name, reference in summary["references"].items():
        assert reference["regret_db"] == pytest.approx(np.mean(np.subtract(values(label), values(name))))
        assert reference["ci95_db"][0] <= reference["regret_db"] <= reference["ci95_db"][1]
    assert set(summary["references"]) == {"siren-30", "siren-3000", "winner", "bandwidth"}


def written(spec: StudySpec) -> dict[str, int]:
    """When each picture and the report were written."""
    folders = (spec.store.store / "studies").glob("*/*")
    return {
        path.name: path.stat().st_mtime_ns
        for folder in folders
        for path in folder.iterdir()
        if path.name in ("landscape.png", "convergence.png", "report.html")
    }


@pytest.mark.pictures
def test_the_same_command_again_changes_nothing_and_more_trials_add_just_those(small_spec: SpecOf) -> None:
    spec = small_spec()
    run_study(spec)
    before = table(spec)
    drawn = written(spec)
    [again] = run_study(spec)["studies"]
    assert table(spec) == before
    assert written(spec) == drawn
    more = small_spec(search={"trials": 9, "confirm": 3})
    [summary] = run_study(more)["studies"]
    assert table(more)[:6] == before
    assert all(moment > drawn[name] for name, moment in written(more).items())
    assert sum(summary["trials"].values()) == 9
    assert summary["best"]["confirmed"]["seeds"] == 3
    assert again["best"]["confirmed"]["seeds"] == 2
    client = MlflowClient(default_tracking_uri(spec.store.store))
    parent = client.get_run(summary["mlflow_run_id"])
    runs = client.search_runs([parent.info.experiment_id])
    keys = [run.data.tags.get("winnow.key", "study") for run in runs]
    assert len(keys) == len(set(keys)) == 1 + 9 + len(opened(more).references())
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}


@pytest.mark.parametrize("objective", ["fit", "both"])
def test_deterministic_studies_are_the_same_inline_and_on_one_or_two_actors(
    small_spec: SpecOf, local_ray: None, tmp_path: Path, objective: str
) -> None:
    def run(folder: str, workers: int) -> list[Any]:
        spec = small_spec(
            search={"deterministic": True, "trials": 10, "confirm": 0, "objective": objective},
            workers={"workers": workers},
            store={"store": tmp_path / folder, "tracking_uri": "nowhere://"},
        )
        run_study(spec)
        assert replay(opened(spec))["agree"] == 10
        return table(spec)

    inline = run("inline", 0)
    assert any(state is State.PRUNED for _, _, state, *_ in inline)
    assert run("one", 1) == inline
    assert run("two", 2) == inline


def test_what_two_actors_were_given_as_trials_ended_in_any_order_is_replayed(
    small_spec: SpecOf, local_ray: None
) -> None:
    spec = small_spec(search={"trials": 14, "confirm": 0}, workers={"workers": 2}, store={"tracking_uri": "nowhere://"})
    run_study(spec)
    replayed = replay(opened(spec))
    assert (replayed["proposals"], replayed["agree"]) == (14, 14)


def test_another_experiment_under_the_name_is_refused(small_spec: SpecOf) -> None:
    run_study(small_spec(search={"trials": 1, "confirm": 0}))
    with pytest.raises(StudyError, match="steps: 30 there, 31 asked"):
        run_study(small_spec(fit={"steps": 31}))


def test_without_confirmation_the_point_is_still_selected(small_spec: SpecOf) -> None:
    spec = small_spec(search={"confirm": 0})
    [summary] = run_study(spec)["studies"]
    assert summary["best"]["confirmed"] is None
    assert all(reference["regret_db"] is None for reference in summary["references"].values())
    assert {record.purpose for record in opened(spec).confirmations()} == {"select"}


def test_a_fixed_learning_rate_reaches_every_trial_and_reference(small_spec: SpecOf) -> None:
    spec = small_spec(fit={"lr": 3e-4}, search={"trials": 3, "confirm": 0})
    run_study(spec)
    study = opened(spec)
    assert {r.point["lr"] for r in [*study.trials(), *study.references()]} == {3e-4}
    assert len(study.references()) == 4


def test_the_plain_siren_space_is_searched_too(small_spec: SpecOf) -> None:
    [summary] = run_study(small_spec(search={"space": "siren", "trials": 5, "confirm": 0}))["studies"]
    assert set(summary["best"]["params"]) == {"w_first", "lr"}


def test_several_signals_are_one_campaign_and_a_bad_one_stops_all_before_anything_starts(
    small_spec: SpecOf, clip: Path, tmp_path: Path
) -> None:
    other, silent = tmp_path / "other.wav", tmp_path / "silent.wav"
    soundfile.write(other, np.random.default_rng(0).normal(size=300) * 0.1, 8000)
    soundfile.write(silent, np.zeros(300), 8000)
    with pytest.raises(InputError) as caught:
        run_study(small_spec(signals=(str(clip), str(silent), "none.wav")))
    assert [line.split(":")[0] for line in caught.value.lines] == [str(silent), "none.wav"]
    assert not (tmp_path / "store").exists()
    with pytest.raises(InputError, match="must differ"):
        run_study(small_spec(signals=(str(clip), str(clip))))
    spec = small_spec(signals=(str(clip), str(other)), search={"trials": 2, "confirm": 0})
    document = run_study(spec)
    assert [summary["signal"] for summary in document["studies"]] == [str(clip), str(other)]
    assert len(find_studies(spec.store.store, None, "small")) == 2


@pytest.mark.parametrize(
    ("search", "error", "message"),
    [
        ({"space": "sirenn"}, PointError, "unknown space 'sirenn'; known spaces: siren, siren2"),
        ({"heuristic": ("oracle",)}, LawError, "unknown heuristic 'oracle'; known heuristics: winner, bandwidth"),
    ],
)
def test_unknown_names_are_refused_before_anything_is_written(
    small_spec: SpecOf, tmp_path: Path, search: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run_study(small_spec(search=search))
    assert not (tmp_path / "store").exists()


def test_a_tracking_server_that_is_down_stops_no_study_and_is_caught_up_with_later(small_spec: SpecOf) -> None:
    down = {"tracking_uri": "http://ada:secret@127.0.0.1:9"}
    lines = Lines()
    search = {"trials": 3, "confirm": 0}
    [summary] = run_study(small_spec(search=search, store=down), display=lines)["studies"]
    assert summary["trials"]["complete"] + summary["trials"]["pruned"] == 3
    assert summary["mlflow_run_id"] is None
    assert len([line for line in lines.lines if "MLflow does not answer" in line]) == 1
    assert not [line for line in lines.lines if "secret" in line or "ada" in line]
    spec = small_spec(search=search)
    [summary] = run_study(spec)["studies"]
    client = MlflowClient(default_tracking_uri(spec.store.store))
    parent = client.get_run(summary["mlflow_run_id"])
    runs = client.search_runs([parent.info.experiment_id])
    assert len(runs) == 1 + 3 + len(opened(spec).references())


def test_a_second_driver_of_a_study_is_refused(small_spec: SpecOf) -> None:
    from filelock import FileLock

    spec = small_spec(search={"trials": 1, "confirm": 0})
    run_study(spec)
    with (
        FileLock(spec.store.store / "studies" / opened(spec).name / "driver.lock"),
        pytest.raises(StorageError, match="is being run by another process"),
    ):
        run_study(spec)


def test_the_winner_is_exported_with_its_score(small_spec: SpecOf, tmp_path: Path) -> None:
    spec = small_spec()
    [summary] = run_study(spec)["studies"]
    weights, recipe, snippet, target = export_winner(spec.store.store, None, summary["study"], tmp_path / "out")
    facts = json.loads(recipe.read_text())
    assert facts["point"] == summary["best"]["params"]
    assert facts["metrics"].keys() >= {"mae"}
    assert np.load(target).shape == (400, 1)
    fits = [r for r in opened(spec).confirmations() if r.purpose == "confirm" and r.label.startswith("#")]
    assert facts["psnr_db"] == max(r.psnr_db or 0.0 for r in fits)
    arrays, _ = unpack(weights.read_bytes())
    assert arrays["weight0"].shape == (16, 1)
    ended = subprocess.run(
        [sys.executable, snippet.name], cwd=snippet.parent, capture_output=True, text=True, check=True, timeout=60
    )
    exported, anew = [float(line.split(": ")[1].removesuffix(" dB")) for line in ended.stdout.splitlines()]
    assert exported == pytest.approx(facts["psnr_db"], abs=0.01)
    assert abs(anew - summary["best"]["confirmed"]["mean_psnr_db"]) < 10


def test_an_interrupted_study_resumes_under_its_own_numbers_and_leaves_nothing_running(
    small_spec: SpecOf, clip: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    command = [sys.executable, "-m", "search", "run", str(clip), "--name", "small", "--store", str(store)]
    command += ["--width", "64", "--depth", "2", "--steps", "3000", "--trials", "6", "--confirm", "0", "--workers", "0"]
    process = subprocess.Popen([*command], stderr=subprocess.PIPE, text=True)
    journal = store / "journal.log"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if journal.exists() and '"search/' in journal.read_text():
            break
        time.sleep(0.05)
    time.sleep(0.1)  # the first trial is on its way, and not yet at its rung
    process.send_signal(system_signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted: " in said
    assert "Traceback" not in said

    [study] = find_studies(store, None, "small")
    assert status_of(study, store)["state"] == "searching"
    unfinished = {frozen.number: frozen.user_attrs["spec"] for frozen in study.unfinished()}
    assert unfinished
    client = MlflowClient(default_tracking_uri(store))
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    assert {run.info.status for run in client.search_runs([experiment.experiment_id])} <= {"KILLED", "FINISHED"}
    assert list((store / "studies" / study.name / "checkpoints").iterdir())

    subprocess.run(command, check=True, capture_output=True, timeout=200)
    [study] = find_studies(store, None, "small")
    records = {record.number: record for record in study.trials()}
    assert len(records) == 6
    assert study.unfinished() == []
    for number, facts in unfinished.items():
        assert records[number].point == facts["point"]
        assert records[number].seed == facts["seed"]
    assert not list((store / "studies" / study.name / "checkpoints").iterdir())
    assert {run.info.status for run in client.search_runs([experiment.experiment_id])} <= {"KILLED", "FINISHED"}


DIES_AFTER_WRITE = """
import os, sys
from pathlib import Path
from search.journal import GroupedJournal

limit, written, append = int(sys.argv[1]), 0, GroupedJournal.append_logs

def append_logs(self, logs):
    global written
    append(self, logs)
    written += 1
    if written >= limit:
        os._exit(9)  # as kill -9 would: nothing is flushed, nothing is closed

GroupedJournal.append_logs = append_logs
from search import StudySpec, run_study
run_study(StudySpec.model_validate_json(sys.argv[2]))
"""


def test_a_driver_that_dies_after_any_number_of_writes_is_continued_to_the_same_table(
    small_spec: SpecOf, tmp_path: Path
) -> None:
    def spec_in(folder: str) -> StudySpec:
        search = {"trials": 9, "confirm": 1, "deterministic": True}  # judged against a batch and against two
        # No tracking: what this is about is storage, and MLflow has tests of its own.
        return small_spec(search=search, store={"store": tmp_path / folder, "tracking_uri": "http://127.0.0.1:9"})

    undisturbed = spec_in("undisturbed")
    run_study(undisturbed)
    expected = table(undisturbed)
    assert {record.state for record in opened(undisturbed).trials()} >= {State.COMPLETE, State.PRUNED}

    disturbed = spec_in("disturbed")
    deaths = 0
    # Strides that are coprime with the writes of a trial put the deaths at every place within one.
    for limit in (3, 7, 16, 5, 9, 11, 4, 13, 8, 6, 17, 19, 14, 10, 12, 15, 18, 200):
        command = [sys.executable, "-c", DIES_AFTER_WRITE, str(limit), disturbed.model_dump_json()]
        code = subprocess.run(command, capture_output=True, timeout=120, check=False).returncode
        if code == 0:
            break
        assert code == 9
        deaths += 1
        find_studies(disturbed.store.store, None, None)
    assert deaths >= 4
    run_study(disturbed)
    assert table(disturbed) == expected
    assert opened(disturbed).unfinished() == []


def test_a_deterministic_study_is_the_same_after_it_was_stopped_beyond_a_rung(
    small_spec: SpecOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from search.driver import Driver
    from search.errors import Interrupted

    def spec_in(folder: str) -> StudySpec:
        return small_spec(
            search={"trials": 12, "confirm": 0, "deterministic": True},
            fit={"steps": 60},
            store={"store": tmp_path / folder},
        )

    whole = spec_in("whole")
    run_study(whole)
    assert {state for _, _, state, *_ in table(whole)} == {State.COMPLETE, State.PRUNED}

    monkeypatch.setattr("search.driver.SEGMENT_SECONDS", 1e-3)  # a few steps a segment: a stop can come anywhere
    init, stops, stopped = Driver.__init__, [0], list[str]()

    def stopping(self: Driver, workers: Any, stop: Any, watch: Any, *more: Any, **named: Any) -> None:
        def watch_and_stop(spec: Any, progress: Any) -> None:
            beyond = spec.rungs and spec.rungs[0] < progress.step < spec.fit.steps
            if beyond and stops[0] < 3 and spec.key not in stopped:
                stopped.append(spec.key)
                stops[0] += 1
                stop.set()

        init(self, workers, stop, watch_and_stop, *more, **named)

    monkeypatch.setattr(Driver, "__init__", stopping)
    broken = spec_in("broken")
    for _ in range(8):
        try:
            run_study(broken)
            break
        except Interrupted:
            continue
    assert stops[0] >= 2
    assert table(broken) == table(whole)


def test_a_winner_that_a_crash_left_half_written_or_damaged_is_made_again(small_spec: SpecOf) -> None:
    spec = small_spec()
    [summary] = run_study(spec)["studies"]
    folder = spec.store.store / "studies" / summary["study"]

    def read() -> list[Any]:
        sounds = [soundfile.read(folder / name)[0].tolist() for name in ("target.wav", "reconstruction.wav")]
        sounds += [np.load(folder / name).tolist() for name in ("target.npy", "reconstruction.npy")]
        weights, _ = unpack((folder / "winner.safetensors").read_bytes())
        texts = [(folder / name).read_text() for name in ("recipe.json", "snippet.py")]
        return [*sounds, *texts, {name: array.tolist() for name, array in weights.items()}]

    whole = read()
    damages = {"winner.safetensors": b"no weights", "reconstruction.wav": None, "target.npy": None, "recipe.json": None}
    for name, damage in damages.items():
        (folder / name).unlink() if damage is None else (folder / name).write_bytes(damage)
        run_study(spec)
        assert read() == whole


def test_what_a_killed_driver_was_writing_is_removed_when_its_study_goes_on(small_spec: SpecOf, tmp_path: Path) -> None:
    spec = small_spec(store={"checkpoints": str(tmp_path / "elsewhere")})
    study = run_study(spec)["studies"][0]["study"]
    folder, elsewhere = spec.store.store / "studies" / study, tmp_path / "elsewhere" / study
    left = [folder / "winner.safetensors.partial-77", elsewhere / "search-5.safetensors.partial-77"]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    before = {path.name for path in folder.iterdir()} - {left[0].name}
    run_study(spec)
    assert not any(path.exists() for path in left)
    assert {path.name for path in folder.iterdir()} == before


def test_the_recipe_follows_the_confirmation(small_spec: SpecOf) -> None:
    for confirm in (2, 4, 3):
        spec = small_spec(search={"confirm": confirm})
        [summary] = run_study(spec)["studies"]
        recipe = json.loads((spec.store.store / "studies" / summary["study"] / "recipe.json").read_text())
        assert recipe["confirmed"] == summary["best"]["confirmed"]
        assert recipe["confirmed"]["seeds"] == confirm


def test_two_stores_with_one_name_on_one_tracking_server_stay_apart(small_spec: SpecOf, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/shared.db"

    def run(folder: str, seed: int) -> tuple[str, set[float]]:
        search = {"trials": 2, "confirm": 0, "seed": seed}
        spec = small_spec(search=search, store={"store": tmp_path / folder, "tracking_uri": uri})
        [summary] = run_study(spec)["studies"]
        return summary["mlflow_run_id"], {record.psnr_db or 0.0 for record in opened(spec).trials()}

    (first, _), (second, own) = run("one", 0), run("two", 1)
    assert first != second
    client = MlflowClient(uri)
    parent = client.get_run(second)
    assert parent.data.params["seed"] == "1"
    children = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{second}'")
    assert {r.data.metrics["psnr_db"] for r in children if r.data.tags["winnow.role"] in ("trial", "found")} == own


def test_a_child_run_that_a_crash_left_open_is_finished_and_not_doubled(small_spec: SpecOf) -> None:
    spec = small_spec(search={"trials": 2, "confirm": 0})
    [summary] = run_study(spec)["studies"]
    client = MlflowClient(default_tracking_uri(spec.store.store))
    parent = client.get_run(summary["mlflow_run_id"])
    [first, *_] = client.search_runs([parent.info.experiment_id], "tags.`winnow.role` = 'trial'")
    client.update_run(first.info.run_id, status="RUNNING")
    before = len(client.search_runs([parent.info.experiment_id]))
    run_study(spec)
    runs = client.search_runs([parent.info.experiment_id])
    assert len(runs) == before
    assert "RUNNING" not in {run.info.status for run in runs}


def test_status_knows_a_campaign_of_which_one_study_has_not_begun(
    small_spec: SpecOf, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from search.errors import Interrupted
    from search.study import StudyRun

    other = tmp_path / "other.wav"
    soundfile.write(other, np.random.default_rng(0).normal(size=300) * 0.1, 8000)
    spec = small_spec(signals=(str(clip), str(other)), search={"trials": 2, "confirm": 0})
    run_study(small_spec(search={"trials": 2, "confirm": 0}))
    search = StudyRun._search

    def stop_at_second(run: StudyRun) -> Any:
        if "other" in run.name:
            raise Interrupted("here")
        yield from search(run)

    monkeypatch.setattr(StudyRun, "_search", stop_at_second)
    with pytest.raises(Interrupted):
        run_study(spec)
    states = {
        study.name.split("/")[1][:5]: status_of(study, spec.store.store)
        for study in find_studies(spec.store.store, None, None)
    }
    assert {name: state["state"] for name, state in states.items()} == {"clip-": "done", "other": "searching"}
    assert states["other"]["best"] is None


def test_a_signal_for_which_nothing_is_found_does_not_stop_its_campaign(
    small_spec: SpecOf, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from search.errors import NothingFoundError
    from search.study import StudyRun

    other = tmp_path / "other.wav"
    soundfile.write(other, np.random.default_rng(0).normal(size=300) * 0.1, 8000)
    spec = small_spec(signals=(str(clip), str(other)), search={"trials": 2, "confirm": 0})
    select = StudyRun._select

    def fail_first(run: StudyRun) -> Any:
        if "clip" in run.name:
            raise NothingFoundError("every trial of it failed")
        return (yield from select(run))

    monkeypatch.setattr(StudyRun, "_select", fail_first)
    lines = Lines()
    [_, second] = run_study(spec, display=lines)["studies"]
    assert second["best"] is not None
    assert "warning: every trial of it failed" in lines.lines


def test_a_name_cannot_leave_the_store_from_python_either() -> None:
    with pytest.raises(ValueError, match="a name must begin with"):
        StudySpec(name="../../evil")


def test_a_file_name_cannot_put_code_into_the_snippet(small_spec: SpecOf, tmp_path: Path) -> None:
    nasty = tmp_path / 'a"""+print("PWNED")+"""b.wav'
    soundfile.write(nasty, np.random.default_rng(0).normal(size=300) * 0.1, 8000)
    spec = small_spec(signals=(str(nasty),), search={"trials": 1, "confirm": 0})
    [summary] = run_study(spec)["studies"]
    folder = spec.store.store / "studies" / summary["study"]
    ended = subprocess.run(
        [sys.executable, "snippet.py"], cwd=folder, capture_output=True, text=True, check=True, timeout=60
    )
    assert "PWNED" not in ended.stdout
