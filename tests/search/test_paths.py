"""No name of a user's, of a file's or of a storage's leads out of the store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
import soundfile

from search.config import StudySpec
from search.errors import StorageError, StudyError
from search.folder import study_folder
from search.plan import plan_studies
from search.run import run_study
from search.storage import open_storage

Shell = Callable[..., tuple[int, str, str]]
SpecOf = Callable[..., StudySpec]

NO_TRACKING = {"tracking_uri": "nowhere://"}

NAMES = [
    "..wav", "...wav", ".wav", "~.wav", "$HOME.wav", "`id`.wav", "a b;rm -rf.wav", "-rf.wav", "--store.wav",
    "\\..\\..\\x.wav", "line\nend.wav", "tab\t.wav", "bell\a\x1b[2J.wav", "größe.wav", "音.wav", "\u202egpj.wav",
    "\u2024\u2024\u2215x.wav", "%2e%2e%2fx.wav", "..%00.wav", "'quote\".wav", "con.wav", "x" * 250 + ".wav",
    "references.wav", "<b>.wav", "{x}.wav", "#.wav", "a:b.wav",
]  # fmt: skip


def within(store: Path, path: Path) -> bool:
    return path.resolve().is_relative_to(store.resolve()) and path != store


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_name_gets_a_folder_of_the_store(
    tmp_path: Path, clip: Path, small_spec: SpecOf, name: str
) -> None:
    source = shutil.copy(clip, tmp_path / name)
    [plan] = plan_studies(small_spec(signals=(str(source),)))
    folder = study_folder(tmp_path / "store", plan.name)
    assert within(tmp_path / "store" / "studies" / "small", folder)
    assert folder.parent == tmp_path / "store" / "studies" / "small"
    assert folder.name.isascii()
    assert folder.name.isprintable()
    assert len(folder.name) < 80


def test_a_path_with_dots_or_from_the_root_gets_a_folder_of_the_store(
    tmp_path: Path, clip: Path, small_spec: SpecOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    for source in ("../../clip.wav", str(clip.resolve()), "../../../" + tmp_path.name + "/clip.wav"):
        [plan] = plan_studies(small_spec(signals=(source,)))
        assert plan.name.startswith("small/clip-")


def test_a_study_of_a_file_of_a_strange_name_is_searched_shown_and_exported(
    tmp_path: Path, clip: Path, small_spec: SpecOf, shell: Shell
) -> None:
    name = '..\n\'"""$(touch executed)\x1b[2Jä.wav'
    values, rate = soundfile.read(clip)
    with open(tmp_path / name, "wb") as file:  # noqa: PTH123
        soundfile.write(file, values, rate, format="WAV")
    spec = small_spec(signals=(str(tmp_path / name),), search={"trials": 2, "confirm": 1}, store=NO_TRACKING)
    outside = {path for path in tmp_path.rglob("*") if not path.is_relative_to(spec.store.store)}
    [summary] = run_study(spec)["studies"]
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(spec.store.store)} == outside
    store = ["--store", str(spec.store.store)]
    for words in (["status"], ["status", summary["study"]], ["status", "--json"]):
        code, out, err = shell(*words, *store)
        assert (code, err) == (0, "")
        assert "\x1b" not in out
    code, out, _ = shell("export", summary["study"], *store, "--out", "w")
    assert code == 0
    snippet = Path("w/snippet.py").read_text(encoding="utf-8")
    compile(snippet, "snippet.py", "exec")
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["w"]


@pytest.mark.parametrize(
    "name",
    ["..", "../x", "a/..", "a/../../x", "/etc", "a//b", "", "a/b/c", ".x/y", "a/b\n", "a\0", "a/" + "b" * 200, "ä/b"],
)
def test_a_study_of_another_name_has_no_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(StudyError, match="a study must be called NAME/FILE"):
        study_folder(tmp_path, name)


@pytest.mark.parametrize(
    "place", ["studies", "studies/a", "studies/a/b", "artifacts", "artifacts/a", "journal.log", "mlflow.db"]
)
def test_a_link_in_the_store_is_refused(tmp_path: Path, place: str) -> None:
    store, elsewhere = tmp_path / "store", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (store / place).parent.mkdir(parents=True)
    (store / place).symlink_to(elsewhere)
    with pytest.raises(StorageError, match=f"a store must hold its files itself, but {store / place} is a link to"):
        study_folder(store, "a/b")


def test_a_store_that_is_itself_a_link_is_the_users_choice(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "disk")
    assert study_folder(tmp_path / "store", "a/b") == tmp_path / "store" / "studies" / "a" / "b"


def test_files_of_a_study_that_lead_elsewhere_are_neither_written_nor_read(
    tmp_path: Path, small_spec: SpecOf, shell: Shell
) -> None:
    spec = small_spec(search={"trials": 2, "confirm": 0}, store=NO_TRACKING)
    [summary] = run_study(spec)["studies"]
    folder = study_folder(spec.store.store, summary["study"])
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in (
        "winner.safetensors",
        "recipe.json",
        "reconstruction.npy",
        "landscape.png",
        "driver.lock",
        "checkpoints",
    ):
        (folder / name).rename(tmp_path / "aside") if (folder / name).exists() else None
        (folder / name).symlink_to(victim)
        with pytest.raises(StorageError, match="is a link to"):
            run_study(spec)
        code, _, err = shell("export", summary["study"], "--store", str(spec.store.store))
        assert (code, err.count("\n")) == (1, 1)
        (folder / name).unlink()
        (tmp_path / "aside").rename(folder / name) if (tmp_path / "aside").exists() else None
        assert victim.read_text() == "precious"
    assert list(Path.cwd().iterdir()) == []


def test_a_storage_of_others_names_no_folder_outside(tmp_path: Path, small_spec: SpecOf, shell: Shell) -> None:
    """A journal or a database that somebody else wrote, whose studies have names that lead out."""
    spec = small_spec(search={"trials": 2, "confirm": 0}, store=NO_TRACKING)
    [summary] = run_study(spec)["studies"]
    storage = open_storage(spec.store.store, None)
    names = ["../../outside", "/etc", "a/../../../outside", "a\n/b"]
    for name in names:
        for suffix in ("", "/references", "/confirmations"):
            optuna.copy_study(
                from_study_name=summary["study"] + suffix, from_storage=storage,
                to_study_name=name + suffix, to_storage=storage,
            )  # fmt: skip
    outside = {str(path): path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for words in (*(["export", name] for name in names), *(["status", name] for name in names), ["status"]):
        code, out, err = shell(*words, "--store", str(spec.store.store))
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith("error: a study must be called NAME/FILE of letters, digits, '.', '_' and '-', but got ")
    assert {str(path): path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == outside
    code, out, _ = shell("status", summary["study"], "--store", str(spec.store.store), "--json")
    assert code == 0
    assert json.loads(out)["studies"][0]["study"] == summary["study"]
