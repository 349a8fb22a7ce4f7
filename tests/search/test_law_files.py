"""Laws in files: what is written is read again, and what is no law is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.config import StudySpec
from search.errors import InputError, StudyError
from search.law_files import read_law, write_law
from search.plan import plan_studies
from search.point import fit_point, predict
from search.run import run_study
from search.status import find_studies
from spaces.calibrated import CalibratedLaw, Domain, Formula
from spaces.laws import LAWS, LawError, register_law
from trainers.signals import Crop

LAW = CalibratedLaw(
    name="from-file",
    source="a test",
    bandwidth=Formula(factor=0.5, powers={"psi": 1.0, "samples": -0.1}, high=1.0),
    s1=Formula(factor=0.25),
    lr=Formula(factor=1e-3),
    domain=Domain(
        kinds=("audio",), samples=(64, 20_000), width=(8, 256), steps=(5, 1_000), depth=(2, 4), load=(0.1, 4.0)
    ),
    facts={"corpus": {"signals": 3}, "mean_regret_db": 1.5},
    is_variant=True,
)

Shell = Callable[..., tuple[int, str, str]]
SpecOf = Callable[..., StudySpec]


@pytest.fixture
def law_file(tmp_path: Path) -> Path:
    write_law(tmp_path / "law.json", LAW)
    return tmp_path / "law.json"


def test_what_is_written_is_read_again(law_file: Path) -> None:
    assert read_law(law_file) == LAW
    for_held_out = replace(LAW, objective="holdout")
    write_law(law_file, for_held_out)
    assert read_law(law_file) == for_held_out
    assert json.loads(law_file.read_text())["formulas"][0] == "B / Nyquist = 0.5 psi^1 samples^-0.1, at most 1"


def test_a_file_that_says_nothing_of_depth_and_load_is_read_too(law_file: Path) -> None:
    document = json.loads(law_file.read_text())
    for key in ("depth", "load"):
        del document["law"]["domain"][key]
    law_file.write_text(json.dumps(document))
    assert read_law(law_file) == replace(LAW, domain=replace(LAW.domain, depth=None, load=None))


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "another format": (lambda d: d.update(format=2), "format: input should be 1, but got 2"),
    "unknown key": (lambda d: d["law"].update(nam="x"), "law.nam: unexpected keyword argument, but got 'x'"),
    "no name": (lambda d: d["law"].pop("name"), "law.name: field required"),
    "a name that leaves": (lambda d: d["law"].update(name="../x"), "a law's name must begin with"),
    "a name that is an object": (lambda d: d["law"].update(name={}), "law.name: input should be a valid string"),
    "a factor that is a text": (lambda d: d["law"]["s1"].update(factor="1"), "law.s1.factor: input should be a valid"),
    "a factor that is true": (lambda d: d["law"]["s1"].update(factor=True), "law.s1.factor: input should be a valid"),
    "a factor that is no number": (
        lambda d: d["law"]["s1"].update(factor=float("nan")),
        "law.s1.factor: input should be a finite number",
    ),
    "a negative factor": (lambda d: d["law"]["s1"].update(factor=-1), "`0 <= factor`"),
    "an unknown feature": (lambda d: d["law"]["s1"].update(powers={"__class__": 1.0}), "unknown feature '__class__'"),
    "a domain of one end": (lambda d: d["law"]["domain"].update(width=[5]), "law.domain.width.1: field required"),
    "another space": (lambda d: d["law"].update(space="wire"), "law.space: input should be 'siren2'"),
    "another objective": (lambda d: d["law"].update(objective="speed"), "law.objective: input should be"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_is_no_law_is_refused_in_one_line(name: str, law_file: Path, shell: Shell) -> None:
    change, rule = CHANGES[name]
    document = json.loads(law_file.read_text())
    change(document)
    law_file.write_text(json.dumps(document))
    code, out, err = shell("predict", "synthetic:bright", "--samples", "256", "--heuristic", str(law_file))
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {law_file}: ")
    assert rule in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "invalid JSON"),
        (b"[" * 100_000, "invalid JSON: recursion limit exceeded"),
        (b"[]", "a law: input should be"),
        (b" " * (1 << 20) + b"{}", "a law must be of at most 1048576 bytes"),
    ],
    ids=["empty", "deep", "a list", "long"],
)
def test_bytes_that_are_no_law_are_refused(content: bytes, rule: str, tmp_path: Path) -> None:
    path = tmp_path / "law.json"
    path.write_bytes(content)
    with pytest.raises(LawError, match=rule):
        read_law(path)


def test_a_missing_file_and_a_folder_are_said(tmp_path: Path) -> None:
    with pytest.raises(LawError, match="no such file"):
        read_law(tmp_path / "none.json")
    with pytest.raises(LawError, match="a law must be a regular file"):
        read_law(tmp_path)


def test_predict_and_fit_know_a_law_from_a_file_and_refuse_it_outside_its_domain(law_file: Path, shell: Shell) -> None:
    signal = ["synthetic:bright", "--samples", "256", "--width", "8", "--depth", "2", "--steps", "5"]
    code, out, _ = shell("predict", *signal, "--heuristic", str(law_file), "--json")
    [entry] = json.loads(out)["signals"]
    assert code == 0
    assert set(entry["predictions"]["from-file"]) == {"s0", "s1", "lr"}
    code, out, _ = shell("fit", *signal, "--heuristic", str(law_file), "--json")
    assert code == 0
    assert json.loads(out)["params"] == pytest.approx(entry["predictions"]["from-file"])
    deep = ["--depth", "6", "--heuristic", str(law_file)]
    assert shell("predict", *signal, *deep)[2] == "error: from-file is for 2 to 4 depth, but got depth=6\n"
    assert shell("fit", *signal, *deep)[2] == "error: from-file is for 2 to 4 depth, but got depth=6\n"
    code, _, err = shell("predict", *signal[:-1], "2000", "--heuristic", str(law_file))
    assert code == 2
    assert err == "error: from-file is for 5 to 1000 steps, but got steps=2000\n"
    code, _, _ = shell("predict", *signal[:-1], "2000", "--heuristic", str(law_file), "--beyond-domain")
    assert code == 0


def test_a_calibrated_law_that_says_nothing_says_why_and_speaks_where_it_is_told_to(shell: Shell) -> None:
    register_law(LAW.name, replace(LAW, is_variant=False))
    signal = ["synthetic:bright", "--samples", "256", "--width", "8", "--steps", "2000"]
    code, out, _ = shell("predict", *signal)
    assert code == 0
    assert "\n  (from-file is for 5 to 1000 steps, but got steps=2000)\n" in out
    [entry] = json.loads(shell("predict", *signal, "--json")[1])["signals"]
    assert LAW.name not in entry["predictions"]
    assert entry["silent"][LAW.name] == "from-file is for 5 to 1000 steps, but got steps=2000"
    code, out, _ = shell("predict", *signal, "--heuristic", LAW.name, "--beyond-domain", "--json")
    [entry] = json.loads(out)["signals"]
    assert set(entry["predictions"]) == {LAW.name}
    assert entry["silent"] == {}


def test_a_law_that_spoke_beyond_its_domain_is_silent_again_after_the_call(small_spec: SpecOf) -> None:
    before, named = dict(LAWS), ("calibrated",)
    for call in (
        lambda: predict(["synthetic:tone"], heuristics=named, width=8, beyond_domain=True),
        lambda: fit_point("synthetic:tone", {}, heuristic=named[0], width=8, depth=2, steps=1, beyond_domain=True),
        lambda: plan_studies(small_spec(search={"heuristic": named, "beyond_domain": True})),
    ):
        call()
        [entry] = predict(["synthetic:tone"], width=8)["signals"]
        assert entry["silent"]["calibrated"].startswith("calibrated is for 512 to 16384 samples")
        assert before == LAWS


def test_a_law_from_a_file_is_known_by_its_name_while_its_call_lasts(law_file: Path) -> None:
    [entry] = predict(["synthetic:tone"], heuristics=[str(law_file)], crop=Crop(samples=256), width=8)["signals"]
    assert set(entry["predictions"]) == {"from-file"}
    with pytest.raises(LawError, match="unknown heuristic 'from-file'"):
        predict(["synthetic:tone"], heuristics=["from-file"], crop=Crop(samples=256), width=8)


def test_a_law_that_is_called_as_another_is_refused(tmp_path: Path, shell: Shell) -> None:
    write_law(tmp_path / "winner.json", replace(LAW, name="winner"))
    code, _, err = shell("predict", "synthetic:bright", "--heuristic", str(tmp_path / "winner.json"))
    assert code == 2
    assert "another heuristic is called 'winner'" in err


def test_a_law_joins_a_study_that_has_ended_without_changing_what_it_found(small_spec: SpecOf, law_file: Path) -> None:
    before = run_study(small_spec())["studies"][0]
    [study] = find_studies(small_spec().store.store, None, before["study"])
    trials = study.trials()
    after = run_study(small_spec(search={"heuristic": ("laws", str(law_file))}))["studies"][0]
    assert after["best"] == before["best"]
    assert study.trials() == trials
    assert set(after["references"]) == {*before["references"], "from-file"}
    assert after["references"]["from-file"]["regret_db"] is not None
    others = {name: entry for name, entry in after["references"].items() if name != "from-file"}
    assert others == before["references"]


def test_a_study_refuses_a_law_of_another_objective_and_of_another_load(small_spec: SpecOf, tmp_path: Path) -> None:
    path = tmp_path / "fitted.json"
    write_law(path, replace(LAW, domain=replace(LAW.domain, load=(6.0, 7.0))))
    search = {"heuristic": (str(path),), "objective": "holdout"}
    with pytest.raises(InputError, match="from-file is for objective fit, but got objective=holdout"):
        plan_studies(small_spec(search=search))
    with pytest.raises(InputError, match=r"from-file is for 6 to 7 load, but got load=1\.406"):
        plan_studies(small_spec(search={**search, "objective": "both"}))
    assert plan_studies(small_spec(search={**search, "beyond_domain": True}))


def test_another_law_under_the_name_of_one_that_was_fitted_is_refused(small_spec: SpecOf, law_file: Path) -> None:
    spec = small_spec(search={"heuristic": (str(law_file),)})
    run_study(spec)
    write_law(law_file, replace(LAW, s1=Formula(factor=0.5)))
    with pytest.raises(StudyError, match=r"from-file of study .* must be the law that was fitted, at .*s1=0.25"):
        run_study(spec)
