"""Files that would run code, were they unpickled or evaluated: none does, and each gets its line."""

from __future__ import annotations

import ast
import json
import pickle
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from search.config import StudySpec
from search.folder import study_folder
from search.plan import plan_studies
from search.run import run_study
from search.storage import StudyStorage, open_storage
from trainers.checkpoint import CheckpointError, unpack

Shell = Callable[..., tuple[int, str, str]]

FAST = ["--samples", "256", "--width", "8", "--depth", "2", "--steps", "5"]
NO_TRACKING = ["--tracking-uri", "nowhere://"]


class Payload:
    """Makes a file where it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return (Path.touch, (self.canary,))


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """The file that no test may find."""
    return tmp_path / "executed"


@pytest.fixture
def code(canary: Path) -> str:
    """An expression that makes the file where it is evaluated."""
    return f"__import__('pathlib').Path({str(canary)!r}).touch()"


@pytest.fixture(scope="module")
def whole(shared_spec: Callable[..., StudySpec]) -> StudySpec:
    """A finished study."""
    spec = shared_spec(search={"trials": 3, "confirm": 0}, store={"tracking_uri": "nowhere://"})
    run_study(spec)
    return spec


@pytest.fixture
def store(whole: StudySpec, tmp_path: Path) -> Path:
    """A copy of its store."""
    return Path(shutil.copytree(whole.store.store, tmp_path / "store"))


def one_line(result: tuple[int, str, str]) -> str:
    """The line of a command that failed, without progress."""
    code, out, err = result
    assert code in (1, 2), err
    assert out == ""
    *progress, line = err.splitlines()
    assert all(line.startswith(("starting workers", "n/bright-", "warning: MLflow ")) for line in progress), err
    assert line.startswith("error: ")
    return line


def test_the_payloads_work_where_someone_runs_them(canary: Path, code: str) -> None:
    pickle.loads(pickle.dumps(Payload(canary)))
    assert canary.exists()
    canary.unlink()
    eval(code)
    assert canary.exists()


def test_no_array_is_unpickled_or_evaluated(shell: Shell, tmp_path: Path, canary: Path, code: str) -> None:
    payload = np.array([Payload(canary)] * 20, dtype=object)
    np.save(tmp_path / "objects.npy", payload, allow_pickle=True)
    np.savez(tmp_path / "objects.npz", x=payload)
    for name in ("pickle.npy", "pickle.npz", "pickle.wav", "pickle.png", "pickle"):
        (tmp_path / name).write_bytes(pickle.dumps(payload))
    for name, shape in (("shape.npy", f"({code}, 20)"), ("type.npy", "(20,), 'x': " + code)):
        header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".encode() + b"\n"
        (tmp_path / name).write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(160))
    names = [path.name for path in tmp_path.iterdir() if path.is_file()]
    assert len(names) == 9
    for command in ("predict", "fit"):
        for name in names:
            assert f"{tmp_path}/{name}: " in one_line(shell(command, f"{tmp_path}/{name}"))
    assert not canary.exists()


def test_no_setting_is_evaluated(shell: Shell, tmp_path: Path, canary: Path, code: str) -> None:
    for number, text in enumerate(
        (
            f"name = {json.dumps(code)}",
            f"name = {code}",
            f"signals = [{json.dumps(code)}]",
            f"signals = ['synthetic:bright']\n[search]\nspace = {json.dumps(code)}",
            f"signals = ['synthetic:bright']\n[search]\nheuristic = [{json.dumps(code)}]",
            f"[signal]\nstart = {json.dumps(code)}",
            f"[fit]\nlr = {json.dumps(code)}",
            f"[fit]\nsteps = '!!python/object/apply:os.mkdir [{canary}]'",
            f'[search]\n"__reduce__" = {json.dumps(code)}',
        )
    ):
        path = tmp_path / f"{number}.toml"
        path.write_text(text + "\n")
        one_line(shell("run", "--config", str(path), "--workers", "0", *FAST))
    for option, value in (("--set", f"s0={code}"), ("--set", f"lr={code}"), ("--heuristic", code), ("--space", code)):
        one_line(shell("fit", "synthetic:bright", *FAST, option, value))
    assert not canary.exists()


def test_a_law_in_a_file_is_no_program(shell: Shell, tmp_path: Path, canary: Path, code: str) -> None:
    law = tmp_path / "law.json"
    constant = {"factor": 1.0, "powers": {}}
    domain = {"kinds": ["audio"], "samples": [1, 99_999], "width": [1, 999], "steps": [1, 9_999]}
    whole = {"name": "evil", "source": code, "bandwidth": constant, "s1": constant, "lr": constant, "domain": domain}
    law.write_text(json.dumps({"format": 1, "law": {**whole, "facts": {code: code}}, "formulas": [code]}))
    predict = ("predict", "synthetic:bright", "--samples", "64", "--heuristic", str(law))
    assert shell(*predict)[0] == 0  # a law whose texts are code is a law, and its texts are texts
    for content in (
        json.dumps({"format": 1, "law": code}).encode(),
        json.dumps({"format": 1, "law": {**whole, "s1": {"factor": code}}}).encode(),
        json.dumps({"format": 1, "law": {**whole, "s1": {"factor": 1.0, "powers": {code: 1.0}}}}).encode(),
        pickle.dumps(Payload(canary)),
    ):
        law.write_bytes(content)
        assert str(law) in one_line(shell(*predict))
    assert not canary.exists()


@pytest.mark.parametrize("kind", ["pickle", "pickle of protocol 0", "torch", "header"])
def test_a_winner_is_not_unpickled(shell: Shell, store: Path, canary: Path, kind: str) -> None:
    [weights] = store.rglob("winner.safetensors")
    weights.write_bytes(checkpoint_of(kind, canary))
    assert f"{weights} is damaged" in one_line(shell("export", "small", "--store", str(store)))
    assert not canary.exists()
    assert not Path("winner").exists()


def checkpoint_of(kind: str, canary: Path) -> bytes:
    if kind == "torch":
        import io

        import torch

        file = io.BytesIO()
        torch.save({"x": Payload(canary)}, file)
        return file.getvalue()
    if kind == "header":
        header = json.dumps({"__metadata__": {"format": "2", "facts": "!!python/object/apply:os.abort []"}}).encode()
        return len(header).to_bytes(8, "little") + header
    return pickle.dumps(Payload(canary), protocol=0 if "0" in kind else None)


@pytest.mark.parametrize("kind", ["pickle", "pickle of protocol 0", "torch", "header"])
def test_a_running_trials_checkpoint_is_not_unpickled_and_the_trial_begins_anew(
    store: Path, whole: StudySpec, canary: Path, kind: str
) -> None:
    data = checkpoint_of(kind, canary)
    with pytest.raises(CheckpointError):
        unpack(data)
    search = whole.search.model_copy(update={"trials": 4})
    spec = whole.model_copy(update={"store": whole.store.model_copy(update={"store": store}), "search": search})
    [plan] = plan_studies(spec)
    study = StudyStorage(open_storage(store, None), plan.name)
    proposal = study.history(plan.space, 0).propose()
    key = f"search/{proposal.number}"
    study.begin(proposal, plan.builder.build(key, label="#", space=plan.space, point=dict(proposal.point)))
    path = study_folder(store, plan.name) / "checkpoints" / f"search-{proposal.number}.safetensors"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    [summary] = run_study(spec)["studies"]
    assert sum(summary["trials"].values()) == 4
    assert not canary.exists()
    assert not path.exists(), "it was taken up, and the trial ended"


LINES: dict[str, str] = {
    "an unknown distribution": '{"name": "Payload", "attributes": {"code": CODE}}',
    "a function for a distribution": '{"name": "os.system", "attributes": {"command": CODE}}',
    "a kind of distribution by code": '{"type": CODE}',
    "a reduced object": '{"__reduce__": ["os.system", [CODE]]}',
    "a tag of another language": '"!!python/object/apply:os.system [CODE]"',
}


def test_an_operation_of_the_journal_is_no_program(shell: Shell, store: Path, canary: Path, code: str) -> None:
    whole = (store / "journal.log").read_bytes()
    run = ["run", "synthetic:bright", "--name", "n", "--workers", "0", *FAST, *NO_TRACKING]
    for text in LINES.values():
        operation = {
            "op_code": 4, "worker_id": code, "study_id": 0, "datetime_start": "2026-01-01T00:00:00", "state": 0,
            "value": None, "distributions": {"x": text.replace("CODE", json.dumps(code))}, "params": {"x": code},
            "user_attrs": {"spec": code}, "system_attrs": {}, "intermediate_values": {},
        }  # fmt: skip
        bad = whole + (json.dumps(operation) + "\n").encode()
        (store / "journal.log").write_bytes(bad)
        for words in (["status"], ["export", "small"], run):
            assert "journal" in one_line(shell(*words, "--store", str(store)))
        assert (store / "journal.log").read_bytes() == bad
    assert not canary.exists()


def test_a_pickle_for_a_journal_is_no_program(shell: Shell, store: Path, canary: Path) -> None:
    for content in (pickle.dumps(Payload(canary)), pickle.dumps(Payload(canary), protocol=0) + b"\n"):
        (store / "journal.log").write_bytes(content)
        one_line(shell("export", "small", "--store", str(store)))
    assert not canary.exists()


def test_a_row_of_a_database_is_no_program(shell: Shell, tmp_path: Path, canary: Path, code: str) -> None:
    url, words = f"sqlite:///{tmp_path}/optuna.db", ["--workers", "0", "--trials", "1", "--confirm", "0", "--name", "n"]
    assert shell("run", "synthetic:bright", *FAST, *words, *NO_TRACKING, "--storage", url)[0] == 0
    rows = [("UPDATE trial_params SET distribution_json = ?", text) for text in LINES.values()]
    rows += [
        ("UPDATE trial_user_attributes SET value_json = ? WHERE key = 'outcome'", text) for text in ("[CODE]", "CODE")
    ]
    rows += [
        ("UPDATE study_user_attributes SET value_json = ? WHERE key = 'fingerprint'", text) for text in ("CODE", "{")
    ]
    for statement, text in rows:
        with sqlite3.connect(tmp_path / "optuna.db") as database:
            assert database.execute(statement, (text.replace("CODE", json.dumps(code)),)).rowcount > 0
        for more in (["status"], ["export", "n"]):
            one_line(shell(*more, "--storage", url))
    assert not canary.exists()


def test_a_snapshot_of_optunas_is_nowhere_read() -> None:
    """Optuna unpickles snapshots, of backends that have them: neither ours nor a database has."""
    from optuna.storages.journal._base import BaseJournalSnapshot

    from search.journal import GroupedJournal

    assert not issubclass(GroupedJournal, BaseJournalSnapshot)
    assert optuna.__version__.startswith("5."), "look again at what a new Optuna unpickles"


ROOT = Path(__file__).parents[2]
SOURCES = [path for package in ("search", "trainers", "spaces") for path in sorted((ROOT / package).rglob("*.py"))]


def calls_in(tree: ast.AST) -> list[tuple[str, ast.Call]]:
    """Dotted name and call."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            try:
                found.append((ast.unparse(node.func), node))
            except ValueError:
                continue
    return found


def test_nothing_evaluates_or_unpickles_data() -> None:
    """What ruff's S and TID rules do not see, and that no noqa hides what they do."""
    bad = []
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        for name, call in calls_in(ast.parse(text)):
            last = name.rsplit(".", 1)[-1]
            allowed = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}.get("allow_pickle")
            if name in ("eval", "exec", "compile", "__import__") or last in (
                "loads_pickle",
                "unsafe_load",
                "full_load",
            ):
                bad.append(f"{path}:{call.lineno} {name}")
            if name in ("np.load", "numpy.load") and allowed != "False":
                bad.append(f"{path}:{call.lineno} {name} without allow_pickle=False")
            if allowed not in (None, "False"):
                bad.append(f"{path}:{call.lineno} allow_pickle={allowed}")
        for number, line in enumerate(text.splitlines(), 1):
            if "noqa" in line and any(rule in line for rule in ("S102", "S3", "S5", "S614", "TID", "noqa\n")):
                bad.append(f"{path}:{number} {line.strip()}")
            if line.rstrip().endswith("# noqa"):
                bad.append(f"{path}:{number} a noqa of everything")
    assert len(SOURCES) > 80
    assert bad == []


def test_the_one_program_that_is_run_is_the_users_plugin() -> None:
    runs = [
        path.name
        for path in SOURCES
        for name, _ in calls_in(ast.parse(path.read_text("utf-8")))
        if "exec_module" in name
    ]
    assert runs == ["plugins.py"]
