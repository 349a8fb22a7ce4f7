"""One driver a study: who is refused, and what they are told."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from search.config import StudySpec
from search.errors import SpecError, StorageError
from search.lock import Holder, check_storage_url, driving, holder_of
from search.run import run_study

NAME = "c/clip-123456"
ME = rf"is being run by process {os.getpid()} on {socket.gethostname()} since 20\d\d-"


def test_a_second_driver_is_told_who_holds_the_study_and_the_next_one_gets_it(tmp_path: Path) -> None:
    with driving(tmp_path, None, [NAME]):
        with pytest.raises(StorageError, match=f"study '{NAME}' {ME}"), driving(tmp_path, None, ["c/other", NAME]):
            pass
        holder = holder_of(tmp_path, None, NAME)
        assert holder is not None
        assert (holder.host, holder.pid) == (socket.gethostname(), os.getpid())
        assert holder_of(tmp_path, None, "c/other") is None
    assert holder_of(tmp_path, None, NAME) is None
    with driving(tmp_path, None, ["c/other", NAME]):
        pass


def test_stores_that_share_an_sqlite_database_share_its_locks(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/optuna.db"
    with driving(tmp_path / "one", url, [NAME]):
        with pytest.raises(StorageError, match=ME), driving(tmp_path / "two", url, [NAME]):
            pass
        assert holder_of(tmp_path / "two", url, NAME) is not None
        with driving(tmp_path / "two", url, ["c/other"]), driving(tmp_path / "three", "sqlite://", [NAME]):
            pass
    assert holder_of(tmp_path / "two", url, NAME) is None


def test_a_holder_that_has_not_yet_said_who_it_is_refuses_all_the_same(tmp_path: Path) -> None:
    with driving(tmp_path, None, [NAME]):
        [described] = tmp_path.rglob("driver.json")
        described.write_text(json.dumps({"host": "torn"}))
        with pytest.raises(StorageError, match="is being run by another process"), driving(tmp_path, None, [NAME]):
            pass
        assert holder_of(tmp_path, None, NAME) == Holder()


@pytest.mark.parametrize(
    ("url", "came"),
    [("mysql://ada:secret@db/winnow", "an address of mysql"), ("ada:secret", "no address of a database")],
)
def test_a_storage_that_cannot_be_locked_is_refused_before_anything_starts(
    small_spec: Callable[..., StudySpec], tmp_path: Path, url: str, came: str
) -> None:
    with pytest.raises(
        SpecError, match=f"storage must be sqlite:///FILE or postgresql://.*, but got {came}"
    ) as refused:
        run_study(small_spec(store={"storage": url}))
    assert "secret" not in str(refused.value)
    assert not (tmp_path / "store").exists()
    check_storage_url(None)
