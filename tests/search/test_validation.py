"""Validation: regret and rank correlation over signals, of which the intervals cover what they say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from mlflow import MlflowClient
from mlflow_server import free_port
from rich.table import Table

from search.config import StoreSettings, StudySpec
from search.connection import connect, default_tracking_uri
from search.corpus import Size, campaigns_of, settings_of, validate
from search.display import Display
from search.errors import StudyError, UsageError
from search.report import write_report
from search.stats import mean_interval, paired_difference
from search.status import find_studies
from search.study_runs import open_experiment
from search.trial import State
from search.validation import Validation, judge, judge_contrasts, judge_heuristic, trained_values
from search.validation_table import behind_leader, to_parts
from search.verdict import keep
from spaces.scores import SCORES, score_named
from trainers.signals import Signal
from trainers.tasks import TaskConfig, build_task

Shell = Callable[..., tuple[int, str, str]]

SIGNALS = ("synthetic:bright", "synthetic:mix-3", "synthetic:mix-8")
SCORED = ("fresh", "rankme")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> StudySpec:
    return StudySpec.model_validate(
        {
            "name": "judged",
            "signals": SIGNALS,
            "network": {"width": 16, "depth": 2},
            "fit": {"steps": 30},
            "search": {"trials": 8, "confirm": 3, "pruner": "none", "heuristic": ("laws", "fresh")},
            "workers": {"workers": 0},
            "store": {"store": tmp_path_factory.mktemp("judged") / "store"},
        }
    )


@pytest.fixture(scope="module")
def judged(spec: StudySpec) -> Validation:
    return validate(spec, samples=(256, 512), scores=SCORED)


def test_every_size_is_judged_apart(judged: Validation) -> None:
    assert [(s["samples"], s["width"], s["signals"], s["seeds"]) for s in judged["settings"]] == [
        (256, 16, 3, 3),
        (512, 16, 3, 3),
    ]
    assert [(s["trained_values"], s["weights"], s["regime"]) for s in judged["settings"]] == [
        (256, 321, "over-parameterised"),
        (512, 321, "matched"),
    ]
    assert "heuristics" not in judged
    for setting in judged["settings"]:
        assert {"winner", "bandwidth", "fresh"} <= set(setting["heuristics"])
        assert set(setting["scores"]) == set(SCORED)
        assert setting["search"]["steps"] >= 8 * 30


def test_regret_is_over_the_seeds_that_both_points_were_confirmed_on(spec: StudySpec, judged: Validation) -> None:
    setting = judged["settings"][0]
    studies = find_studies(spec.store.store, None, "judged-n256-w16")
    assert len(studies) == 3
    means = []
    for study in studies:
        confirmed = [record for record in study.confirmations() if record.purpose == "confirm"]
        found = next(record for record in study.trials() if record.number == study.facts("found"))
        by_label = {
            label: [record.psnr_db for record in confirmed if record.label == label]
            for label in (found.label, "winner")
        }
        mean, interval = paired_difference(by_label[found.label], by_label["winner"])
        entry = setting["heuristics"]["winner"]["per_signal"][study.name]
        assert entry["regret_db"] == pytest.approx(mean)
        assert entry["ci95_db"] == pytest.approx(interval)
        means.append(mean)
    assert setting["heuristics"]["winner"]["mean_regret_db"] == pytest.approx(np.mean(means))


def test_a_contrast_is_over_the_seeds_that_both_heuristics_were_fitted_to(spec: StudySpec, judged: Validation) -> None:
    setting = judged["settings"][0]
    means: dict[str, float] = {}
    for study in find_studies(spec.store.store, None, "judged-n256-w16"):
        winner, fresh = (
            [record.psnr_db for record in study.confirmations() if record.label == label]
            for label in ("winner", "fresh")
        )
        means[study.name] = np.mean(np.subtract(winner, fresh))
    [contrast] = [one for one in setting["contrasts"] if {one["better"], one["than"]} == {"winner", "fresh"}]
    sign = 1 if contrast["better"] == "winner" else -1
    assert contrast["per_signal"] == pytest.approx({study: sign * mean for study, mean in means.items()})
    expected, interval = mean_interval(list(contrast["per_signal"].values()))
    assert (contrast["mean_db"], contrast["ci95_db"]) == (pytest.approx(expected), pytest.approx(interval))
    assert contrast["mean_db"] >= 0
    assert contrast["signals"] == 3
    num = len(setting["heuristics"])
    assert len(setting["contrasts"]) == num * (num - 1) / 2


def planted_values(num_signals: int) -> dict[str, dict[str, dict[int, float]]]:
    """Fits of two laws, of which one is 1.0 dB better give or take 0.1, on seeds that do 10 dB to both."""
    rng = np.random.default_rng(4)
    values = {}
    for number in range(num_signals):
        level, shared = rng.uniform(40, 80), rng.normal(0, 10, 8)
        values[f"planted/{number}"] = {
            name: dict(enumerate(level + gain + shared + rng.normal(0, 0.1, 8)))
            for name, gain in (("worse", 0.0), ("better", 1.0))
        }
    return values


@pytest.mark.parametrize("num_signals", [1, 6])
def test_a_contrast_is_certain_where_the_intervals_of_both_regrets_overlap(num_signals: int) -> None:
    values = planted_values(num_signals)
    found = np.random.default_rng(5).normal(70, 10, (num_signals, 8))
    regrets = {}
    for name in ("worse", "better"):
        entries = {}
        for study, fits in zip(values, found, strict=True):
            mean, interval = paired_difference(list(fits), list(values[study][name].values()))
            entry = {"regret_db": mean, "ci95_db": list(interval or ()), "rate_db": None, "rate_ci95_db": None}
            entries[study] = {**entry, "percentile": None, "seconds": 0.0}
        regrets[name] = judge_heuristic(entries)["ci95_db"]
    assert regrets["better"][1] > regrets["worse"][0] + 5
    [contrast] = judge_contrasts(values)
    assert (contrast["better"], contrast["than"], contrast["signals"]) == ("better", "worse", num_signals)
    assert contrast["mean_db"] == pytest.approx(1.0, abs=0.15)
    low, high = contrast["ci95_db"]
    assert 0.5 < low < contrast["mean_db"] < high < 1.5


def test_heuristics_that_share_no_seed_have_no_contrast() -> None:
    assert judge_contrasts({"one": {"winner": {0: 50.0}}, "other": {"bandwidth": {0: 60.0}}}) == []
    [lone] = judge_contrasts({"one": {"winner": {0: 50.0, 1: 40.0}, "bandwidth": {1: 42.0}}})
    assert (lone["better"], lone["than"], lone["mean_db"], lone["ci95_db"]) == ("bandwidth", "winner", 2.0, None)


def test_the_table_says_by_how_much_each_heuristic_is_worse_than_the_one_of_least_regret() -> None:
    entry = {"ci95_db": None, "wilcoxon_p": None, "rate_db": None, "percentile": None, "seconds": None}
    regrets = {"siren-30": 30.0, "bandwidth": 8.0, "calibrated": 7.0, "rare": 1.0}
    contrasts = [("calibrated", "siren-30", 23.0, [20.0, 26.0]), ("bandwidth", "siren-30", 22.0, [19.0, 25.0]),
                 ("calibrated", "bandwidth", 1.0, [-0.5, 2.5]), ("rare", "calibrated", 4.0, [3.0, 5.0])]  # fmt: skip
    setting = {
        "signals": 3, "seeds": 8, "samples": 4096, "width": 64, "steps": 300, "objective": "fit", "regime": "matched",
        "trained_values": 4096, "weights": 100, "scores": {}, "search": {"fit_seconds": 1.0, "steps": 100},
        "heuristics": {
            name: {**entry, "mean_regret_db": regret, "per_signal": dict.fromkeys(range(1 if name == "rare" else 3))}
            for name, regret in regrets.items()
        },
        "contrasts": [dict(zip(("better", "than", "mean_db", "ci95_db"), each, strict=True)) for each in contrasts],
    }  # fmt: skip
    *_, line, table, _, _ = to_parts({"settings": [setting]})
    assert line == "each against calibrated, which has the least mean regret of them here"
    assert isinstance(table, Table)
    assert list(zip(*(column.cells for column in table.columns), strict=True)) == [
        ("siren-30", "+23.0 [20.0, 26.0]", "yes"),
        ("bandwidth", "+1.0 [-0.5, 2.5]", "no"),
        ("rare", "-4.0 [-5.0, -3.0]", "yes"),
    ]


def test_what_the_rate_alone_explains_is_judged_on_the_same_seeds(spec: StudySpec, judged: Validation) -> None:
    for study in find_studies(spec.store.store, None, "judged-n256-w16"):
        entry = judged["settings"][0]["heuristics"]["winner"]["per_signal"][study.name]
        tuned, untuned = (
            [record.psnr_db for record in study.confirmations() if record.label == label]
            for label in ("winner", "winner, untuned")
        )
        if entry["lr"] == 1e-4:
            assert (entry["rate_db"], untuned) == (0.0, [])
        else:
            assert entry["rate_db"] == pytest.approx(np.mean(np.subtract(tuned, untuned)))
    assert judged["settings"][0]["heuristics"]["bandwidth"]["rate_db"] is None


def test_a_percentile_is_the_share_of_trials_that_a_point_beats_on_their_seed(
    spec: StudySpec, judged: Validation
) -> None:
    for study in find_studies(spec.store.store, None, "judged-n512-w16"):
        trials = [record.psnr_db for record in study.trials() if record.state is State.COMPLETE]
        own = {record.number: record for record in study.references()}[study.facts("references")["fresh"]["number"]]
        entry = judged["settings"][1]["heuristics"]["fresh"]["per_signal"][study.name]
        assert entry["percentile"] == pytest.approx(100 * np.mean([value < own.psnr_db for value in trials]), abs=0.01)


def test_a_score_that_is_the_psnr_itself_correlates_by_one(spec: StudySpec, monkeypatch: pytest.MonkeyPatch) -> None:
    studies = find_studies(spec.store.store, None, "judged-n256-w16")
    for direction, sign in (("higher", 1.0), ("lower", -1.0)):
        monkeypatch.setitem(SCORES, "oracle", score_named("fresh").__class__(
            name="oracle", direction=direction, needs=(), compute=lambda network: 0.0
        ))  # fmt: skip
        monkeypatch.setattr(
            "search.validation.score_trials",
            lambda study, store, trials, names, sign=sign: [[sign * record.psnr_db for record in trials]],
        )
        found = judge(studies, spec.store.store, scores=["oracle"], say=print)["scores"]["oracle"]
        assert [one["spearman"] for one in found["per_signal"].values()] == pytest.approx([1.0] * 3)
        assert found["spearman"] > 0.99


def test_again_nothing_is_fitted_and_the_store_alone_says_the_same(spec: StudySpec, judged: Validation) -> None:
    class Counting(Display):
        fits = 0

        def ended(self, study: str, record: object, score_db: float | None) -> None:
            self.fits += 1

    display = Counting()
    assert validate(spec, samples=(256, 512), scores=SCORED, display=display) == judged
    assert display.fits == 0
    assert campaigns_of(spec, "judged") == ["judged-n256-w16", "judged-n512-w16"]
    assert validate(spec.model_copy(update={"signals": ()}), scores=SCORED) == judged


def test_sizes_come_beside_samples_and_widths_or_in_their_place() -> None:
    spec = StudySpec(name="sized", signals=("synthetic:pink",), fit={"steps": 30})
    sizes = [Size.read("512x16x30"), Size.read("512x32x60")]
    assert [each.name for each in settings_of(spec, (), (), sizes)] == ["sized-n512-w16", "sized-n512-w32-s60"]
    together = settings_of(spec, (256, 512), (16,), sizes)
    assert [each.name for each in together] == ["sized-n256-w16", "sized-n512-w16", "sized-n512-w32-s60"]
    assert [(each.signal.samples, each.network.width, each.fit.steps) for each in together][-1] == (512, 32, 60)


def test_a_size_that_is_none_is_said(shell: Shell) -> None:
    for text, rule in (
        ("4096x64", "a size must be SAMPLESxWIDTHxSTEPS, such as 4096x64x300, but got '4096x64'"),
        ("0x64x300", "a size must be SAMPLESxWIDTHxSTEPS, such as 4096x64x300, but got '0x64x300'"),
        ("4096x9999x300", "`width <= 8192` must hold, but got width=9999"),
    ):
        code, out, err = shell("validate", "synthetic:pink", "--size", text)
        assert (code, out, err) == (2, "", f"error: {rule}\n")


def test_the_result_is_a_document_a_frame_and_a_picture(judged: Validation, tmp_path: Path) -> None:
    assert json.loads(json.dumps(judged)) == judged
    frame = judged.to_frame()
    assert len(frame) == sum(
        len(entry["per_signal"]) for setting in judged["settings"] for entry in setting["heuristics"].values()
    )
    winner = frame[(frame.heuristic == "winner") & (frame.samples == 256)]
    assert winner.regret_db.mean() == pytest.approx(judged["settings"][0]["heuristics"]["winner"]["mean_regret_db"])
    contrasts = judged.to_contrasts_frame()
    assert len(contrasts) == sum(len(setting["contrasts"]) for setting in judged["settings"])
    assert (contrasts.ci95_low_db < contrasts.mean_db).all()
    judged.plot().savefig(tmp_path / "judged.png")
    assert (tmp_path / "judged.png").stat().st_size > 10_000


def test_the_store_and_mlflow_keep_the_verdict_once(spec: StudySpec, judged: Validation) -> None:
    kept = spec.store.store / "verdicts" / "judged-validation.json"
    assert json.loads(kept.read_text()) == judged
    assert kept.with_suffix(".png").stat().st_size > 10_000
    client = MlflowClient(default_tracking_uri(spec.store.store))
    validate(spec, samples=(256, 512), scores=SCORED)
    [run] = client.search_runs([client.get_experiment_by_name("judged").experiment_id])
    assert (run.info.status, run.data.tags["winnow.role"]) == ("FINISHED", "validation")
    for setting in judged["settings"]:
        regret = run.data.metrics[f"n{setting['samples']}-w16/winner/regret_db"]
        assert regret == setting["heuristics"]["winner"]["mean_regret_db"]
    assert "| winner |" in run.data.tags["mlflow.note.content"]
    leader, _ = behind_leader(judged["settings"][0])
    assert f"worse than {leader}, same seeds" in run.data.tags["mlflow.note.content"]
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == {kept.name, kept.with_suffix(".png").name}
    validate(spec, samples=(256, 512), scores=SCORED[:1])
    [other] = client.search_runs([run.info.experiment_id])
    assert other.info.run_id != run.info.run_id


def test_a_verdict_replaces_that_of_its_own_store_alone(judged: Validation, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/shared.db"
    client = connect(uri)
    experiment = open_experiment(client, tmp_path, "judged")
    older = client.create_run(experiment, tags={"winnow.role": "validation"}).info.run_id
    ours, theirs = (StoreSettings(store=tmp_path / name, tracking_uri=uri) for name in ("ours", "theirs"))
    changed = Validation({**judged, "settings": judged["settings"][:1]})
    shown = [{older}]
    for settings, result in ((ours, judged), (theirs, judged), (ours, judged), (ours, changed)):
        keep(result, "judged", "validation", settings, lambda line: None)
        shown.append({run.info.run_id for run in client.search_runs([experiment])})
    assert [len(runs) for runs in shown] == [1, 2, 3, 3, 3]
    [first], [second] = shown[1] - shown[0], shown[2] - shown[1]
    assert {older, second} < shown[4]
    assert first not in shown[4]


def test_heuristics_of_any_name_are_shown(judged: Validation, tmp_path: Path) -> None:
    setting = judged["settings"][0]
    odd = {**setting["heuristics"], "a|b*<i>$": setting["heuristics"]["winner"]}
    result = Validation({**judged, "settings": [{**setting, "heuristics": odd}]})
    said: list[str] = []
    settings = StoreSettings(store=tmp_path / "store")
    keep(result, "odd", "validation", settings, said.append)
    assert [line for line in said if line.startswith("warning")] == []
    client = connect(default_tracking_uri(settings.store))
    experiment = client.get_experiment_by_name("odd")
    assert experiment
    [run] = client.search_runs([experiment.experiment_id])
    assert "| a&#124;b\\*&#60;i&#62;$ |" in run.data.tags["mlflow.note.content"]
    assert run.data.metrics["n256-w16/a_b__i__/regret_db"] == odd["winner"]["mean_regret_db"]


def test_an_mlflow_that_does_not_answer_takes_no_verdict_away(spec: StudySpec, judged: Validation) -> None:
    class Heard(Display):
        def __init__(self) -> None:
            self.lines: list[str] = []

        def say(self, line: str) -> None:
            self.lines.append(line)

    heard = Heard()
    away = spec.store.model_copy(update={"tracking_uri": f"http://127.0.0.1:{free_port()}"})
    elsewhere = spec.model_copy(update={"store": away, "signals": ()})
    assert validate(elsewhere, scores=SCORED, display=heard) == judged
    assert sum("MLflow does not show this validation" in line for line in heard.lines) == 1


def test_the_report_of_a_campaign_has_the_means_over_its_signals(spec: StudySpec, judged: Validation) -> None:
    page = write_report(spec.store.store, None, "judged-n256-w16", None).read_text()
    assert "Over 3 signals" in page
    winner = judged["settings"][0]["heuristics"]["winner"]
    low, high = winner["ci95_db"]
    row = re.search(r'<th scope="row">winner</th>(.*?)</tr>', page[page.index("Over 3 signals") :])
    assert row is not None
    assert f"{winner['mean_regret_db']:+.1f}" in row[1]
    assert f"{low:.1f} to {high:.1f}" in row[1]
    leader, behind = behind_leader(judged["settings"][0])
    assert f"worse than {leader}</th>" in page
    name, (mean, ends) = next(iter(behind.items()))
    row = re.search(rf'<th scope="row">{name}</th>(.*?)</tr>', page[page.index("Over 3 signals") :])
    assert row is not None
    assert ends is not None
    assert f"{mean:+.1f}<br><small>[{ends[0]:.1f}, {ends[1]:.1f}]</small>" in row[1]


def test_one_setting_stands_at_the_top_as_the_contract_says(spec: StudySpec, judged: Validation, shell: Shell) -> None:
    code, out, _ = shell(
        "validate", "--name", "judged-n256-w16", "--store", str(spec.store.store), "--score", "fresh", "--json"
    )
    assert code == 0
    document = json.loads(out)
    winner = document["heuristics"]["winner"]
    assert winner == judged["settings"][0]["heuristics"]["winner"]
    assert {"mean_regret_db", "ci95_db", "seconds", "per_signal"} <= set(winner)
    assert set(document["scores"]) == {"fresh"}
    assert {"spearman", "ci95", "per_signal"} == set(document["scores"]["fresh"])


def test_the_table_says_regret_p_and_what_each_way_costs(spec: StudySpec, judged: Validation, shell: Shell) -> None:
    code, out, _ = shell("validate", "--name", "judged", "--store", str(spec.store.store), "--score", "fresh")
    assert code == 0
    for part in ("3 signals, 256 samples, width 16", "winner", "regret, dB", "beats", "rho", "s of fits a"):
        assert part in " ".join(out.split())
    assert out.count("which has the least mean regret of them here") == 2


def test_what_cannot_be_judged_is_one_line(spec: StudySpec, judged: Validation, shell: Shell, tmp_path: Path) -> None:
    for words, rule in {
        ("--name", "none", "--store", str(spec.store.store)): "there is no study 'none'",
        ("--name", "x", "--store", str(tmp_path / "no")): "there is no store at",
        ("synthetic:bright", "--seeds", "1"): "1 is not in the range 2<=x<=1000",
        ("synthetic:bright", "--samples", "0"): "0 is not in the range",
        ("synthetic:bright", "--score", "luck"): "unknown score 'luck'",
        ("synthetic:bright", "--samples", "64", "--samples", "99999999"): "99999999",
    }.items():
        code, out, err = shell("validate", *words)
        assert (code, out) == (2, ""), err
        assert rule in err
        assert err.splitlines()[-1].startswith("error: ")


def test_a_study_without_confirmed_points_is_left_out_aloud(small_spec: Callable[..., StudySpec]) -> None:
    from search.run import run_study

    spec = small_spec(search={"confirm": 0})
    run_study(spec)
    said: list[str] = []
    with pytest.raises(StudyError, match="at least one study with confirmed points is needed"):
        judge(find_studies(spec.store.store, None, "small"), spec.store.store, scores=(), say=said.append)
    assert len(said) == 1
    assert "no point of it is confirmed" in said[0]


def test_scores_of_a_signal_that_is_gone_are_left_out_aloud(small_spec: Callable[..., StudySpec], clip: Path) -> None:
    from search.run import run_study

    spec = small_spec(search={"confirm": 2})
    run_study(spec)
    clip.unlink()
    said: list[str] = []
    document = judge(find_studies(spec.store.store, None, "small"), spec.store.store, scores=["fresh"], say=said.append)
    assert document["scores"] == {}
    assert document["heuristics"]["winner"]["mean_regret_db"] is not None
    assert "must be where it was" in said[0]


def test_fewer_than_two_confirm_seeds_are_refused_from_python_too(spec: StudySpec) -> None:
    with pytest.raises(UsageError, match="`2 <= seeds` must hold"):
        validate(spec.model_copy(update={"search": spec.search.model_copy(update={"confirm": 1})}))


def test_with_held_out_samples_regret_is_that_of_the_held_out_psnr(small_spec: Callable[..., StudySpec]) -> None:
    spec = small_spec(search={"objective": "holdout", "confirm": 2, "heuristic": ("bandwidth",)})
    document = validate(spec, scores=())
    [study] = [one for one in find_studies(spec.store.store, None, None) if one.name.startswith("small-")]
    found = next(record for record in study.trials() if record.number == study.facts("found"))
    held = [
        [
            record.held_psnr_db
            for record in study.confirmations()
            if (record.label, record.purpose) == (label, "confirm")
        ]
        for label in (found.label, "bandwidth")
    ]
    assert document["settings"][0]["objective"] == "holdout"
    assert document["heuristics"]["bandwidth"]["mean_regret_db"] == pytest.approx(np.mean(np.subtract(*held)))


@pytest.mark.parametrize(
    ("task", "num"),
    [
        ({"task": "fit"}, 600),
        ({"task": "denoise", "noise_db": 20.0}, 600),
        ({"task": "holdout", "holdout": 0.4, "pattern": "random"}, 360),
        ({"task": "upsample", "factor": 3}, 7 * 5 * 2),
    ],
)
def test_what_decides_the_regime_are_the_values_trained_on(task: dict[str, Any], num: int) -> None:
    signal = Signal(
        name="noise",
        source="noise",
        kind="image",
        values=np.random.default_rng(6).uniform(-1, 1, (300, 2)),
        shape=(20, 15),
        rate_hz=None,
        peak=1.0,
        start=(0, 0),
        total=(20, 15),
    )
    assert trained_values(task, signal.spectrum()) == num
    config = {"name" if key == "task" else key: value for key, value in task.items()}
    built = build_task(signal, TaskConfig(**config))
    assert num == built.values[built.trained].size


def test_of_two_versions_of_a_file_the_later_one_is_judged(
    small_spec: Callable[..., StudySpec], clip: Path, tmp_path: Path
) -> None:
    from search.run import run_study

    spec = small_spec(search={"heuristic": ("bandwidth",), "trials": 2})
    run_study(spec)
    [first] = find_studies(spec.store.store, None, "small")
    first.set_facts("created", "2020-01-01T00:00:00+00:00")
    before = first.name
    values, rate_hz = soundfile.read(clip)
    soundfile.write(clip, values[::-1], rate_hz)
    run_study(spec)
    other = tmp_path / "other" / clip.name
    other.parent.mkdir()
    soundfile.write(other, values**3, rate_hz)
    run_study(spec.model_copy(update={"signals": (str(other),)}))
    studies = find_studies(spec.store.store, None, "small")
    [_, after, elsewhere] = [study.name for study in studies]
    for each in (studies, studies[::-1]):
        said: list[str] = []
        [setting] = judge(each, spec.store.store, scores=(), say=said.append)["settings"]
        assert setting["signals"] == 2
        assert set(setting["heuristics"]["bandwidth"]["per_signal"]) == {after, elsewhere}
        assert said == [f"{before} is not judged: {after} is of the same signal, {clip}, and later"]


def simulated(rng: np.random.Generator, num_signals: int, num_seeds: int) -> Iterator[tuple[dict[str, Any], float]]:
    """A reference's entry of each signal of a simulated validation, and the true regret.

    A landscape falls off quadratically from a peak that differs by signal. Thirty-two points are fitted on one seed;
    the best five on three select seeds; the best of these and a reference on `num_seeds` confirm seeds. A fit is the
    landscape plus what its seed gives to all points (3 dB) and noise of its own (5 dB).
    """
    for number in range(num_signals):
        peak, height, slope = rng.uniform(-0.5, 0.5, 2), rng.uniform(50, 90), rng.uniform(10, 60)
        points = rng.uniform(-1, 1, (32, 2))
        true = height - slope * np.sum((points - peak) ** 2, axis=1)
        scores = true + rng.normal(0, 5, 32)
        leading = np.argsort(-scores)[:5]
        selected = true[leading, None] + rng.normal(0, 5, (5, 3)) + rng.normal(0, 3, 3)
        found = leading[np.argmax(selected.mean(axis=1))]
        reference = height - slope * np.sum((np.zeros(2) - peak) ** 2)
        shared = rng.normal(0, 3, num_seeds)
        mean, interval = paired_difference(
            list(true[found] + shared + rng.normal(0, 5, num_seeds)),
            list(reference + shared + rng.normal(0, 5, num_seeds)),
        )
        assert interval is not None
        entry = {"regret_db": mean, "ci95_db": list(interval), "rate_db": None, "rate_ci95_db": None}
        yield {**entry, "percentile": None, "seconds": 0.0, "study": str(number)}, float(true[found] - reference)


def test_the_interval_of_one_signal_covers_the_true_difference_in_93_to_97_of_100_validations() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(1_000):
        [(entry, true)] = simulated(rng, 1, 8)
        verdict = judge_heuristic({"one": entry})
        low, high = verdict["ci95_db"]
        covered += low <= true <= high
    assert 930 <= covered <= 970


def test_the_interval_over_signals_covers_the_mean_regret_of_all_signals_in_93_to_97_of_100_validations() -> None:
    rng = np.random.default_rng(2)
    everything = [list(simulated(rng, 6, 8)) for _ in range(1_000)]
    true = np.mean([true for validation in everything for _, true in validation])
    covered = 0
    for validation in everything:
        low, high = judge_heuristic({str(n): entry for n, (entry, _) in enumerate(validation)})["ci95_db"]
        covered += low <= true <= high
    # That the luckiest of 32 fits is worth what it seems is no part of it: select and confirm seeds are others.
    assert 930 <= covered <= 970
