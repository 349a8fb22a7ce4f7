"""What a job gets, and what is read of what it says."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray._private import ray_constants

from search.config import StudySpec, read_spec
from search.errors import InputError, UsageError
from search.job_log import JobLog
from search.plan import plan_studies
from search.ray_jobs import Job
from search.shipment import COMMAND, MAX_BYTES, build_shipment, check_for_cluster, read_environment, to_toml
from search.submit import follow_job
from trainers.signals import read_signal

SECRET = 'it\'s $HOME `x` "s3cr3t"'

LAW = {"format": 1}


@pytest.fixture
def spec(small_spec: Callable[..., StudySpec], clip: Path, tmp_path: Path) -> StudySpec:
    """Two recordings of one name, an array of a file of several, a plugin."""
    other = tmp_path / "other" / "clip.wav"
    other.parent.mkdir()
    other.write_bytes((tmp_path / "clip.wav").read_bytes())
    np.savez(tmp_path / "two.npz", first=np.sin(np.arange(300.0)), second=np.cos(np.arange(256.0)))
    plugin = tmp_path / "own.py"
    plugin.write_text("VALUE = 1\n")
    return small_spec(
        signals=(str(clip), str(other), f"{tmp_path / 'two.npz'}:first", "synthetic:bright"),
        search={"plugin": (plugin,), "trials": 7},
        signal={"samples": 200, "start": "loudest"},
        store={"storage": "postgresql://ada:s3cr3t@db/winnow"},
    )


def shipped(spec: StudySpec, folder: Path) -> StudySpec:
    folder.mkdir()
    build_shipment(spec, folder, {"TOKEN_X": SECRET})
    return read_spec(folder / "job.toml", {})


def test_a_job_has_the_same_settings_signals_and_studies(
    spec: StudySpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = shipped(spec, tmp_path / "job")
    assert sent.signals == ("signals/1/clip.wav", "signals/2/clip.wav", "signals/3/two.npz:first", "synthetic:bright")
    assert sent.search.plugin == (Path("plugins/1/own.py"),)
    assert sent.workers.address == "auto"
    assert sent.store == spec.store
    assert sent.settings_fingerprint() == spec.settings_fingerprint()
    assert sent.model_fields_set == spec.model_fields_set | {"search", "workers"}
    assert sent.search.model_fields_set == spec.search.model_fields_set
    digests = [read_signal(source, spec.signal.to_crop()).digest for source in spec.signals]
    monkeypatch.chdir(tmp_path / "job")
    assert [read_signal(source, sent.signal.to_crop()).digest for source in sent.signals] == digests
    names = [plan.name for plan in plan_studies(sent.model_copy(update={"signals": sent.signals[1:]}))]
    assert names == check_for_cluster(spec.model_copy(update={"signals": spec.signals[1:]}))


def test_its_command_runs_without_our_packages_installed_and_shows_no_password(spec: StudySpec, tmp_path: Path) -> None:
    shipped(spec, tmp_path / "job")
    assert "s3cr3t" not in COMMAND
    secret = [path for path in (tmp_path / "job").rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()]
    assert {path.name for path in secret} == {"job.env", "job.toml"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}
    probe = (
        "import os, search.cli, trainers, spaces, importlib.metadata as m; "
        "print(search.__file__, m.version('winnow-inr'), os.environ['TOKEN_X'])"
    )
    command = COMMAND.partition("exec ")[0] + f'{sys.executable} -c "{probe}"'
    ended = subprocess.run(
        command, shell=True, cwd=tmp_path / "job", env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    file, number, value = ended.stdout.strip().split(maxsplit=2)
    assert Path(file) == tmp_path / "job" / "search" / "__init__.py"
    assert number.count(".") == 2
    assert value == SECRET


def test_a_law_in_a_file_is_sent_too_and_names_of_heuristics_stay(
    small_spec: Callable[..., StudySpec], tmp_path: Path
) -> None:
    law = tmp_path / "mine.json"
    law.write_text(json.dumps(LAW))
    sent = shipped(small_spec(search={"heuristic": ("winner", str(law), "fresh")}), tmp_path / "job")
    assert sent.search.heuristic == ("winner", "laws/2/mine.json", "fresh")
    assert json.loads((tmp_path / "job" / "laws" / "2" / "mine.json").read_text()) == LAW


@pytest.mark.parametrize("name", ['a "quoted" one', "päth\x7f", "back\\slash", "tab\t"])
def test_settings_of_any_characters_come_back_as_they_were(name: str, tmp_path: Path) -> None:
    spec = StudySpec(name="n", signals=(name,), store={"store": f"/vol/{name}"}, fit={"lr": 1e-5})  # type: ignore[arg-type]
    path = tmp_path / "job.toml"
    path.write_text(to_toml(spec), encoding="utf-8")
    assert read_spec(path, {}) == spec


@pytest.mark.parametrize(
    ("store", "rule"), [({}, "but got none"), ({"store": "winnow-store"}, "but got winnow-store")], ids=["none", "here"]
)
def test_the_store_must_be_a_folder_of_the_cluster(store: dict[str, Any], rule: str) -> None:
    spec = StudySpec(name="n", signals=("synthetic:bright",), store=store)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=f"--store must name a folder of the cluster .*{rule}"):
        check_for_cluster(spec)


@pytest.mark.parametrize(
    ("option", "place"),
    [("storage", "sqlite:///trials.db"), ("checkpoints", "states"), ("tracking_uri", "mlruns"),
     ("tracking_uri", "sqlite:///mlflow.db")],
)  # fmt: skip
def test_what_would_lie_in_the_folder_of_a_job_and_end_with_it_is_refused(option: str, place: str) -> None:
    absolute = place.replace("sqlite:///", "sqlite:////vol/") if "://" in place else f"/vol/{place}"
    for value, is_refused in ((place, True), (absolute, False), ("postgresql://ada@db/x", False)):
        spec = StudySpec(name="n", signals=("synthetic:bright",), store={"store": "/vol", option: value})  # type: ignore[arg-type]
        if is_refused:
            with pytest.raises(UsageError, match=f"by address or absolute path, but got {value}"):
                check_for_cluster(spec)
        else:
            assert check_for_cluster(spec)


def test_more_than_a_dashboard_takes_is_refused_before_it_is_copied(
    small_spec: Callable[..., StudySpec], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_BYTES == ray_constants.DASHBOARD_CLIENT_MAX_SIZE
    spec = small_spec(signals=(str(clip),), store={"store": "/vol"})
    assert check_for_cluster(spec)
    monkeypatch.setattr("search.shipment.MAX_BYTES", clip.stat().st_size)
    with pytest.raises(InputError, match="must stay below 0 MiB, but have 0: put them on a volume of the cluster"):
        check_for_cluster(spec)


@pytest.mark.parametrize(
    ("status", "exit_code", "said", "own_code"),
    [("FAILED", -9, "was killed by signal 9 (did its node run out of memory?)", 137), ("FAILED", 3, "exit code 3: ", 3),
     ("FAILED", None, "failed: lost", 1), ("STOPPED", None, "was stopped", 1)],
)  # fmt: skip
def test_an_end_has_its_reason_and_a_code_that_shells_know(
    status: str, exit_code: int | None, said: str, own_code: int
) -> None:
    job = Job(id="one", status=status, exit_code=exit_code, message="lost", started=0.0)

    class Told:
        def follow(self, id: str, take: Callable[[str], None]) -> Job:
            take('{\n  "who": "another tool"\n}\n')
            return job

    ended = follow_job(job, Told(), print)  # type: ignore[arg-type]
    assert said in ended.failure
    assert (ended.exit_code, ended.document) == (own_code, None)


def test_variables_are_named_without_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE_1", "v")
    assert read_environment(["HERE_1"]) == {"HERE_1": "v"}
    with pytest.raises(UsageError, match="without a value") as error:
        read_environment(["PASSWORD=s3cr3t"])
    assert "s3cr3t" not in str(error.value)


def test_what_a_job_says_comes_apart_whatever_the_pieces() -> None:
    document = {"studies": [{"study": "n/a", "nested": {"x": 1}}]}
    log = "2026-11-28 15:17:20,797\tINFO job_manager.py:581 -- Runtime env is setting up.\n"
    log += "Running entrypoint for job 1: python\nstarting workers\nwarning: slow\n"
    log += json.dumps(document, indent=2) + "\nlast word"
    for size in (1, 7, len(log)):
        transcript = JobLog()
        lines = [line for at in range(0, len(log), size) for line in transcript.feed(log[at : at + size])]
        assert lines + transcript.end() == ["starting workers", "warning: slow", "last word"]
        assert transcript.document == document
        assert transcript.last_line == "last word"


def test_a_brace_that_opens_no_document_hides_nothing() -> None:
    transcript = JobLog()
    shown = transcript.feed("{\nerror: no space left\n{\n  1\n")
    assert shown == ["{", "error: no space left"]
    assert transcript.last_line == "error: no space left"


def test_the_line_of_an_error_is_the_last_word_and_a_document_cut_off_is_shown() -> None:
    transcript = JobLog()
    shown = transcript.feed("Traceback\nerror: the store is full\nbye\n{\n  1\n")
    assert shown + transcript.end() == ["Traceback", "error: the store is full", "bye", "{", "  1"]
    assert transcript.document is None
    assert transcript.last_line == "error: the store is full"
