"""Studies leave and come back: archived, restored bit for bit, deleted wherever they are, and never in part."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from mirror import assert_mlflow_equals_storage
from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow_server import MlflowServer, Proxy, free_port

import search.archive
import search.removal
from search.archive import MANIFEST, archive_studies, restore_studies
from search.config import StudySpec
from search.connection import default_tracking_uri
from search.errors import StudyError
from search.folder import LOCK, is_of_lock, study_folder
from search.registry import register_winner
from search.removal import delete_studies
from search.replay import replay
from search.run import run_study
from search.status import find_studies
from search.storage import mark_half, open_storage
from search.sync import sync_studies
from search.transcript import parse, read_from_storage, write_to_storage

Shell = Callable[..., tuple[int, str, str]]


class Archived:
    """A finished study and its archive."""

    def __init__(self, spec: StudySpec, folder: Path) -> None:
        self.store = spec.store.store
        run_study(spec)
        [study] = find_studies(self.store, None, "small")
        self.name = study.name
        self.file = folder / "small.zip"
        archive_studies(self.store, None, "small", self.file)

    def held(self, store: Path, url: str | None = None) -> dict[str, Any]:
        """All that a storage has of it."""
        return read_from_storage(open_storage(store, url, to_write=False), self.name)

    def files(self, store: Path) -> dict[str, bytes]:
        folder = study_folder(store, self.name)
        paths = [path for path in folder.rglob("*") if path.is_file() and path.name != LOCK]
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def archived(shared_spec: Callable[..., StudySpec], tmp_path_factory: pytest.TempPathFactory) -> Archived:
    return Archived(shared_spec(search={"trials": 4, "confirm": 2}), tmp_path_factory.mktemp("archive"))


def changed(archived: Archived, path: Path, **entries: str | bytes | None) -> Path:
    """The archive with these files of it replaced, added, or left out."""
    with zipfile.ZipFile(archived.file) as before, zipfile.ZipFile(path, "w") as after:
        for entry in before.infolist():
            if entry.filename not in entries:
                after.writestr(entry, before.read(entry))
        for name, content in entries.items():
            if content is not None:
                after.writestr(name, content)
    return path


def test_what_is_restored_is_the_study_bit_for_bit_and_deleted_it_leaves_no_experiment_in_the_way(
    archived: Archived, tmp_path: Path
) -> None:
    store = tmp_path / "elsewhere"
    restore_studies(archived.file, store, None)
    assert archived.held(store) == archived.held(archived.store)
    assert archived.files(store) == archived.files(archived.store)
    [study] = find_studies(store, None, None)
    assert replay(study).items() >= {"proposals": 4, "agree": 4}.items()
    sync_studies(store, None, "small", None)
    assert_mlflow_equals_storage(default_tracking_uri(store), study, store)
    with pytest.raises(StudyError, match="is there already"):
        restore_studies(archived.file, store, None)
    assert archived.files(store) == archived.files(archived.store)
    delete_studies(store, None, [archived.name], None)
    client = MlflowClient(default_tracking_uri(store))
    assert [found.name for found in client.search_experiments()] == ["Default"]
    restore_studies(archived.file, store, None)
    sync_studies(store, None, "small", None)
    [study] = find_studies(store, None, "small")
    assert_mlflow_equals_storage(default_tracking_uri(store), study, store)


def test_a_restoration_that_died_is_completed_and_nobody_takes_it_for_a_study_before(
    archived: Archived, tmp_path: Path, small_spec: Callable[..., StudySpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = small_spec(search={"trials": 4, "confirm": 2})
    store, url = spec.store.store, f"sqlite:///{tmp_path}/trials.db"
    with monkeypatch.context() as patched:
        patched.setattr(search.archive, "_extract", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            restore_studies(archived.file, store, url)
    with pytest.raises(StudyError, match="there is no study 'small'"):
        find_studies(store, url, "small")
    half = spec.model_copy(update={"store": spec.store.model_copy(update={"storage": url})})
    with pytest.raises(StudyError, match="restore its archive again"):
        run_study(half)
    restore_studies(archived.file, store, url)
    assert archived.held(store, url) == archived.held(archived.store)
    assert archived.files(store) == archived.files(archived.store)


def test_what_is_archived_or_restored_is_on_disk_before_it_has_its_name_or_counts_as_whole(
    archived: Archived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, out = tmp_path / "elsewhere", tmp_path / "again.zip"
    synced: dict[Path, int] = {}
    whole: list[set[Path]] = []
    fsync, mark_half, rename = os.fsync, search.archive.mark_half, Path.rename

    def spy(descriptor: int) -> None:
        synced[Path(f"/proc/self/fd/{descriptor}").readlink()] = os.fstat(descriptor).st_size
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        assert synced.pop(path) == path.stat().st_size
        return rename(path, target)

    def marked(*arguments: Any) -> None:
        whole.append(set(synced))
        mark_half(*arguments)

    monkeypatch.setattr(os, "fsync", spy)
    monkeypatch.setattr(search.archive, "mark_half", marked)
    restore_studies(archived.file, store, None)
    folder = study_folder(store, archived.name)
    kept = {path for path in folder.rglob("*") if not is_of_lock(path.relative_to(folder))}
    assert kept | {folder, folder.parent, folder.parent.parent, store} <= whole[0]
    assert all(synced[path] == path.stat().st_size for path in kept if path.is_file())
    synced.clear()
    monkeypatch.setattr(Path, "rename", renamed)
    archive_studies(store, None, "small", out)
    assert list(synced)[-1] == tmp_path


def test_of_two_studies_none_is_restored_where_the_folder_of_one_is_in_use(archived: Archived, tmp_path: Path) -> None:
    store, second = tmp_path / "elsewhere", "small/second"
    with zipfile.ZipFile(archived.file) as before:
        inner = f"studies/{archived.name}"
        own = {name: before.read(name) for name in before.namelist() if name.startswith(inner)}
    both = changed(
        archived,
        tmp_path / "both.zip",
        **{MANIFEST: json.dumps({"format": 1, "studies": [archived.name, second]})},
        **{name.replace(inner, f"studies/{second}"): content for name, content in own.items()},
    )
    kept = study_folder(store, second) / "kept.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("of a study in another storage")
    with pytest.raises(StudyError, match="must be empty to restore 'small/second'"):
        restore_studies(both, store, None)
    assert open_storage(store, None, to_write=False).get_all_studies() == []
    assert [path for path in (store / "studies").rglob("*") if path.is_file()] == [kept]
    kept.unlink()
    restore_studies(both, store, None)
    assert [study.name for study in find_studies(store, None, "small")] == [archived.name, second]


def test_a_deletion_that_died_is_completed_and_leaves_nothing_but_registered_models(
    archived: Archived, tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "elsewhere"
    restore_studies(archived.file, store, None)
    uri = default_tracking_uri(store)
    registered = register_winner(store, None, "small", "kept", None)
    client = MlflowClient(uri)
    [experiment] = [found for found in client.search_experiments() if found.name == "small"]
    with monkeypatch.context() as patched:
        patched.setattr(search.removal, "delete_from_storage", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            delete_studies(store, None, [archived.name], None)
    words = ["--store", str(store)]
    assert shell("status", *words)[:2] == (0, "")
    assert "there is no study 'small'" in shell("sync", "small", *words)[2]
    code, out, err = shell("delete", "small", "--yes", "--json", *words)
    assert (code, err) == (0, "")
    assert [entry["study"] for entry in json.loads(out)["studies"]] == [archived.name]
    assert not list((store / "studies").iterdir())
    assert open_storage(store, None, to_write=False).get_all_studies() == []
    assert client.search_runs([experiment.experiment_id]) == []
    deleted = client.search_runs([experiment.experiment_id], run_view_type=ViewType.DELETED_ONLY)
    assert len(deleted) == 1 + 4 + len(archived.held(archived.store)["references"]["trials"])
    assert client.get_model_version("kept", str(registered["version"])).status == "READY"
    assert client.get_logged_model(registered["model_id"]).model_id == registered["model_id"]
    code, out, err = shell("delete", "small", "--yes", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    restore_studies(archived.file, store, None)
    assert archived.held(store) == archived.held(archived.store)


def test_an_mlflow_that_does_not_answer_or_takes_no_deletion_leaves_the_study_whole(
    archived: Archived, tmp_path: Path, shell: Shell, server: MlflowServer
) -> None:
    store = tmp_path / "elsewhere"
    restore_studies(archived.file, store, None)
    sync_studies(store, None, "small", server.uri)
    proxy = Proxy(server.port)
    proxy.refuses = lambda method, path: path.endswith("runs/delete")
    for uri in (f"http://127.0.0.1:{free_port()}", "nowhere://", proxy.uri):
        code, out, err = shell("delete", "small", "--yes", "--store", str(store), "--tracking-uri", uri)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert "must be there to delete its runs" in err
        [study] = find_studies(store, None, "small")
        assert archived.files(store) == archived.files(archived.store)
    proxy.close()
    assert_mlflow_equals_storage(server.uri, study, store)
    [entry] = delete_studies(store, None, [archived.name], server.uri)["studies"]
    assert entry["runs"] == 1 + 4 + len(archived.held(archived.store)["references"]["trials"])


def test_a_study_that_was_shown_elsewhere_stays_until_its_server_is_named_or_its_runs_are_to_stay(
    archived: Archived, tmp_path: Path, shell: Shell
) -> None:
    store, other = tmp_path / "elsewhere", tmp_path / "other.db"
    words = ["delete", "small", "--yes", "--store", str(store)]
    restore_studies(archived.file, store, None)
    assert shell("sync", "small", *words[3:], "--tracking-uri", f"sqlite:///{other}")[0] == 0
    nowhere = tmp_path / "nowhere.db"
    for uri in (None, f"sqlite:///{nowhere}"):
        code, out, err = shell(*words, *(["--tracking-uri", uri] if uri else []))
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "--tracking-uri must name the MLflow that has the runs" in err
        assert "--leave-runs" in err
        [study] = find_studies(store, None, "small")
    assert not nowhere.exists()
    assert not (store / "mlflow.db").exists()
    code, out, err = shell(*words, "--tracking-uri", f"sqlite:///{other}", "--leave-runs")
    assert (code, out, err.count("\n")) == (2, "", 1)
    code, out, err = shell(*words, "--leave-runs")
    assert (code, out, err) == (0, f"deleted {study.name}, MLflow was not asked\n", "")
    assert open_storage(store, None, to_write=False).get_all_studies() == []
    assert len(MlflowClient(f"sqlite:///{other}").search_runs(["1"])) > 4
    restore_studies(archived.file, store, None)
    code, out, err = shell(*words, "--tracking-uri", f"sqlite:///{other}")
    assert (code, err) == (0, "")
    assert out.startswith(f"deleted {study.name}, and ")
    restore_studies(archived.file, store, None)  # a copy, whose runs went with the original's
    code, out, err = shell(*words, "--tracking-uri", f"sqlite:///{other}")
    assert (code, out, err) == (0, f"deleted {study.name}, and 0 runs in MLflow\n", "")


def test_copies_on_one_server_are_one_run_which_goes_with_either_and_comes_back_by_a_sync(
    archived: Archived, tmp_path: Path
) -> None:
    uri, stores = f"sqlite:///{tmp_path}/shared.db", (tmp_path / "one", tmp_path / "two")
    for store in stores:
        restore_studies(archived.file, store, None)
        sync_studies(store, None, "small", uri)
    [kept] = find_studies(stores[1], None, "small")
    assert_mlflow_equals_storage(uri, kept, stores[1])
    delete_studies(stores[0], None, [archived.name], uri)
    assert MlflowClient(uri).get_experiment_by_name("small") is None
    sync_studies(stores[1], None, "small", uri)
    assert_mlflow_equals_storage(uri, kept, stores[1])


def test_what_is_deleted_is_what_was_confirmed_and_no_study_that_was_made_meanwhile(
    archived: Archived, tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, later = tmp_path / "elsewhere", "small/later"
    restore_studies(archived.file, store, None)
    asked = []

    def confirm(text: str, **options: Any) -> bool:
        asked.append(text)
        write_to_storage(open_storage(store, None), later, parse(archived.held(archived.store)))
        mark_half(open_storage(store, None), later, "")
        return True

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("click.confirm", confirm)
    assert shell("delete", "small", "--leave-runs", "--store", str(store))[::2] == (0, "")
    assert len(asked) == 1
    assert later not in asked[0]
    assert [study.name for study in find_studies(store, None, "small")] == [later]


def test_what_is_run_is_neither_archived_nor_deleted(archived: Archived, tmp_path: Path, shell: Shell) -> None:
    words, out_file = ["--store", str(archived.store)], tmp_path / "not.zip"
    with FileLock(study_folder(archived.store, archived.name) / LOCK):
        for arguments in (["delete", "small", "--yes"], ["archive", "small", "--out", str(out_file)]):
            code, out, err = shell(*arguments, *words)
            assert (code, out, err.count("\n")) == (1, "", 1)
            assert "is being run by" in err
    assert not out_file.exists()
    code, out, err = shell("delete", "small", *words)
    assert (code, out, err) == (2, "", "error: --yes must be given where nobody can be asked\n")
    assert archived.held(archived.store)["search"]["user_attrs"]["format"] == 3


def test_bad_archives_are_refused_in_one_line_and_nothing_is_written(
    archived: Archived, tmp_path: Path, shell: Shell
) -> None:
    manifest = {"format": 1, "studies": [archived.name]}
    transcript = f"studies/{archived.name}/storage.json"
    files = f"studies/{archived.name}/files"
    whole = archived.file.read_bytes()
    link = zipfile.ZipInfo(f"{files}/link")
    link.external_attr = 0o120777 << 16
    with_link = changed(archived, tmp_path / "link.zip")
    with zipfile.ZipFile(with_link, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    flipped = bytearray(whole)
    flipped[whole.index(b"winner.safetensors") + 200] ^= 0xFF
    newer = archived.held(archived.store)
    newer["search"]["user_attrs"]["format"] = 9
    foreign = archived.held(archived.store)
    foreign["search"]["user_attrs"]["id"] = "' OR '"
    bad: dict[str, Path | bytes] = {
        "must be a regular file": tmp_path / "nothing.zip",
        "File is not a zip file": whole[:-40],
        "an archive must be as winnow wrote it, but: [Errno 22]": whole[30:],
        "is damaged": bytes(flipped),
        "an archive must be of format 1, but got 2": changed(
            archived, tmp_path / "a.zip", **{MANIFEST: json.dumps({**manifest, "format": 2})}
        ),
        "a study must be of format 2 or 3, but got 9": changed(
            archived, tmp_path / "b.zip", **{transcript: json.dumps(newer)}
        ),
        "a study's id must be 32 hexadecimal digits": changed(
            archived, tmp_path / "h.zip", **{transcript: json.dumps(foreign)}
        ),
        "'archive.json'": changed(archived, tmp_path / "c.zip", **{MANIFEST: None}),
        "belongs to no study": changed(archived, tmp_path / "d.zip", **{f"{files}/../../../out": "x"}),
        "'/tmp/out' belongs to no study": changed(archived, tmp_path / "e.zip", **{"/tmp/out": "x"}),
        "a study must be called": changed(
            archived, tmp_path / "f.zip", **{MANIFEST: json.dumps({**manifest, "studies": ["../out"]})}
        ),
        "must be as winnow wrote it": changed(archived, tmp_path / "g.zip", **{transcript: '{"search": []}'}),
        "link' must be a regular file": with_link,
        "must not have the name of a file, but got 'winner.safetensors'": changed(
            archived, tmp_path / "i.zip", **{f"{files}/winner.safetensors/x": "x"}
        ),
        "driver.lock/x' belongs to no study": changed(archived, tmp_path / "j.zip", **{f"{files}/driver.lock/x": "x"}),
        "at most 255 bytes": changed(archived, tmp_path / "k.zip", **{f"{files}/{'ä' * 128}": "x"}),
        "at most 4095 bytes": changed(archived, tmp_path / "l.zip", **{f"{files}/{'long/' * 900}x": "x"}),
    }
    store = tmp_path / "new"
    for number, (rule, content) in enumerate(bad.items()):
        path = content if isinstance(content, Path) else tmp_path / f"{number}.zip"
        if isinstance(content, bytes):
            path.write_bytes(content)
        code, out, err = shell("restore", str(path), "--store", str(store))
        assert (code, out, err.count("\n")) == (2, "", 1), (rule, err)
        assert rule in err
        assert str(path) in err
    assert not store.exists()
    store.mkdir()
    (store / "studies").symlink_to(tmp_path)
    code, out, err = shell("restore", str(archived.file), "--store", str(store))
    assert (code, out) == (1, "")
    assert err == f"error: a store must hold its files itself, but {store}/studies is a link to {tmp_path}\n"
    assert [path.name for path in store.iterdir()] == ["studies"]
    code, out, err = shell("archive", "small", "--out", str(archived.file), "--store", str(archived.store))
    assert (code, out, err.count("\n")) == (2, "", 1)
    code, out, err = shell("archive", "nobody", "--store", str(archived.store))
    assert (code, out, err.count("\n")) == (2, "", 1)
