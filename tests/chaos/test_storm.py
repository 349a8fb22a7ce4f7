"""The short version of `make chaos`: one campaign under faults, and one driver killed again and again."""

from __future__ import annotations

from pathlib import Path

from chaos import NETWORK, SAMPLES, driver_row, in_mlflow, refitted
from invariants import tables, violations
from mlflow_server import MlflowServer
from stage import DriverProcess, machines, write_clips
from storm import SETTINGS, Fault, Storm, faults_of

TRIALS = 8


def test_a_campaign_under_faults_ends_as_the_undisturbed_one_and_loses_nothing(tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips", 2, SAMPLES, 1)
    words = [*map(str, clips), "--name", "storm", "--trials", str(TRIALS), "--confirm", "1", "--seed", "1"]
    words += ["--deterministic", *NETWORK]
    calm = DriverProcess([*words, "--workers", "0", "--tracking-uri", "nowhere://"], tmp_path / "calm")
    calm.start()
    with machines(2) as cluster, MlflowServer(tmp_path / "mlflow") as tracking:
        store = tmp_path / "stormy"
        more = ["--workers", "2", "--address", cluster.address, "--tracking-uri", tracking.uri, *SETTINGS]
        calm.join()
        storm = Storm(cluster, tracking, faults_of(8), 1, pause_seconds=1.5)
        damage = storm.rage(DriverProcess([*words, *more], store, cluster.environment), store, 8)
        assert damage.faults[Fault.WORKER]
        assert damage.faults[Fault.DRIVER]
        assert list(violations(store, TRIALS)) == []
        assert in_mlflow(store, tracking, "storm") == []
    undisturbed = {table.name: table for table in tables(tmp_path / "calm")}
    for table in tables(store):
        assert table.without_times() == undisturbed[table.name].without_times()
        assert table.found == undisturbed[table.name].found
    assert refitted(table, clips[1]) == []


def test_a_driver_that_is_killed_five_times_ends_with_its_trials_and_their_best(tmp_path: Path) -> None:
    row = driver_row(tmp_path, kills=5, trials=16, seed=0)
    assert row.holds, row
