"""Stores that are broken, full or read-only: one line, and nothing lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from search.config import StudySpec
from search.run import run_study
from search.status import find_studies
from trainers.config import FitConfig

SpecOf = Callable[..., StudySpec]
Shell = Callable[..., tuple[int, str, str]]

NO_TRACKING = {"tracking_uri": "nowhere://"}
"""MLflow has tests of its own."""

WORDS = ["--name", "small", "--width", "16", "--depth", "2", "--steps", "30", "--workers", "0"]
WORDS += ["--tracking-uri", "nowhere://"]


@pytest.fixture(scope="module")
def whole(shared_spec: SpecOf) -> StudySpec:
    """A finished study."""
    assert FitConfig.decay  # loaded before the clock of any test starts
    spec = shared_spec(search={"trials": 2, "confirm": 0}, store=NO_TRACKING)
    run_study(spec)
    return spec


def middle(lines: list[bytes], line: bytes) -> bytes:
    return b"".join([*lines[:4], line, *lines[4:]])


BREAKAGES: dict[str, tuple[Callable[[list[bytes]], bytes], int | None]] = {
    "garbage in the middle": (lambda lines: middle(lines, b"\x00\xff garbage\n"), 5),
    "half a line in the middle": (lambda lines: middle(lines, lines[4][:20] + b"\n"), 5),
    "two lines in one": (lambda lines: middle(lines, lines[4][:20]), 5),
    "JSON of another kind": (lambda lines: middle(lines, b'["op_code", "worker_id"]\n'), 5),
    "an operation without its study": (lambda lines: middle(lines, b'{"op_code":2,"worker_id":"x"}\n'), 5),
    "an operation that nobody knows": (lambda lines: middle(lines, b'{"op_code":99,"worker_id":"x"}\n'), 5),
    "a last line of another program": (lambda lines: b"".join([*lines, b"hello\n"]), None),
    "a last line of another program without an end": (lambda lines: b"".join([*lines, b"hello"]), None),
    "another program's text": (lambda lines: b"2026-01-01 INFO started\n", 1),
    "another program's bytes": (lambda lines: b"SQLite format 3\x00" + bytes(range(256)), 1),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_journal_that_is_none_is_said_by_every_command_and_left_as_it_is(
    whole: StudySpec, tmp_path: Path, shell: Shell, name: str
) -> None:
    breaks, line = BREAKAGES[name]
    store = tmp_path / "store"
    shutil.copytree(whole.store.store, store)
    journal = store / "journal.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    broken = breaks(lines)
    journal.write_bytes(broken)
    said = f"error: {journal}, line {line or len(lines) + 1}: must be an operation of Optuna's journal, but is not\n"
    run = ("run", *whole.signals, *WORDS, "--trials", "2", "--confirm", "0")
    for words in (("status",), ("export", "small"), ("replay", "small"), run):
        code, out, err = shell(*words, "--store", str(store))
        assert (code, out) == (1, "")
        assert err.removeprefix("starting workers\n").endswith(said)
        assert "Traceback" not in err
        assert journal.read_bytes() == broken


def test_a_journal_whose_last_line_a_crash_tore_is_read_and_continued(
    whole: StudySpec, tmp_path: Path, shell: Shell
) -> None:
    for torn in (b'{"op_code":4,"worker_id":"to', b"\0" * 100):
        store = tmp_path / f"store-{len(torn)}"
        shutil.copytree(whole.store.store, store)
        with (store / "journal.log").open("ab") as file:
            file.write(torn)
        assert shell("status", "--store", str(store))[0] == 0
        assert shell("run", *whole.signals, *WORDS, "--trials", "3", "--confirm", "0", "--store", str(store))[0] == 0
        [study] = find_studies(store, None, "small")
        assert len(study.trials()) == 3
        assert torn + b"{" not in (store / "journal.log").read_bytes()


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.argv = ["winnow", *sys.argv[2:]]
from search.cli import main
main()
"""


def test_a_full_disk_loses_nothing_and_the_same_command_continues_once_there_is_room(
    clip: Path, tmp_path: Path, shell: Shell
) -> None:
    store = tmp_path / "store"
    words = ["run", str(clip), *WORDS, "--trials", "8", "--confirm", "1", "--store", str(store)]
    ended = []
    # The first has no room for the references, the second none for all trials: in the middle of a line, both.
    for limit in (5_000, 25_000):
        command = [sys.executable, "-c", LIMITED, str(limit), *words]
        process = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert process.returncode == 1
        [line] = [line for line in process.stderr.splitlines() if line.startswith("error: ")]
        assert line == f"error: the store {store} cannot be written: File too large"
        assert "Traceback" not in process.stderr
        assert (store / "journal.log").read_bytes().endswith(b"\n")
        [study] = find_studies(store, None, "small")
        ended.append({record.key: record for record in [*study.references(), *study.trials()]})
    assert shell(*words)[0] == 0
    [study] = find_studies(store, None, "small")
    assert len(study.trials()) == 8
    assert study.unfinished() == []
    final = {record.key: record for record in [*study.references(), *study.trials()]}
    assert 0 < len(ended[0]) < len(ended[1]) < len(final)
    for session in ended:
        assert {key: final[key] for key in session} == session


@pytest.fixture
def read_only(whole: StudySpec, tmp_path: Path) -> Iterator[Path]:
    """A store on a file system that takes no writes: for root, permissions are no hindrance."""
    store = tmp_path / "read-only"
    shutil.copytree(whole.store.store, store)
    if os.geteuid() != 0:
        for path in [store, *store.rglob("*")]:
            path.chmod(path.stat().st_mode & 0o555)
        yield store
        for path in [store, *store.rglob("*")]:
            path.chmod(path.stat().st_mode | 0o200)
        return
    mounted = subprocess.run(["mount", "--bind", "-o", "ro", str(store), str(store)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"root cannot mount here, and everything is writable for it: {mounted.stderr.decode()}")
    try:
        yield store
    finally:
        subprocess.run(["umount", str(store)], check=True)


def test_a_store_that_cannot_be_written_is_shown_but_not_run(
    whole: StudySpec, read_only: Path, shell: Shell, tmp_path: Path
) -> None:
    store = ("--store", str(read_only))
    assert shell("status", *store)[0] == 0
    assert shell("replay", "small", *store)[0] == 0
    assert shell("export", "small", "--out", str(tmp_path / "out"), *store)[0] == 0
    for more in ("2", "3"):
        code, out, err = shell("run", *whole.signals, *WORDS, "--trials", more, "--confirm", "0", *store)
        assert (code, out) == (1, "")
        [line] = [line for line in err.splitlines() if line.startswith("error: ")]
        assert line.startswith(f"error: the store {read_only}")
        assert "must be a writable folder" in line
        assert "Traceback" not in err
