"""Transfer: found points are carried over exactly, and judged on paired seeds at the larger size."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from search.config import StudySpec
from search.errors import UsageError
from search.status import find_studies
from search.transfers import Transfer, transfer
from spaces.noise import NoiseScales, noise_bandwidth

Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> StudySpec:
    return StudySpec.model_validate(
        {
            "name": "longer",
            "signals": ("synthetic:bright", "synthetic:mix-8"),
            "signal": {"samples": 128},
            "network": {"width": 16, "depth": 2},
            "fit": {"steps": 15},
            "search": {"trials": 6, "confirm": 3, "pruner": "none"},
            "workers": {"workers": 0},
            "store": {"store": tmp_path_factory.mktemp("longer") / "store"},
        }
    )


@pytest.fixture(scope="module")
def judged(spec: StudySpec) -> Transfer:
    return transfer(spec, times=4)


def test_points_are_carried_over_in_both_units(spec: StudySpec, judged: Transfer) -> None:
    here = {study.facts("signal"): study for study in find_studies(spec.store.store, None, "longer-from-n128-w16")}
    for there in find_studies(spec.store.store, None, "longer-to-n512-w16"):
        source = here[there.facts("signal")]
        found = next(record for record in source.trials() if record.number == source.facts("found")).point
        carried = {
            record.label.split("-")[1]: record.point
            for record in there.references()
            if record.label.startswith("carried-")
        }
        assert carried["absolute"] == pytest.approx(found)
        shares = [
            noise_bandwidth(NoiseScales(float(point["s0"]), float(point["s1"])), 16)
            / study.facts("spectrum")["nyquist_rad"]
            for point, study in ((found, source), (carried["relative"], there))
        ]
        assert shares[0] == pytest.approx(shares[1])
        assert {record.steps for record in there.trials()} == {60}


def test_relative_minus_absolute_is_paired_over_the_same_seeds(spec: StudySpec, judged: Transfer) -> None:
    means = []
    for study in find_studies(spec.store.store, None, "longer-to-n512-w16"):
        by_way = {
            way: [
                record.psnr_db
                for record in study.confirmations()
                if record.label.startswith(f"carried-{way}") and record.purpose == "confirm"
            ]
            for way in ("relative", "absolute")
        }
        means.append(np.mean(np.subtract(by_way["relative"], by_way["absolute"])))
    assert judged["relative_minus_absolute_db"] == pytest.approx(np.mean(means))
    regrets = [judged["carried"][way]["mean_regret_db"] for way in ("absolute", "relative")]
    assert regrets[0] - regrets[1] == pytest.approx(judged["relative_minus_absolute_db"])
    contrasts = {(each["better"], each["than"]): each["mean_db"] for each in judged["there"]["contrasts"]}
    [(better, difference)] = [(pair[0], db) for pair, db in contrasts.items() if set(pair) == {"relative", "absolute"}]
    sign = 1 if better == "relative" else -1
    assert sign * difference == pytest.approx(judged["relative_minus_absolute_db"])


def test_again_it_says_the_same_as_document_frame_and_picture(
    spec: StudySpec, judged: Transfer, tmp_path: Path
) -> None:
    assert json.loads(json.dumps(transfer(spec, times=4))) == judged
    assert len(judged.to_frame()) == 4
    judged.plot().savefig(tmp_path / "transfer.png")
    assert (tmp_path / "transfer.png").stat().st_size > 10_000


def test_the_command_prints_the_line_and_the_table(spec: StudySpec, judged: Transfer, shell: Shell) -> None:
    words = ["--name", "longer", "--samples", "128", "--width", "16", "--depth", "2", "--steps", "15", "--trials", "6"]
    words += ["--seeds", "3", "--workers", "0", "--store", str(spec.store.store)]
    code, out, err = shell("transfer", *spec.signals, *words)
    assert code == 0, err
    assert "found at 128 samples and 15 steps, carried to 512 and 60: relative units minus absolute ones" in out
    for name in ("relative", "absolute", "winner"):
        assert name in out


def test_what_cannot_be_transferred_is_one_line(spec: StudySpec, shell: Shell) -> None:
    for words, rule in {
        ("synthetic:bright", "--name", "x"): "samples and signals must be given",
        ("synthetic:bright", "--name", "x", "--samples", "16384"): "samples",
        ("synthetic:bright", "--name", "x", "--samples", "64", "--times", "1"): "1 is not in the range",
        ("synthetic:bright", "--name", "../x", "--samples", "64"): "a name must begin with",
    }.items():
        code, out, err = shell("transfer", *words)
        assert (code, out) == (2, ""), err
        assert rule in err
    with pytest.raises(UsageError, match="in space siren2, but got space=wire"):
        transfer(spec.model_copy(update={"search": spec.search.model_copy(update={"space": "wire"})}))
