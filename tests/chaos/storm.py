"""A campaign under faults at random, seeded moments: what was done to it, and what it cost."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from invariants import Table
from mlflow_server import MlflowServer
from stage import DriverProcess, Machines

from search.storage import open_storage
from search.trial import Loss


class Fault(StrEnum):
    """What is done."""

    WORKER = "worker killed"
    HANG = "worker frozen"
    NODE = "node gone, another joins"
    DRIVER = "driver killed"
    SERVER = "MLflow server killed, back later"
    FREEZE = "MLflow server frozen for seconds"


TEN = (
    Fault.WORKER,
    Fault.DRIVER,
    Fault.NODE,
    Fault.WORKER,
    Fault.HANG,
    Fault.FREEZE,
    Fault.WORKER,
    Fault.SERVER,
    Fault.WORKER,
    Fault.WORKER,
)
"""What is quick to come back from comes more often."""


def faults_of(num: int) -> list[Fault]:
    """So many, all kinds as early as can be."""
    return list(itertools.islice(itertools.cycle(TEN), num))


LEASE_SECONDS = 3.0
CHECKPOINT_SECONDS = 0.3
SETTINGS = ["--lease", f"{LEASE_SECONDS:g}", "--checkpoint-seconds", f"{CHECKPOINT_SECONDS:g}"]

STALL_SECONDS = 90.0
"""Without a write for so long, a campaign is stuck."""

AWAY_SECONDS = 4.0
"""For which a killed server is away, and a frozen one silent."""


@dataclass(kw_only=True)
class Damage:
    """What was done to a campaign.

    Attributes:
        faults: how often each kind struck.
        driver_lost_seconds: work that died with drivers: since the states of what ran then were last kept.
        seconds: from the first session's start to the last one's end.
    """

    faults: Counter[Fault] = field(default_factory=Counter)
    driver_lost_seconds: float = 0.0
    seconds: float = 0.0


class StormError(AssertionError):
    """A session ended as none should."""


class Storm:
    """Faults on one campaign after the other.

    Args:
        machines, server: on which they run; a campaign begins and ends with all of it up.
        faults: what is to strike, in all; the seed shuffles them.
        seed: of the order, of whom they strike, and of the pauses.
        pause_seconds: between two faults, in the mean.
    """

    def __init__(
        self,
        machines: Machines,
        server: MlflowServer,
        faults: Sequence[Fault],
        seed: int,
        pause_seconds: float,
    ) -> None:
        self._machines = machines
        self._server = server
        self._random = random.Random(seed)
        self._left = list(faults)
        self._random.shuffle(self._left)
        self._pause = pause_seconds
        self._is_away: Fault | None = None
        self._back_at = math.inf

    @property
    def num_left(self) -> int:
        """Faults that have not struck yet."""
        return len(self._left)

    def rage(self, driver: DriverProcess, store: Path, num_faults: int) -> Damage:
        """Run a campaign to its end; so many faults strike it on the way, fewer if it ends before.

        Raises:
            StormError: a session ended by itself with an error.
        """
        damage = Damage()
        began = time.monotonic()
        driver.start()
        next_fault = began + self._random.expovariate(1.0 / self._pause)
        while (code := driver.exit_code) is None:
            if time.monotonic() >= self._back_at:
                self._bring_back(wait=False)
            if time.monotonic() >= next_fault and damage.faults.total() < num_faults:
                kinds = dict.fromkeys(self._left)
                fault = next((fault for fault in kinds if self._strike(fault, driver, store, damage)), None)
                if fault is not None:
                    self._left.remove(fault)
                    damage.faults[fault] += 1
                    next_fault = time.monotonic() + self._random.expovariate(1.0 / self._pause)
                    print(f"{time.strftime('%X')} {fault.value}", file=sys.stderr, flush=True)  # noqa: T201
            if time.time() - newest_write(store) > STALL_SECONDS:
                raise StormError(f"nothing was written for {STALL_SECONDS:g} s:\n{driver.log()}")
            time.sleep(0.02)
        damage.seconds = time.monotonic() - began
        self._bring_back(wait=True)
        if code:
            raise StormError(f"a session ended with exit code {code}:\n{driver.log()}")
        return damage

    def _strike(self, fault: Fault, driver: DriverProcess, store: Path, damage: Damage) -> bool:
        """Whether it found something to strike."""
        if fault in (Fault.WORKER, Fault.HANG):
            # One that hangs before its first answer is Ray's to notice.
            actors = self._machines.actors(placed=fault is Fault.HANG)
            if actors:
                os.kill(self._random.choice(actors), signal.SIGKILL if fault is Fault.WORKER else signal.SIGSTOP)
            return bool(actors)
        if fault is Fault.NODE:
            self._machines.remove_node(self._random.randrange(self._machines.num_nodes))
            self._machines.add_node()
            return True
        if fault is Fault.DRIVER:
            if max(kept_at(store), default=0.0) < driver.started:
                return False  # it has not begun, or is at its pictures
            driver.kill()
            damage.driver_lost_seconds += sum(time.time() - kept for kept in kept_at(store))
            driver.start()
            return True
        if self._is_away is not None:
            return False
        self._server.kill() if fault is Fault.SERVER else self._server.hang()
        self._is_away, self._back_at = fault, time.monotonic() + AWAY_SECONDS
        return True

    def _bring_back(self, *, wait: bool) -> None:
        """The MLflow server."""
        if self._is_away is Fault.SERVER:
            self._server.start(wait=wait)
        elif self._is_away is Fault.FREEZE:
            self._server.wake()
        if wait:
            self._server.wait()
        self._is_away, self._back_at = None, math.inf


def newest_write(store: Path) -> float:
    """When a driver wrote last; now, where it has not begun."""
    journal = store / "journal.log"
    return max([journal.stat().st_mtime, *kept_at(store)]) if journal.exists() else time.time()


def kept_at(store: Path) -> list[float]:
    """When the state of each trial that is on its way was last kept (the epoch's seconds), as far as files tell."""
    found = []
    for path in (store / "studies").rglob("checkpoints/*.safetensors"):
        with contextlib.suppress(FileNotFoundError):  # its trial has ended meanwhile
            found.append(path.stat().st_mtime)
    return found


def repeated_seconds(store: Path, damage: Damage) -> float:
    """Work that was done again: what lost tries had done since their state was kept, and what died with drivers."""
    storage = open_storage(store, None, to_write=False)
    lost = damage.driver_lost_seconds
    for study in storage.get_all_studies():
        for trial in storage.get_all_trials(study._study_id, deepcopy=False):
            lost += sum(map(_worked_seconds, trial.user_attrs.get("outcome", {}).get("attempts", [])))
    return lost


def _worked_seconds(attempt: Mapping[str, Any]) -> float:
    """Of a lost try since its state was kept: a frozen worker does nothing until its lease ends."""
    idle = LEASE_SECONDS if attempt["loss"] == Loss.HUNG else 0.0
    return float(attempt["lost_seconds"] or idle) - idle


def done_seconds(found: list[Table]) -> float:
    """Work that counts."""
    return sum(table.fit_seconds for table in found)
