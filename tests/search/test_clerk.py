"""The thread that draws and writes for the loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest

import search.clerk
from search.clerk import Clerk


def settle(clerk: Clerk[int]) -> None:
    deadline = time.monotonic() + 10
    while not clerk.is_idle and time.monotonic() < deadline:
        clerk.wait(0.01)


def test_what_is_drawn_after_a_job_knows_of_it_whatever_the_timing() -> None:
    written: list[int] = []
    drawn = []
    with Clerk(lambda: len(written), nullcontext) as clerk:
        clerk.order(2)
        for number in range(5):
            clerk.do([lambda number=number: (time.sleep(0.001), written.append(number))])  # type: ignore[misc]
            clerk.order(1)
        settle(clerk)
        drawn = clerk.take()
    assert drawn == [0, 0, 1, 2, 3, 4, 5]


def test_an_order_that_cannot_be_met_is_met_after_the_job_that_makes_it_possible() -> None:
    source: list[int] = []
    with Clerk(lambda: source.pop() if source else None, nullcontext) as clerk:
        clerk.order(2)
        settle(clerk)
        assert clerk.take() == []
        clerk.do([lambda: source.append(7)])
        settle(clerk)
        assert clerk.take() == [7]


def test_an_exception_surfaces_in_the_loop_and_nothing_is_done_after_it() -> None:
    done: list[str] = []

    def fail() -> None:
        raise OSError("no space left")

    def loop() -> None:
        with Clerk(lambda: None, nullcontext) as clerk:
            clerk.do([lambda: done.append("before"), fail, lambda: done.append("after")])
            settle(clerk)

    with pytest.raises(OSError, match="no space left"):
        loop()
    assert done == ["before"]


def test_after_a_failure_nothing_that_is_given_later_is_done_and_the_first_failure_stays() -> None:
    done: list[str] = []

    def fail(words: str) -> None:
        raise OSError(words)

    def loop() -> None:
        with Clerk(lambda: None, nullcontext) as clerk:
            clerk.do([lambda: fail("the first")])
            clerk.wait(5.0)
            clerk.do([lambda: done.append("after"), lambda: fail("another")])
            clerk.wait(5.0)
            settle(clerk)

    with pytest.raises(OSError, match="the first"):
        loop()
    assert done == []


def test_what_is_written_goes_to_disk_though_more_is_to_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search.clerk, "GROUP_SECONDS", 0.02)
    groups: list[int] = []

    @contextmanager
    def writing() -> Iterator[None]:
        groups.append(0)
        yield

    def write() -> None:
        groups[-1] += 1
        time.sleep(0.005)

    with Clerk(lambda: None, writing) as clerk:
        clerk.do([write] * 40)
    assert sum(groups) == 40
    assert len(groups) > 3


def test_what_was_given_is_done_before_it_ends_and_nothing_more_is_drawn() -> None:
    done: list[int] = []
    begun = threading.Event()

    def slow() -> None:
        begun.set()
        time.sleep(0.05)

    with Clerk(lambda: 1, nullcontext) as clerk:
        clerk.do([slow, lambda: done.append(1)])
        begun.wait(10)
        clerk.order(5)
    assert done == [1]
    assert clerk.take() == []
