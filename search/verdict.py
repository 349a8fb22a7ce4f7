"""A validation, transfer or calibration where it is kept: a document and a picture in the store, a run in MLflow."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from search.config import StoreSettings
from search.connection import artifact_folder, connect, default_tracking_uri
from search.errors import StorageError, first_line
from search.notes import NOTE, escape
from search.result import Result
from search.run_contents import metric_name
from search.study_runs import open_experiment
from search.validation_table import behind_leader
from trainers.checkpoint import write_atomically

if TYPE_CHECKING:
    from mlflow import MlflowClient

FOLDER = "verdicts"
"""In the store."""

ID = "id"
"""File in it, made on first use: 32 hexadecimal digits by which MLflow tells the verdicts of stores apart."""

ROLE = "winnow.role"
STORE = "winnow.store"
DIGEST = "winnow.digest"


def keep(result: Result, name: str, role: str, settings: StoreSettings, say: Callable[[str], None]) -> None:
    """Write `<store>/verdicts/<name>-<role>.json` and `.png`, and show both in MLflow's experiment of that name.

    MLflow is a view: where it does not answer, a warning says so, and the same command logs it later.

    Args:
        result: to be kept.
        name: of the command's campaigns.
        role: "validation", "transfer" or "calibration".
        settings: of the store.
        say: called with the warning, and with where the picture is.

    Raises:
        StorageError: they cannot be written.
    """
    stem = settings.store / FOLDER / f"{name}-{role}"
    files = [stem.with_name(f"{stem.name}.json"), stem.with_name(f"{stem.name}.png")]
    content = (json.dumps(result, indent=2) + "\n").encode()
    try:
        store_id = _store_id(stem.with_name(ID))
        write_atomically(files[0], content)
        result.plot().savefig(files[1], dpi=150)
    except OSError as error:
        raise StorageError(f"the store {settings.store} must be a writable folder, but: {error}") from error
    uri = settings.tracking_uri or default_tracking_uri(settings.store)
    try:
        tags = {ROLE: role, STORE: store_id}
        _log(connect(uri), artifact_folder(uri, settings.store), result, name, tags, content, files)
    except Exception as error:  # MLflow is a view: whatever it raises, the verdict stands
        say(f"warning: MLflow does not show this {role} ({type(error).__name__}: {first_line(error)[:200]})")
    say(f"picture: {files[1]}")


def _log(
    client: MlflowClient,
    artifacts: Path | None,
    result: Result,
    name: str,
    tags: Mapping[str, str],
    content: bytes,
    files: Sequence[Path],
) -> None:
    """One run a role and store; one that says the same is left as it is, another is replaced."""
    experiment = open_experiment(client, artifacts, name)
    digest = hashlib.sha256(content).hexdigest()[:16]
    own = " AND ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    known = list(client.search_runs([experiment], own))
    if any(run.data.tags.get(DIGEST) == digest and run.info.status == "FINISHED" for run in known):
        return
    run = client.create_run(experiment, run_name=tags[ROLE], tags={**tags, NOTE: _note(result)})
    for key, value in _metrics(result):
        client.log_metric(run.info.run_id, key, value)
    for path in files:
        client.log_artifact(run.info.run_id, str(path))
    client.set_tag(run.info.run_id, DIGEST, digest)
    client.set_terminated(run.info.run_id)
    for old in known:
        client.delete_run(old.info.run_id)


def _store_id(path: Path) -> str:
    if not path.exists():
        write_atomically(path, f"{uuid4().hex}\n".encode())
    found = path.read_text(encoding="utf-8", errors="replace").strip()
    if not re.fullmatch("[0-9a-f]{32}", found):  # MLflow is asked for it
        raise StorageError(f"{path} must hold 32 hexadecimal digits, but got {found[:40]!r}")
    return found


def _settings(result: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """What `judge` said in it."""
    found: Sequence[Mapping[str, Any]] = [result["there"]] if "there" in result else result.get("settings", ())
    return found


def _metrics(result: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Numbers that columns of the list can show: `n4096-w64/winner/regret_db`."""
    for setting in _settings(result):
        size = f"n{setting['samples']}-w{setting['width']}"
        for name, entry in setting["heuristics"].items():
            yield metric_name(f"{size}/{name}/regret_db"), entry["mean_regret_db"]
        for name, entry in setting["scores"].items():
            yield metric_name(f"{size}/{name}/spearman"), entry["spearman"]
    yield from ((key, value) for key, value in result.items() if isinstance(value, float))


def _note(result: Mapping[str, Any]) -> str:
    """The run's description, Markdown."""
    lines = [f"    {formula}" for formula in result.get("formulas", ())]
    for setting in _settings(result):
        leader, behind = behind_leader(setting)
        lines += [
            f"**{setting['signals']} signals, {setting['samples']:,} samples, width {setting['width']}, "
            f"{setting['regime']}**: regret, found point minus heuristic, dB, on {setting['seeds']} fresh seeds",
            "",
            f"| heuristic | mean | 95 % interval | worse than {escape(leader)}, same seeds | 95 % interval |",
            "| --- | --- | --- | --- | --- |",
        ]
        for name, entry in setting["heuristics"].items():
            pairs = [(entry["mean_regret_db"], entry["ci95_db"]), *([behind[name]] if name in behind else [])]
            cells = [f"{mean:+.1f} | {', '.join(f'{end:.1f}' for end in ends or ())}" for mean, ends in pairs]
            lines.append(f"| {' | '.join([escape(name), *cells])} |")
        lines.append("")
    return "\n".join(lines)
