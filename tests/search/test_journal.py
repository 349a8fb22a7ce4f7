"""The store's journal: groups."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import optuna
import pytest

from search.journal import grouped
from search.storage import open_storage


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the threads that waited for the disk."""
    seen: list[str] = []
    fsync = os.fsync

    def count(descriptor: int) -> None:
        seen.append(threading.current_thread().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", count)
    return seen


def test_a_group_waits_for_the_disk_once_and_others_see_each_operation_at_once(
    tmp_path: Path, waits: list[str]
) -> None:
    storage = open_storage(tmp_path, None)
    study = optuna.create_study(storage=storage, study_name="s")
    waits.clear()
    with grouped(storage):
        for number in range(5):
            study.set_user_attr("number", number)
        other = optuna.load_study(storage=open_storage(tmp_path, None), study_name="s")
        assert other.user_attrs == {"number": 4}
        assert waits == []
    assert len(waits) == 1
    with grouped(storage):
        pass
    assert len(waits) == 1
    study.set_user_attr("number", 5)
    assert len(waits) == 2


def test_a_thread_outside_a_group_waits_for_its_own_operations(tmp_path: Path, waits: list[str]) -> None:
    storage = open_storage(tmp_path, None)
    study = optuna.create_study(storage=storage, study_name="s")
    waits.clear()
    with grouped(storage):
        study.set_user_attr("mine", 1)
        other = threading.Thread(target=lambda: study.set_user_attr("other", 1), name="other")
        other.start()
        other.join()
        assert waits == ["other"]


def test_other_storages_write_as_always(tmp_path: Path) -> None:
    storage = open_storage(tmp_path, f"sqlite:///{tmp_path}/optuna.db")
    with grouped(storage):
        optuna.create_study(storage=storage, study_name="s").set_user_attr("number", 1)
    assert optuna.load_study(storage=storage, study_name="s").user_attrs == {"number": 1}
