"""deploy/README.md and the Slurm script, executed as they stand."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from manifests import DEPLOY, documents
from sandbox import Sandbox, can_isolate

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not can_isolate(), reason="needs Linux namespaces"),
]

README = (DEPLOY / "README.md").read_text(encoding="utf-8")
SCRIPT = DEPLOY / "slurm" / "winnow.sbatch"


def commands(title: str) -> str:
    """The blocks of a section as one script."""
    [section] = re.findall(rf"^## {title}\n(.*?)(?=^## )", README, re.M | re.S)
    return "\n".join(re.findall(r"^```\n(.*?)^```", section, re.M | re.S))


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as machine:
        yield machine


def status_of(machine: Sandbox, options: str = "") -> list[dict[str, object]]:
    machine.start(f"winnow status {options} --json > status.json")
    assert machine.wait(300) == 0
    return list(json.loads((machine.home / "status.json").read_text())["studies"])


def wait_for(is_true: Callable[[], bool], machine: Sandbox, seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert machine.is_running(), machine.log.read_text()
        assert time.monotonic() < deadline, machine.log.read_text()
        time.sleep(0.2)


def test_this_machine(sandbox: Sandbox) -> None:
    sandbox.start("set -euo pipefail\n" + commands("This machine"))
    assert sandbox.wait(900) == 0, sandbox.log.read_text()
    [study] = status_of(sandbox)
    assert str(study["study"]).startswith("first/bright-")
    assert sum(study["trials"].values()) == 6
    assert list((sandbox.home / "winnow-store").rglob("report*.html"))


def test_a_ray_cluster_that_runs(sandbox: Sandbox) -> None:
    script = commands("A Ray cluster that runs")
    assert "ray stop" in script
    sandbox.start("set -euo pipefail\n" + script)
    assert sandbox.wait(900) == 0, sandbox.log.read_text()
    names = {str(study["study"]).partition("/")[0] for study in status_of(sandbox)}
    assert names == {"second", "third"}
    assert re.search("Stopped all [0-9]+ Ray processes", sandbox.log.read_text())


@pytest.fixture
def scheduler(tmp_path: Path) -> Path:
    """Slurm's programs as far as the script uses them, for an allocation of this machine alone."""
    programs = {
        "srun": 'while [ "$1" != ray ]; do shift; done\nexec "$@"',
        "scontrol": 'echo "$@" >> "$HOME/scontrol.log"',
        "hostname": '[ "$1" = -I ] && echo "127.0.0.1 "',
    }
    for name, text in programs.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/bash\n{text}\n")
        program.chmod(0o755)
    return tmp_path


def check_that_it_continues(
    machine: Sandbox, start: Callable[[], None], store: Path, *, trials: int, interrupt: Callable[[], None]
) -> None:
    """Switch the machine off in the middle of a study and do the same again: the study ends, and lost nothing."""
    journal = store / "journal.log"

    def num_ended() -> int:
        return journal.read_text().count('"outcome"') if journal.exists() else 0

    start()
    wait_for(lambda: num_ended() >= 2, machine)
    interrupt()
    machine.kill()
    kept, before = journal.read_bytes(), num_ended()
    start()
    assert machine.wait(900) == 0, machine.log.read_text()
    whole = b"".join(line for line in kept.splitlines(keepends=True) if line.endswith(b"\n"))
    assert journal.read_bytes().startswith(whole), "what was known is not asked again"
    assert num_ended() > before
    [study] = status_of(machine, f"--store {store}")
    assert sum(study["trials"].values()) == trials


def test_a_slurm_job_that_comes_to_its_limit_is_requeued_and_continues(sandbox: Sandbox, scheduler: Path) -> None:
    search = "synthetic:bright --name job --samples 512 --width 16 --steps 400 --trials 12 --confirm 2"
    store, asked = sandbox.home / "store", sandbox.home / "scontrol.log"
    job = {
        "SLURM_JOB_ID": "4711",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_CPUS_PER_TASK": "2",
        "WINNOW_ENVIRONMENT": str(Path(sys.executable).parents[1]),
        "WINNOW_STORE": str(store),
    }

    def come_to_the_limit() -> None:
        sandbox.send(signal.SIGUSR1)
        wait_for(asked.exists, sandbox)
        assert asked.read_text() == "requeue 4711\n"
        assert sandbox.is_running(), "the study goes on until Slurm ends it"

    def start() -> None:
        sandbox.start(f"exec bash {SCRIPT} {search}", path=scheduler, **job)

    check_that_it_continues(sandbox, start, store, trials=12, interrupt=come_to_the_limit)


def test_a_ray_job_that_is_tried_again_on_a_new_cluster_continues(sandbox: Sandbox) -> None:
    [job] = documents(DEPLOY / "kuberay" / "rayjob.yaml")
    state = sandbox.home / "state"
    (state / "signals").mkdir(parents=True)
    soundfile.write(state / "signals" / "clip.wav", np.sin(np.arange(512) / 3), 16000)
    # Its own command, with a smaller search (of an option given twice, the last counts) and logical GPUs.
    search = job["spec"]["entrypoint"].replace("/state/", f"{state}/")
    search += " --workers 2 --samples 512 --width 16 --steps 400 --trials 12 --confirm 2"
    cluster = "ray start --head --num-cpus 2 --num-gpus 2 --port 6379 --disable-usage-stats"
    submit = f"ray job submit --address http://127.0.0.1:8265 -- {search}"  # as KubeRay's submitter does

    def start() -> None:
        script = f"set -euo pipefail\n{cluster}\n{submit}"
        sandbox.start(script, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0123456789abcdef" * 4)

    check_that_it_continues(sandbox, start, state / "winnow-store", trials=12, interrupt=lambda: None)


def test_a_slurm_job_without_a_ray_fails(sandbox: Sandbox, scheduler: Path) -> None:
    (scheduler / "srun").write_text("#!/bin/bash\nexit 0\n")  # as symmetric-run ends where `ray start` fails
    job = {"SLURM_JOB_ID": "1", "SLURM_JOB_NUM_NODES": "1", "SLURM_CPUS_PER_TASK": "1"}
    job["WINNOW_ENVIRONMENT"] = str(Path(sys.executable).parents[1])
    sandbox.start(f"exec bash {SCRIPT} synthetic:bright --name job", path=scheduler, **job)
    assert sandbox.wait(60) == 1
    assert "the study did not run" in sandbox.log.read_text()
